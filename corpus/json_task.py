"""The base class of tasks with JSON answers: an answer is read as a row of numbers, many rows at once."""

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from corpus.answers.json_answers import pause_collector
from corpus.answers.layouts import LayoutReader
from corpus.scores import Batch, Floats, Scores
from corpus.task import Task, modality


class JsonTask(Task):
    """A task whose answers are JSON with nothing but numbers in it."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: dict[str, LayoutReader] = {}  # by modality: some tasks ask for different keys

    @abstractmethod
    def read(self, text: str, data_type: str) -> Sequence[float]:
        """The numbers of an answer in the order of `kinds`. Raises Unparsed if there is no answer."""

    @abstractmethod
    def kinds(self, count: int) -> str:
        """What each of `count` numbers is, by the letters of corpus/answers/layouts.py."""

    def read_plain(self, text: str, data_type: str) -> Sequence[float]:
        """`read` for texts that hold the same numbers to the released reward."""
        return self.read(text, data_type)

    def read_many(self, texts: Sequence[str | None], data_types: Sequence[str]) -> list[Any]:
        """`read` of each text: its answer, the Unparsed that says why there is none, or None for no text."""
        found: list[Any] = self._read_alike(texts, data_types)
        for row, text in enumerate(texts):
            if found[row] is None and text is not None:
                found[row] = self._read_or_error(text, data_types[row])
        return found

    def _read_alike(self, texts: Sequence[str | None], data_types: Sequence[str]) -> list[Floats | None]:
        found: list[Floats | None] = [None] * len(texts)
        for data_type in dict.fromkeys(data_types):
            kind = modality({"data_type": data_type})
            if kind not in self.readers:
                self.readers[kind] = LayoutReader(partial(self.read_plain, data_type=kind), self.kinds)
            rows = [row for row, other in enumerate(data_types) if other == data_type]
            for row, numbers in zip(rows, self.readers[kind].read_alike([texts[row] for row in rows]), strict=True):
                found[row] = numbers
        return found

    def paper(self, batch: Batch) -> Scores:
        """The released reward; answers and truths that are both well-formed are scored as arrays."""
        with pause_collector():
            answers, truths = (self._read_alike(texts, batch.data_types) for texts in (batch.answers, batch.truths))
        proper = np.array([a is not None and t is not None for a, t in zip(answers, truths, strict=True)], dtype=bool)
        accuracy, structure = np.zeros(len(batch)), np.zeros(len(batch))
        if rows := np.flatnonzero(proper).tolist():
            some: list[list[Any]] = [[side[row] for row in rows] for side in (answers, truths, batch.data_types)]
            accuracy[rows], structure[rows] = self.paper_of_proper(*some)
        if rows := np.flatnonzero(~proper).tolist():
            scores = self.paper_of_any(batch.take(rows))
            accuracy[rows], structure[rows] = scores.accuracy, scores.structure
        return Scores(accuracy, structure)

    @abstractmethod
    def paper_of_proper(
        self, answers: Sequence[Floats], truths: Sequence[Floats], data_types: Sequence[str]
    ) -> tuple[Floats, Floats]:
        """Released accuracy and structure of rows whose answer and truth were read strictly."""

    @abstractmethod
    def paper_of_any(self, batch: Batch) -> Scores:
        """The released reward of any other rows."""


def table(readings: Sequence[Sequence[float]], width: int) -> Floats:
    """Readings of equal length as the rows of one array."""
    return np.concatenate([np.zeros(0), *readings]).reshape(-1, width)
