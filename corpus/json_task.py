"""What the tasks with JSON answers share: an answer is read as a row of numbers, and many of them at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from corpus.geometry import Floats
from corpus.layouts import Reader
from corpus.task import Task, modality


class JsonTask(Task):
    """A task whose answers are JSON with nothing but numbers in it."""

    def __init__(self) -> None:
        self.readers: dict[str, Reader] = {}  # by modality, which some ask different keys for

    def read(self, text: str, data_type: str) -> Sequence[float]:
        """The numbers of an answer in the order of `kinds`; raises Unparsed where it holds no answer."""
        raise NotImplementedError

    def kinds(self, count: int) -> str:
        """What each of `count` numbers is, by the letters of corpus/layouts.py."""
        raise NotImplementedError

    def read_many(self, texts: Sequence[str | None], data_types: Sequence[str]) -> list[Any]:
        """Each text through `read`: what it holds, the Unparsed that says why not, or None where there is no text."""
        found: list[Any] = [None] * len(texts)
        for data_type in dict.fromkeys(data_types):
            rows = [row for row, kind in enumerate(data_types) if kind == data_type]
            alike = self._reader(data_type).read_alike([texts[row] for row in rows])
            for row, numbers in zip(rows, alike, strict=True):
                text = texts[row]
                if numbers is not None:
                    found[row] = numbers
                elif text is not None:
                    found[row] = self._tried(text, data_type)
        return found

    def _reader(self, data_type: str) -> Reader:
        kind = modality({"data_type": data_type})
        if kind not in self.readers:
            self.readers[kind] = Reader(lambda text: self.read(text, kind), self.kinds)
        return self.readers[kind]


def table(readings: Sequence[Sequence[float]], width: int) -> Floats:
    """Readings of equal length as the rows of one array."""
    return np.concatenate([np.zeros(0), *readings]).reshape(-1, width)
