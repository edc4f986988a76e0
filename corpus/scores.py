"""Batches of answers and their scores: what a task takes and returns, and why an answer cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAX_ANSWER_CHARACTERS = 20_000  # the longest honest answer, 32 boxes with decimals, has under 2,000

CHANCE_OVERLAP = 0.1  # `strict` takes an overlap below this for none: covering everything is no answer
TRUTH_UNREADABLE = "truth_unreadable"


class Unparsed(ValueError):  # noqa: N818, it names a state of the answer and not a fault of the program
    """An answer that cannot be read; `reason` is one stable word that SQL can count."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one task to score: answer bodies (None: no body), true answers and columns of each row."""

    answers: Sequence[str | None]
    truths: Sequence[str | None]
    data_types: Sequence[str]
    options: Sequence[Sequence[str] | None] = ()
    sources: Sequence[str | None] = ()

    def __post_init__(self) -> None:
        for name in ("options", "sources"):
            if not getattr(self, name):
                object.__setattr__(self, name, [None] * len(self.answers))

    def __len__(self) -> int:
        return len(self.answers)

    def take(self, rows: Sequence[int]) -> Batch:
        """Some of the rows."""
        return Batch(*([getattr(self, part.name)[row] for row in rows] for part in fields(self)))


@dataclass(frozen=True, slots=True)
class Scores:
    """One number a row. A NaN under `strict` means "could not be scored", and then the row's reason says why."""

    accuracy: Floats
    structure: Floats
    components: dict[str, Floats] = field(default_factory=dict)
    reasons: list[str | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.reasons:
            self.reasons.extend([None] * len(self.accuracy))


@dataclass(frozen=True, slots=True)
class Readings:
    """A batch read strictly: `rows` are the positions where both answer and truth could be read."""

    answers: list[Any]  # of `rows`
    truths: list[Any]  # of `rows`
    rows: NDArray[np.intp]
    unreadable: list[int]
    reasons: list[str | None]

    def scores(self, accuracy: Floats, **components: Floats) -> Scores:
        """Scores of the whole batch from those of `rows`: 0 for an unreadable answer, NaN for an unreadable truth."""
        count = len(self.reasons)
        whole = np.zeros(count)
        whole[self.rows] = accuracy
        whole[self.unreadable] = np.nan
        parts = {name: np.full(count, np.nan) for name in components}
        for name, values in components.items():
            parts[name][self.rows] = values
        return Scores(whole, np.zeros(count), parts, self.reasons)


def wrong_as_released(batch: Batch) -> Scores:
    """The released reward of a wrong answer, and of every answer of a type that it does not know."""
    return Scores(np.zeros(len(batch)), np.full(len(batch), 0.5))
