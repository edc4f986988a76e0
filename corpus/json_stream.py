"""The rows of a JSON list or a JSONL file, one at a time, in constant memory, with broken places reported as rows.

A file that starts with `[` is a list, any other is read line by line. A byte order mark is skipped; files that end in
.gz, .bz2, .xz or .zst are decompressed.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import fsspec
import ijson
import orjson

_READ_BYTES = 1 << 16
# Stands for a byte that is no UTF-8. A noncharacter: Unicode keeps it for use inside a program, no text has it.
_NOT_UTF8 = "\ufdd1"
codecs.register_error("onethinker.mark", lambda error: (_NOT_UTF8, error.end))  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Row:
    """One object of the file: its 1-based place (line, in JSONL) and the share of the file read so far, if known."""

    row: int
    value: dict[str, Any]
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """A place of the file that gives no object: `malformed_json`, `invalid_utf8` or `not_an_object`, and its text."""

    row: int
    reason: str
    detail: str
    raw: str


def rows(path: str) -> Iterator[Row | Broken]:
    """Yield what the file holds, in order. Numbers with a point become floats, as in Python's `json`.

    A broken line of JSONL costs that line. A list that ends early or is malformed at some point costs the rest: the
    objects before that point are yielded, then one Broken with its place.
    """
    compression = fsspec.utils.infer_compression(path)
    system, name = fsspec.core.url_to_fs(path)
    with system.open(name, "rb", compression=compression) as file:
        text = _Text(file, size=None if compression else system.size(name))
        first = text.first()
        if first == b"[":
            yield from _of_list(text)
        elif first:
            yield from _of_lines(text, path)
        elif text.cut_off or not re.search(r"\.(jsonl|ndjson)\b", path):
            yield Broken(1, "malformed_json", "there is no text in the file", "")


class _Text:
    """A binary file read as UTF-8 without its byte order mark, each byte that is not UTF-8 replaced by a mark."""

    def __init__(self, file: BinaryIO, size: int | None) -> None:
        self.file, self.size = file, size
        self.done = 0  # bytes read
        self.bad = 0  # marks set
        self.cut_off = False
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("onethinker.mark")
        self._ahead = b""

    def read(self, n: int) -> bytes:
        """About `n` bytes (marks are longer than what they stand for); empty at the end, and for 0."""
        if n == 0:
            return b""
        if self._ahead:
            out, self._ahead = self._ahead, b""
            return out
        while chunk := self._read_file(n):
            self.done += len(chunk)
            if out := self._decode(chunk, final=False):
                return out
        return self._decode(b"", final=True)

    def _read_file(self, n: int) -> bytes:
        try:
            return self.file.read(n)
        except EOFError:  # from a compressed file that breaks off
            self.cut_off = True
            return b""

    def _decode(self, chunk: bytes, *, final: bool) -> bytes:
        text = self._decoder.decode(chunk, final)
        self.bad += text.count(_NOT_UTF8)
        return text.encode()

    def first(self) -> bytes:
        """The first byte that is not white space; it stays to be read. Empty for an empty file."""
        while not self._ahead.strip():
            self._ahead = b""
            self._ahead = self.read(_READ_BYTES)
            if not self._ahead:
                return b""
        return self._ahead.lstrip()[:1]

    def share(self) -> float | None:
        """How much of the file has been read, from 0 to 1."""
        return self.done / self.size if self.size else None

    def lines(self) -> Iterator[bytes]:
        """The lines without their ends."""
        begun: list[bytes] = []
        while chunk := self.read(_READ_BYTES):
            end, *whole = chunk.split(b"\n")
            begun.append(end)
            for start in whole:
                yield b"".join(begun)
                begun = [start]
        yield b"".join(begun)


def _of_list(text: _Text) -> Iterator[Row | Broken]:
    row = 0
    try:
        for value in ijson.items(text, "item", use_float=True, buf_size=_READ_BYTES):
            row += 1
            yield _check_row(row, value, text)
    except ijson.JSONError as error:
        near = re.search(r"\n\s*(.*?)\n\s*\(right here\)", str(error).replace("\\n", "\n"))
        place = f"after {row} whole rows, at most {text.done} bytes into the file"
        yield Broken(row + 1, "malformed_json", f"{str(error).splitlines()[0]} {place}", near[1] if near else "")


def _of_lines(text: _Text, path: str) -> Iterator[Row | Broken]:
    row = 0
    for row, line in enumerate(text.lines(), 1):
        if not line.strip():
            continue
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            if row == 1 and not re.search(r"\.(jsonl|ndjson)\b", path):
                yield Broken(1, "malformed_json", f"neither a JSON list nor JSON lines: {error}", line.decode())
                return
            yield Broken(row, "malformed_json", str(error), line.decode())
        else:
            yield _check_row(row, value, text)
    if text.cut_off:
        yield Broken(row + 1, "malformed_json", "the compressed file breaks off here", "")


def _check_row(row: int, value: Any, text: _Text) -> Row | Broken:
    if text.bad and _NOT_UTF8 in (raw := orjson.dumps(value).decode()):
        return Broken(row, "invalid_utf8", f"bytes that are not UTF-8, shown as {_NOT_UTF8!r}", raw)
    if not isinstance(value, dict):
        return Broken(
            row, "not_an_object", f"a {type(value).__name__} where an object should be", orjson.dumps(value).decode()
        )
    return Row(row, value, text.share())
