"""JSON lines in, the same lines with their scores out: no corpus, any length, in order, nothing lost."""

import json
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import orjson
import pyarrow as pa

from corpus.errors import OneThinkerError
from filters.score import encode_rows, score_tables

FIELDS = ("response", "ground_truth", "data_type", "problem_type")
LINES_AT_A_TIME = 2048
BYTES_AT_A_TIME = 16 << 20


@dataclass
class InputLine:
    """One line: its fields, or why it cannot be scored (a stable `fault` word, and a `message` for its writer)."""

    number: int
    fields: dict[str, Any] = field(default_factory=dict)
    fault: str | None = None
    message: str = ""


def score_lines(
    lines: Iterable[bytes],
    profile: str = "strict",
    *,
    name: str = "input",
    on_fault: Callable[[str], None],
    workers: int | None = None,
) -> Iterator[bytes]:
    """Each line's JSON object again, with format, accuracy, structure_reward, overall and reason added.

    A number that is not finite is written as "NaN", "Infinity" or "-Infinity"; null means not scored. A malformed line
    comes out too, with nulls and its fault as the reason (one that is not a JSON object under the field
    `raw`), and `on_fault` gets a message that names the line. Blank lines are left out. Only a few thousand
    lines are held at a time. Raises OneThinkerError for an unknown profile.
    """
    waiting: deque[list[InputLine]] = deque()

    def tables() -> Iterator[pa.Table]:
        for chunk in _split_lines(lines):
            read = [_parse_line(number, text, profile) for number, text in chunk]
            waiting.append(read)
            good = [line.fields for line in read if line.fault is None]
            yield encode_rows(good, profile)

    for numbers in score_tables(tables(), profile, workers):
        rows = iter(numbers.drop_columns(["components"]).to_pylist())
        for line in waiting.popleft():
            if line.fault is None:
                found = next(rows)
            else:
                on_fault(f"{name}:{line.number}: {line.message}")
                found = {"reason": line.fault}
            yield _encode_line(line.fields, found)


def _split_lines(lines: Iterable[bytes]) -> Iterator[list[tuple[int, bytes]]]:
    chunk: list[tuple[int, bytes]] = []
    size = 0
    for number, text in enumerate(lines, start=1):
        if text.isspace() or not text:
            continue
        chunk.append((number, text))
        size += len(text)
        if len(chunk) >= LINES_AT_A_TIME or size >= BYTES_AT_A_TIME:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _parse_line(number: int, text: bytes, profile: str) -> InputLine:
    text = text.removeprefix(b"\xef\xbb\xbf")
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            found = json.loads(text)  # what orjson refuses: NaN, integers beyond 64 bits, half surrogate pairs
        except (ValueError, RecursionError) as error:
            raw = {"raw": text.decode("utf-8", "replace").rstrip("\r\n")}
            return InputLine(number, raw, "not_json", f"not a line of JSON ({error}); write one object a line")
    if not isinstance(found, dict):
        message = f"a JSON {type(found).__name__} where an object with {', '.join(FIELDS)} is needed"
        return InputLine(number, {"raw": found}, "not_an_object", message)
    missing = [name for name in FIELDS if name not in found]
    if missing:
        there = ", ".join(f"'{name}'" for name in islice(found, 8)) or "nothing"
        message = f"no field '{missing[0]}'; the line has {there}; a line needs {', '.join(FIELDS)}"
        return InputLine(number, found, "field_missing", message)
    if profile != "paper":  # whose reference takes any value for these two
        for name in ("data_type", "problem_type"):
            if not isinstance(found[name], str):
                message = f"field '{name}' is {json.dumps(found[name])[:60]}, not text such as 'image' or 'math'"
                return InputLine(number, found, "field_not_text", message)
        if unknown := _unknown_type(found["problem_type"]):
            return InputLine(number, found, "unknown_problem_type", f"field 'problem_type': {unknown}")
    return InputLine(number, found)


def _unknown_type(name: str) -> str | None:
    from corpus.tasks import task

    try:
        task(name)
    except OneThinkerError as error:
        return str(error)
    return None


def _encode_line(fields: dict[str, Any], found: dict[str, Any]) -> bytes:
    row = {
        **fields,
        "format": _number(found.get("format")),
        "accuracy": _number(found.get("accuracy")),
        "structure_reward": _number(found.get("structure")),
        "overall": _number(found.get("reward")),
        "reason": found.get("reason"),
    }
    try:
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    except (TypeError, orjson.JSONEncodeError):
        return json.dumps(row).encode() + b"\n"


def _number(value: float | None) -> float | str | None:
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
