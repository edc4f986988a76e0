"""The rows of a JSON list or a JSONL file, one at a time, in constant memory, with broken places reported as rows.

A file that starts with `[` is a list, any other is read line by line. A byte order mark is skipped; files that end in
.gz, .bz2, .xz or .zst are decompressed. The text of each row is cut out first, within `corpus.json_record`'s limits of
size and depth, and only then parsed: what is wrong inside a row costs that row.
"""

import codecs
import lzma
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import fsspec
import orjson

from corpus.json_record import Broken, RecordText, parse_record
from corpus.json_split import split_lines, split_list

__all__ = ["Broken", "Row", "rows"]

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
    size: int = 0  # of its text, in bytes


def rows(path: str) -> Iterator[Row | Broken]:
    """Yield what the file holds, in order. Numbers with a point become floats, as in Python's `json`.

    A row that is not valid JSON, too large or too deep costs that row, in a list as in JSONL. A file that ends early
    gives one Broken with its place, behind the rows before it.
    """
    compression = fsspec.utils.infer_compression(path)
    system, name = fsspec.core.url_to_fs(path)
    with system.open(name, "rb") as file:
        size = system.size(name)
        try:
            unpacked = fsspec.core.compr[compression](file, mode="rb") if compression else file
        except _COMPRESSION_ERRORS as error:
            yield Broken(1, "malformed_json", _describe_damage(compression, error), "")
            return
        text = _Text(unpacked, size=None if compression else size, compression=compression)
        first = text.first()
        if first == b"[":
            yield from _of_list(text)
        elif first:
            yield from _of_lines(text, path)
        elif text.damage or not re.search(r"\.(jsonl|ndjson)\b", path):
            yield Broken(1, "malformed_json", text.damage or "there is no text in the file", "")


def _compression_errors() -> tuple[type[Exception], ...]:
    """What the decompressors raise on bytes that are not theirs; bz2 raises a bare OSError."""
    from zipfile import BadZipFile

    errors: list[type[Exception]] = [EOFError, zlib.error, lzma.LZMAError, BadZipFile]
    try:
        from zstandard import ZstdError
    except ModuleNotFoundError:
        return tuple(errors)
    return (*errors, ZstdError)


_COMPRESSION_ERRORS = _compression_errors()


def _describe_damage(compression: str | None, error: Exception) -> str:
    if isinstance(error, EOFError):
        return "the compressed file breaks off here"
    return (
        f"its name says {compression}, its bytes do not ({error}): rename it if it is not compressed, else copy it anew"
    )


class _Text:
    """A binary file read as UTF-8 without its byte order mark, each byte that is not UTF-8 replaced by a mark."""

    def __init__(self, file: BinaryIO, size: int | None, compression: str | None = None) -> None:
        self.file, self.size, self.compression = file, size, compression
        self.done = 0  # bytes read
        self.bad = 0  # marks set
        self.damage: str | None = None  # why the compressed file cannot be read further
        # `read` of a decompressor loses what stands before the damage.
        self._read = getattr(file, "read1", file.read) if compression else file.read
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("onethinker.mark")
        self._ahead = b""

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self.read():
            yield chunk

    def read(self) -> bytes:
        """The next bytes, some 64 kB; empty at the end."""
        if self._ahead:
            out, self._ahead = self._ahead, b""
            return out
        while chunk := self._read_file():
            self.done += len(chunk)
            if out := self._decode(chunk, final=False):
                return out
        return self._decode(b"", final=True)

    def _read_file(self) -> bytes:
        if self.damage is not None:
            return b""
        try:
            return self._read(_READ_BYTES)
        except _COMPRESSION_ERRORS as error:
            self.damage = _describe_damage(self.compression, error)
        except OSError as error:
            if self.compression is None or error.errno is not None:
                raise  # our disk, not the file's content
            self.damage = _describe_damage(self.compression, error)
        return b""

    def _decode(self, chunk: bytes, *, final: bool) -> bytes:
        text = self._decoder.decode(chunk, final)
        self.bad += text.count(_NOT_UTF8)
        return text.encode()

    def first(self) -> bytes:
        """The first byte that is not white space; it stays to be read. Empty for an empty file."""
        while not self._ahead.strip():
            self._ahead = b""
            self._ahead = self.read()
            if not self._ahead:
                return b""
        return self._ahead.lstrip()[:1]

    def share(self) -> float | None:
        """How much of the file has been read, from 0 to 1."""
        return self.done / self.size if self.size else None


def _of_list(text: _Text) -> Iterator[Row | Broken]:
    row = 0
    for row, record in enumerate(split_list(text), 1):
        if record.fault is not None:
            place = f"after {row - 1} whole rows, at most {text.done} bytes into the file"
            yield Broken(row, "malformed_json", f"{text.damage or record.fault}, {place}", record.shown())
            return
        yield _parse(row, record, text)
    if text.damage:
        yield Broken(row + 1, "malformed_json", text.damage, "")


def _of_lines(text: _Text, path: str) -> Iterator[Row | Broken]:
    row = 0
    for row, record in enumerate(split_lines(text), 1):
        if not record.text.strip() and not record.is_cut:
            continue
        parsed = _parse(row, record, text)
        if isinstance(parsed, Broken) and row == 1 and parsed.reason == "malformed_json" and not _is_jsonl(path):
            yield Broken(1, "malformed_json", f"neither a JSON list nor JSON lines: {parsed.detail}", parsed.raw)
            return
        yield parsed
    if text.damage:
        yield Broken(row + 1, "malformed_json", text.damage, "")


def _is_jsonl(path: str) -> bool:
    return re.search(r"\.(jsonl|ndjson)\b", path) is not None


def _parse(row: int, record: RecordText, text: _Text) -> Row | Broken:
    value = parse_record(row, record)
    if isinstance(value, Broken):
        return value
    if text.bad and _NOT_UTF8 in (raw := orjson.dumps(value).decode()):
        return Broken(row, "invalid_utf8", f"bytes that are not UTF-8, shown as {_NOT_UTF8!r}", raw)
    return Row(row, value, text.share(), len(record.text))
