"""One record of a JSON file: the limits it must keep, and what is wrong with one that does not parse.

too_large             more than 16 MiB of text, or a million commas
too_deep              brackets in brackets, more than 64 deep
number_out_of_range   an integer beyond 64 bits, a number beyond a double's range, NaN
lone_surrogate        half of an escaped pair: it is not Unicode text, and no UTF-8 can hold it
malformed_json        anything else that JSON does not allow
not_an_object         JSON, but no object
"""

import json
import math
from dataclasses import dataclass
from typing import Any

import orjson

MAX_RECORD_BYTES = 16 << 20
MAX_DEPTH = 64
MAX_COMMAS = 1_000_000  # each value costs up to 64 bytes of memory
_COUNT_COMMAS_FROM_BYTES = 1 << 20
_SHOWN_BYTES = 4096
_DIGITS_ALIKE, _MANY_DIGITS = bytes.maketrans(b"123456789", b"000000000"), b"0" * 19
_INT64 = 1 << 63


@dataclass(frozen=True, slots=True)
class Broken:
    """A place of the file that gives no object: a reason of `corpus.json_record` or `invalid_utf8`, and its text."""

    row: int
    reason: str
    detail: str
    raw: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class RecordText:
    """The text of one record as it stands in its file; only its beginning if it is too large."""

    text: bytes
    size: int
    depth: int = 0  # of its brackets, 0 if too few to count
    fault: str | None = None  # why the file is broken there; no record follows

    @property
    def is_cut(self) -> bool:
        """Whether `text` is only its beginning."""
        return self.size > MAX_RECORD_BYTES

    def shown(self) -> str:
        """At most the first 4,096 bytes, to be kept with a reject."""
        text = self.text.strip()
        return text[:_SHOWN_BYTES].decode(errors="ignore") + ("…" if len(text) > _SHOWN_BYTES or self.is_cut else "")


def parse_record(row: int, record: RecordText) -> dict[str, Any] | Broken:
    """The object that a record holds, or why it holds none."""
    if fault := _beyond_limits(record):
        return Broken(row, *fault, record.shown())
    try:
        value = orjson.loads(record.text)
    except orjson.JSONDecodeError as error:
        return _find_odd_value(row, record) or Broken(row, "malformed_json", str(error), record.shown())
    # orjson makes a float of an integer that is too large.
    if _MANY_DIGITS in record.text.translate(_DIGITS_ALIKE) and (odd := _find_odd_value(row, record)):
        return odd
    if not isinstance(value, dict):
        detail = f"a {type(value).__name__} where an object should be"
        return Broken(row, "not_an_object", detail, record.shown())
    return value


def _beyond_limits(record: RecordText) -> tuple[str, str] | None:
    if record.is_cut:
        return "too_large", f"{record.size:,} bytes of text; a record may have {MAX_RECORD_BYTES:,}"
    if record.depth > MAX_DEPTH:
        return "too_deep", f"brackets {record.depth:,} deep; a record may have {MAX_DEPTH}"
    if record.size > _COUNT_COMMAS_FROM_BYTES and (values := record.text.count(b",")) > MAX_COMMAS:
        return "too_large", f"some {values:,} values; a record may have {MAX_COMMAS:,}"
    return None


@dataclass(frozen=True, slots=True)
class _OddNumber:
    text: str


def _parse_int(text: str) -> int | _OddNumber:
    if len(text) > 20 or not -_INT64 <= int(text) < 2 * _INT64:
        return _OddNumber(text)
    return int(text)


def _parse_float(text: str) -> float | _OddNumber:
    value = float(text)
    return value if math.isfinite(value) else _OddNumber(text)


def _find_odd_value(row: int, record: RecordText) -> Broken | None:
    """The first value of a record that JSON's grammar allows (or nearly: NaN) and that cannot be kept."""
    hooks: dict[str, Any] = {
        "parse_int": _parse_int,
        "parse_float": _parse_float,
        "parse_constant": _OddNumber,
    }
    try:
        value = json.loads(record.text, **hooks)
    except ValueError:
        return None
    found = _search(value, ())
    if found is None:
        return None
    path, odd = found
    if isinstance(odd, _OddNumber):
        reason, what = "number_out_of_range", f"{_shorten(odd.text)} is not a number of 64 bits"
    else:
        reason, what = "lone_surrogate", f"half of a surrogate pair in {_shorten(ascii(odd))}"
    place = "".join(f"[{key!r}]" if isinstance(key, int) else f".{ascii(key)[1:-1]}" for key in path).lstrip(".")
    field = path[0] if path and isinstance(path[0], str) and _is_text(path[0]) else None
    return Broken(row, reason, f"`{place}`: {what}" if place else what, record.shown(), field)


def _search(value: Any, path: tuple[str | int, ...]) -> tuple[tuple[str | int, ...], Any] | None:
    if isinstance(value, _OddNumber) or (isinstance(value, str) and not _is_text(value)):
        return path, value
    if isinstance(value, dict):
        if odd := next((key for key in value if not _is_text(key)), None):
            return (*path, odd), odd
        items: Any = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        return None
    return next(filter(None, (_search(inner, (*path, key)) for key, inner in items)), None)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shorten(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"
