"""Cut the text of a JSON list or of JSON lines into records, without parsing them.

One pass of regular expressions over each chunk, whose state (inside a string, the open brackets) carries over to the
next. What a record holds beyond the limit of size is dropped as it is read, so that memory is bounded.
"""

import re
from collections.abc import Iterable, Iterator

from corpus.json_record import MAX_DEPTH, MAX_RECORD_BYTES, RecordText

_STRING = rb'[^"\\\n]*+(?:\\.[^"\\\n]*+)*+'  # JSON's strings hold no line ends: an open one ends there
_IN_STRING = re.compile(_STRING, re.DOTALL).match
_TO_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|"' + _STRING + rb'")*+', re.DOTALL).match
_TO_BRACKET_OR_COMMA = re.compile(rb'(?:[^"\[\]{},]++|"' + _STRING + rb'")*+', re.DOTALL).match
_QUOTE, _COMMA, _NEWLINE, _END = b'",\n]'
_BRACE, _END_BRACE = b"{}"
_CLOSING = {_BRACE: _END_BRACE, ord("["): _END}


class _Cutter:
    """The record being cut out of a list: its bytes within the limit, and where the scan stands in it."""

    def __init__(self) -> None:
        self.open = bytearray()  # the closing brackets that are due
        self.braces = 0  # how many of them are braces
        self.depth = 0  # the deepest so far
        self.in_string = self.is_escaped = False
        self._parts: list[bytes] = []
        self._size = 0

    def keep(self, part: bytes) -> None:
        """Add text to the record; past the limit only its size counts."""
        self._size += len(part)
        if self._size <= MAX_RECORD_BYTES:
            self._parts.append(part)
        elif self._parts:
            self._parts = [b"".join([*self._parts, part])[:4096]]

    def take(self, fault: str | None = None) -> RecordText:
        """The record, and a new one begins."""
        text, size, depth = b"".join(self._parts), self._size, self.depth
        self._parts, self._size, self.depth = [], 0, 0
        self.open.clear()
        self.braces = 0
        return RecordText(text, size, depth, fault)

    def scan(self, chunk: bytes, pos: int) -> int:
        """The position of the next comma or end of the list itself from `pos`, or the chunk's length."""
        due, end = self.open, len(chunk)
        while pos < end:
            if self.in_string:
                pos = self._through_string(chunk, pos)
                continue
            pos = (_TO_BRACKET if due else _TO_BRACKET_OR_COMMA)(chunk, pos).end()  # type: ignore[union-attr]
            if pos == end:
                break
            found = chunk[pos]
            if found == _QUOTE:
                self.in_string = True
            elif found in _CLOSING:
                if len(due) == MAX_RECORD_BYTES:
                    return end  # the record is too large, and where it ends is not worth the memory
                due.append(_CLOSING[found])
                self.braces += found == _BRACE
                if len(due) > self.depth:
                    self.depth = len(due)
            elif due:
                self._leave(found)
            elif found in (_COMMA, _END):
                return pos
            pos += 1
        return end

    def _through_string(self, chunk: bytes, pos: int) -> int:
        if self.is_escaped:  # the chunk before ended within an escape
            self.is_escaped = False
            return pos + 1
        pos = _IN_STRING(chunk, pos).end()  # type: ignore[union-attr]
        if pos < len(chunk):
            if chunk[pos] in (_QUOTE, _NEWLINE):
                self.in_string = False
            else:
                self.is_escaped = True
            pos += 1
        return pos

    def _leave(self, bracket: int) -> None:
        """Close the innermost bracket of this kind and all in it; one that nothing opened is left to the parser."""
        due = self.open
        if due[-1] == bracket:
            del due[-1]
            self.braces -= bracket == _END_BRACE
        elif self.braces if bracket == _END_BRACE else len(due) > self.braces:
            innermost = due.rindex(bracket)
            self.braces -= due.count(_END_BRACE, innermost)
            del due[innermost:]


def split_list(chunks: Iterable[bytes]) -> Iterator[RecordText]:
    """The records of a JSON list, whose text begins with `[` behind white space.

    A record whose brackets do not match is cut at the comma behind the bracket that closes it. Text that is missing
    at the end, or too much, is a last record with `fault`.
    """
    cut, begun, ended, count = _Cutter(), False, False, 0
    for chunk in chunks:
        pos = 0
        if not begun:
            pos, begun = chunk.index(b"[") + 1, True
        while pos < len(chunk) and not ended:
            stop = cut.scan(chunk, pos)
            cut.keep(chunk[pos:stop])
            pos = stop + 1
            if stop == len(chunk):
                break
            ended = chunk[stop] == _END
            record = cut.take()
            if not ended or count or record.text.strip():  # `[]` holds none
                count += 1
                yield record
        if ended:
            cut.keep(chunk[pos:])
            if len(rest := cut.take().text.strip()):
                yield RecordText(rest, len(rest), 0, fault="text behind the end of the list")
                return
    if not ended:
        if not cut.open and not cut.in_string and (record := cut.take()).text.strip():
            yield record
        yield cut.take("the file ends within the list")


def split_lines(chunks: Iterable[bytes]) -> Iterator[RecordText]:
    """The lines without their ends."""
    cut = _Cutter()
    for chunk in chunks:
        first, *more = chunk.split(b"\n")
        cut.keep(first)
        for start in more:
            yield _take_line(cut)
            cut.keep(start)
    yield _take_line(cut)


def _take_line(cut: _Cutter) -> RecordText:
    line = cut.take()
    if not line.is_cut and line.text.count(b"[") + line.text.count(b"{") > MAX_DEPTH:
        probe = _Cutter()
        pos = 0
        while pos < len(line.text):
            pos = probe.scan(line.text, pos) + 1
        return RecordText(line.text, line.size, probe.depth)
    return line
