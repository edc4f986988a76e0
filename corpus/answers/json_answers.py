"""Reading of JSON answers, as leniently as the released reward does and as strictly as ours does.

The released reading takes everything that Python's json and float() take: NaN, strings, booleans, numbers of any size.
The strict one takes an object with exactly the asked keys, each once, holding plain finite numbers in range, and raises
Unparsed with one stable word otherwise.
"""

import gc
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from corpus.answers.layouts import MAX_SECONDS
from corpus.scores import MAX_ANSWER_CHARACTERS, Floats, Unparsed


@contextmanager
def pause_collector() -> Iterator[None]:
    """Pause the cycle collector while JSON is parsed: walking thousands of small lists would take most of the time."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# ---- the released reading -----------------------------------------------------------------------------------------


def loads(text: str | None) -> Any:
    """What json.loads makes of a text, or None. orjson is tried first, and json may still take what it refuses."""
    if text is None:
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return None


@lru_cache(maxsize=512)
def _loads_cached(text: str | None) -> Any:
    return loads(text)


def objects(texts: Iterable[str | None], *, repeat: bool = False) -> list[dict[str, Any]]:
    """The JSON object of each text, {} if it holds none. `repeat` caches texts that occur many times."""
    read = _loads_cached if repeat else loads
    with pause_collector():
        return [value if isinstance(value, dict) else {} for value in map(read, texts)]


def floats(value: Any, count: int) -> list[float] | None:
    """A list of exactly `count` things that float() takes, as floats; None for anything else."""
    if not isinstance(value, list) or len(value) != count:
        return None
    try:
        return [float(number) for number in value]
    except (TypeError, ValueError, OverflowError):
        return None


def points(value: Any) -> list[list[float]] | None:
    """Three points of two numbers, or None."""
    if not isinstance(value, list) or len(value) != 3:
        return None
    found = [point for point in (floats(point, 2) for point in value) if point is not None]
    return found if len(found) == 3 else None


def stack_rows(rows: Sequence[Any], shape: tuple[int, ...]) -> tuple[Floats, NDArray[np.bool_]]:
    """Rows of numbers as one array with zeros where a row is None, and which rows are there."""
    there = np.fromiter((row is not None for row in rows), dtype=bool, count=len(rows))
    array = np.zeros((len(rows), *shape))
    if there.any():
        array[there] = np.array([row for row in rows if row is not None], dtype=np.float64).reshape(-1, *shape)
    return array, there


# ---- the strict reading -------------------------------------------------------------------------------------------

_NUMBERS = ({int}, {float}, {int, float})
_EITHER = {int, float}


def strict_object(text: str, keys: frozenset[str]) -> dict[str, Any]:
    """The object a text holds, when it has exactly `keys`, each once. Raises Unparsed."""
    if len(text) > MAX_ANSWER_CHARACTERS:
        raise Unparsed("answer_too_long")
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Unparsed(_why_not_json(text)) from None
    if type(found) is not dict:
        raise Unparsed("not_an_object")
    if "u" in text or "l" in text:  # letters of true and false but of no key; booleans count as numbers in Python
        _raise_on_truth_values(text)
    boxes = found.get("boxes")
    names = len(found) + (len(boxes) if type(boxes) is dict else 0)
    if text.count('"') != 2 * names:  # more quotes than names: a name came twice, or there is text among the numbers
        _raise_on_repeated(text)
    if found.keys() != keys:
        raise Unparsed("missing_key" if keys - found.keys() else "unexpected_key")
    return found


def _raise_on_truth_values(text: str) -> None:
    if "true" in text or "false" in text:
        raise Unparsed("not_a_number")


def _why_not_json(text: str) -> str:
    if text.startswith("```"):
        return "code_fence"  # the trainers' and evaluators' json.loads would stumble over it
    try:
        json.loads(text, parse_constant=_not_finite)
    except Unparsed as error:
        return error.reason
    except (ValueError, RecursionError):
        return "not_json"
    return "not_finite"  # json reads what orjson does not: numbers past the largest float


def _not_finite(_: str) -> None:
    raise Unparsed("not_finite")


def _raise_on_repeated(text: str) -> None:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise Unparsed("duplicate_key")
        return found

    try:
        json.loads(text, object_pairs_hook=once)
    except RecursionError:
        raise Unparsed("not_json") from None


def strict_numbers(value: Any, count: int) -> list[float]:
    """A list of exactly `count` finite numbers; no strings, no booleans. Raises Unparsed."""
    if type(value) is not list:
        raise Unparsed("not_a_list")
    if len(value) != count:
        raise Unparsed("wrong_length")
    if set(map(type, value)) not in _NUMBERS:
        raise Unparsed("not_a_number")
    return value


def strict_span(value: Any) -> list[float]:
    """[start, end] in seconds with 0 ≤ start < end. Raises Unparsed."""
    start, end = strict_numbers(value, 2)
    if start < 0 or end > MAX_SECONDS:
        raise Unparsed("time_out_of_range")
    if start >= end:
        raise Unparsed("time_swapped_or_empty")
    found: list[float] = value
    return found


def strict_box(value: Any) -> list[float]:
    """[x1, y1, x2, y2] within 0–1000 with x1 < x2 and y1 < y2. Raises Unparsed."""
    x1, y1, x2, y2 = strict_numbers(value, 4)
    if not (0 <= x1 <= 1000 and 0 <= y1 <= 1000 and 0 <= x2 <= 1000 and 0 <= y2 <= 1000):
        raise Unparsed("box_outside_image")
    if x1 >= x2 or y1 >= y2:
        raise Unparsed("box_swapped_or_empty")
    found: list[float] = value
    return found


def strict_points(value: Any) -> list[float]:
    """Three points [x, y] within 0–1000, as six numbers. Raises Unparsed."""
    if type(value) is not list:
        raise Unparsed("not_a_list")
    if len(value) != 3:
        raise Unparsed("not_three_points")
    flat: list[float] = []
    for point in value:
        if type(point) is not list:
            raise Unparsed("not_a_list")
        if len(point) != 2:
            raise Unparsed("wrong_length")
        flat += point
    if not set(map(type, flat)) <= _EITHER:
        raise Unparsed("not_a_number")
    if min(flat) < 0 or max(flat) > 1000:
        raise Unparsed("point_outside_image")
    return flat


def strict_time(value: Any) -> float:
    """One moment in seconds, from 0 on. Raises Unparsed."""
    if type(value) is not int and type(value) is not float:
        raise Unparsed("not_a_number")
    if not 0 <= value <= MAX_SECONDS:
        raise Unparsed("time_out_of_range")
    return float(value)
