"""Boxes by whole second or by frame number: what the answers of tracking and of spatio-temporal grounding share."""

from array import array
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from operator import ge
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpus.answers.json_answers import floats
from corpus.scores import Floats, Unparsed

MAX_BOXES = 2_000
_NUMBER_TYPES = {int, float}


def strict_boxes(value: Any, first: int) -> "array[float]":
    """Boxes by whole second or frame number, written "9" and no other way, from `first` on. Raises Unparsed.

    Returns number, x1, y1, x2, y2 of one box after the other, in ascending order.
    """
    if type(value) is not dict:
        raise Unparsed("boxes_not_an_object")
    if not value:
        raise Unparsed("no_boxes")
    if len(value) > MAX_BOXES:
        raise Unparsed("too_many_boxes")
    if set(map(type, value.values())) != {list}:
        raise Unparsed("not_a_list")
    if set(map(len, value.values())) != {4}:
        raise Unparsed("wrong_length")
    flat = list(chain.from_iterable(value.values()))
    if not set(map(type, flat)) <= _NUMBER_TYPES:
        raise Unparsed("not_a_number")
    if min(flat) < 0 or max(flat) > 1000:
        raise Unparsed("box_outside_image")
    x1, y1, x2, y2 = (flat[edge::4] for edge in range(4))
    if any(map(ge, x1, x2)) or any(map(ge, y1, y2)):
        raise Unparsed("box_swapped_or_empty")
    boxes = sorted(zip(_frame_numbers(tuple(value), first), x1, y1, x2, y2, strict=True))
    return array("d", chain.from_iterable(boxes))  # an array: small, and nothing for the cycle collector to walk


@lru_cache(maxsize=4096)
def _frame_numbers(names: tuple[str, ...], first: int) -> tuple[int, ...]:
    numbers = tuple(int(name) if name.isascii() and name.isdigit() and len(name) < 8 else -1 for name in names)
    if min(numbers) < first or tuple(map(str, numbers)) != names:
        raise Unparsed("bad_frame_key")
    return numbers


def by_number(boxes: Sequence[float]) -> dict[int, list[float]]:
    """Each number's box, of what `strict_boxes` returns."""
    return {int(boxes[place]): list(boxes[place + 1 : place + 5]) for place in range(0, len(boxes), 5)}


class Tracks(NamedTuple):
    """Boxes by number of many answers: number, x1, y1, x2, y2 a row, and how many rows each answer has."""

    boxes: Floats
    counts: NDArray[np.intp]

    @property
    def rows(self) -> NDArray[np.intp]:
        """The answer that each box is of."""
        return np.repeat(np.arange(len(self.counts)), self.counts)


def pair_boxes(answers: Tracks, truths: Tracks) -> tuple[Floats, Floats, NDArray[np.intp], Floats]:
    """Where answers and truths have the same numbers: both sides' boxes (m, 4), the rows they are of, the numbers."""
    rows = truths.rows
    names, true_names = answers.rows * 1e8 + answers.boxes[:, 0], rows * 1e8 + truths.boxes[:, 0]
    at = np.searchsorted(names, true_names)  # names ascend, as the numbers of each answer do
    at[at == len(names)] = 0
    there = np.flatnonzero(names[at] == true_names) if len(names) else np.zeros(0, dtype=np.intp)
    shared = truths.boxes.take(there, axis=0)
    return answers.boxes.take(at[there], axis=0)[:, 1:], shared[:, 1:], rows[there], shared[:, 0]


def track_structure(answer: dict[str, Any]) -> float:
    """0.25 of structure where every box has four numbers, as the released reward gives it."""
    boxes = answer.get("boxes")
    return 0.25 * (isinstance(boxes, dict) and all(floats(box, 4) is not None for box in boxes.values()))


def shared_keys(answers: list[dict[str, Any]], truths: list[dict[str, Any]]) -> np.ndarray[Any, Any]:
    """0.25 times the share of the true keys that the answer has too, as the released reward gives it."""
    shares = np.zeros(len(answers))
    for row, (answer, truth) in enumerate(zip(answers, truths, strict=True)):
        mine, theirs = answer.get("boxes", {}), truth.get("boxes", {})
        if isinstance(mine, dict) and isinstance(theirs, dict) and theirs:
            shares[row] = 0.25 * len(mine.keys() & theirs.keys()) / len(theirs)
    return shares
