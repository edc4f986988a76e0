"""Batch reading of JSON answers: those that differ only in their digits are read with numpy instead of a parser.

A text without its digits is its shape. Where texts have the same shape and numbers at the same places of it, one JSON
parse is enough for all of them: the parse of a probe, a text with that shape whose numbers are 1, 2, 3 and so on, so
that each can be found again in what was read of it. What is left to check is what digits can still spoil: a leading
zero, a number out of its range, a box whose edges are swapped, a key that comes again. A text that fails here, or whose
shape no other has, is for the parser, which also knows the reason.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpus.scores import Floats

MAX_SECONDS = 7 * 24 * 3600.0  # longer than any video a span can be asked about
SPAN, MOMENT, BOX, POINT = "se", "t", "xyXY", "pp"
SECOND, FRAME = "k" + BOX, "f" + BOX  # boxes by second from 0 on and by frame from 1 on, in ascending order

_MOST = {**dict.fromkeys("set", MAX_SECONDS), **dict.fromkeys("xyXYp", 1000.0), **dict.fromkeys("kf", 9_999_999.0)}

_DIGITS = b"0123456789"
_GAP = b"\0"  # between texts; no JSON has it
_LONGEST = 9  # digits of one number before or after the point: 604800.123456789 is still exact in a float
_CHARACTERS = 20_000  # of one text
_AT_ONCE = 300_000  # characters: what is made of them stays near the processor
_KNOWN = 1024  # shapes remembered

Ints = NDArray[np.intp]


class Layout(NamedTuple):
    """Where the numbers of a shape stand and which is which; a run is a stretch of digits."""

    places: Ints  # of each run, in the shape
    whole: Ints  # the run of each number's digits before the point, in the order of the reading
    first: float  # the least that the first number may be; the others have no minus sign and so are 0 at least
    most: Floats
    smaller: Ints  # numbers, each of which must be below the one at the same place in `larger`
    larger: Ints


@dataclass(frozen=True, slots=True)
class LayoutReader:
    """Reads texts of one kind. `read` parses one or raises ValueError, `kinds` names the numbers by their count."""

    read: Callable[[str], Sequence[float]]
    kinds: Callable[[int], str]
    known: dict[bytes, Layout] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)  # hashes of shapes together with places

    def read_alike(self, texts: Sequence[str | None]) -> list[Floats | None]:
        """The results of `read`, as arrays, for texts whose shape others share; None for all others."""
        plain = [text if text and len(text) <= _CHARACTERS and "\0" not in text else "" for text in texts]
        step = 1 + _AT_ONCE * len(plain) // (1 + sum(map(len, plain)))
        found: list[Floats | None] = []
        for start in range(0, len(plain), step):
            found += self._read(plain[start : start + step])
        return found

    def _read(self, texts: list[str]) -> list[Floats | None]:
        found: list[Floats | None] = [None] * len(texts)
        encoded = [text.encode("utf-8", "replace") for text in texts]
        shapes = _GAP.join(encoded).translate(None, _DIGITS).split(_GAP)
        often = Counter(shapes)
        alike = [row for row, shape in enumerate(shapes) if shape and often[shape] > 1]
        if not alike:  # a single answer is parsed faster
            return found
        shapes = [shapes[row] for row in alike]
        runs = _runs(np.frombuffer(_GAP.join([encoded[row] for row in alike]), np.uint8))
        sizes = np.array([len(shape) + 1 for shape in shapes])
        ends = np.cumsum(sizes)  # of the shapes, as they stand one after the other
        lasts = np.searchsorted(runs.places, ends)
        counts = np.diff(lasts, prepend=0)
        firsts = lasts - counts
        places = runs.places - np.repeat(ends - sizes, counts)
        odd = set(np.searchsorted(lasts, np.flatnonzero(runs.odd), side="right").tolist())
        groups: dict[tuple[bytes, int], list[int]] = {}
        for row, of in enumerate(zip(shapes, counts.tolist(), strict=True)):
            groups.setdefault(of, []).append(row)
        for (shape, count), rows in groups.items():
            if not count:
                continue
            first = firsts[rows][:, None]
            there = places[first + np.arange(count)]
            layout = self._layout(shape, there[0])
            if layout is not None and len(layout.places) == count:
                numbers = runs.values[first + layout.whole]
                sound = (there == layout.places).all(axis=1) & _within(layout, numbers)
                for row, good, values in zip(rows, sound.tolist(), numbers, strict=True):
                    if good and row not in odd:
                        found[alike[row]] = values
        return found

    def _layout(self, shape: bytes, places: Ints) -> Layout | None:
        if (layout := self.known.get(shape)) is not None:
            return layout
        if len(self.known) + len(self.refused) >= _KNOWN:
            self.known.clear()
            self.refused.clear()
        tried = hash((shape, places.tobytes()))
        if tried not in self.refused:
            layout = self._learn(shape, places.tolist())
            if layout is None:
                self.refused.add(tried)
            else:
                self.known[shape] = layout
        return layout

    def _learn(self, shape: bytes, places: list[int]) -> Layout | None:
        edges = [0, *places, len(shape)]
        pieces = [shape[start:end].decode("utf-8", "replace") for start, end in pairwise(edges)]
        probe = pieces[0] + "".join(f"{number}{piece}" for number, piece in enumerate(pieces[1:], 1))
        # 7 and 8 in a "7.8" are the runs of one number
        names = {float(found[0]): found[0].split(".") for found in re.finditer(r"\d+(?:\.\d+)?", probe)}
        try:
            read = [names[value] for value in self.read(probe)]
        except (ValueError, KeyError):
            return None
        used = sorted(int(run) for name in read for run in name)
        if used != list(range(1, len(places) + 1)):
            return None
        return Layout(np.array(places), np.array([int(name[0]) - 1 for name in read]), *_bounds(self.kinds(len(read))))


class _Runs(NamedTuple):
    """Every stretch of digits in a text."""

    places: Ints  # how many other characters come before it
    values: Floats  # of the number that begins with it
    odd: NDArray[np.bool_]  # too long, or led by a zero that does not belong there


def _runs(text: NDArray[np.uint8]) -> _Runs:
    digits = text - np.uint8(ord("0"))  # below "0" it wraps round
    inside = np.zeros(len(text) + 2, dtype=bool)
    np.less(digits, 10, out=inside[1:-1])
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    starts, ends = edges[0::2], edges[1::2]
    lengths = ends - starts
    values = digits[ends - 1].astype(np.float64)
    for place in range(1, min(int(lengths.max(initial=0)), _LONGEST)):
        longer = lengths > place
        values += np.where(longer, digits[ends - 1 - place], 0) * 10.0**place
    odd = (digits[starts] == 0) & (lengths > 1)
    after = np.flatnonzero((starts[1:] - ends[:-1] == 1) & (text[starts[1:] - 1] == ord("."))) + 1
    odd[after] = False
    odd |= lengths > _LONGEST
    scale = 10.0 ** np.minimum(lengths[after], _LONGEST)
    values[after - 1] = (values[after - 1] * scale + values[after]) / scale
    return _Runs(starts - (np.cumsum(lengths) - lengths), values, odd)


def _within(layout: Layout, numbers: Floats) -> NDArray[np.bool_]:
    """Which rows keep to the bounds of their layout."""
    in_order = (numbers[:, layout.smaller] < numbers[:, layout.larger]).all(axis=1)
    within: NDArray[np.bool_] = (numbers <= layout.most).all(axis=1) & (numbers[:, 0] >= layout.first) & in_order
    return within


@lru_cache(maxsize=512)
def _bounds(kinds: str) -> tuple[float, Floats, Ints, Ints]:
    ahead = {"s": 1, "x": 2, "y": 2}
    pairs = [(place, place + ahead[kind]) for place, kind in enumerate(kinds) if kind in ahead]
    pairs += pairwise(place for place, kind in enumerate(kinds) if kind in "kf")
    smaller, larger = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
    return float(kinds[0] == "f"), np.array([_MOST[kind] for kind in kinds]), smaller, larger
