"""What the APIs share: parsed requests, responses, errors, and the decoding of media."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from onethinker.demo.teacher.content import ContentPart
from onethinker.demo.teacher.response import TeacherReply

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w=.+-]+)*?)(;base64)?,", re.IGNORECASE)
_PIECE = 24  # characters of text in one event of a stream


class ApiError(Exception):
    """A request that the API refuses: HTTP status, the API's error type, and the message."""

    def __init__(
        self, status: int, kind: str, message: str, *, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.param, self.code = status, kind, message, param, code


@dataclass(frozen=True)
class ApiRequest:
    """A parsed request. `cached_tokens` of its input would come from a warm prompt cache."""

    model: str
    parts: list[ContentPart]
    max_tokens: int | None
    stream: bool = False
    choices: int = 1
    cached_tokens: int = 0
    include_usage: bool = False


@dataclass(frozen=True)
class ApiResponse:
    """The replies to a request, its token counts, and an id that depends only on the request."""

    replies: list[TeacherReply]
    input_tokens: int
    output_tokens: list[int]  # of each reply
    cached_tokens: int
    id: str


def split_pieces(text: str) -> Iterator[str]:
    """A text in the pieces that a stream sends one by one."""
    yield from (text[start : start + _PIECE] for start in range(0, len(text), _PIECE))


def event(data: Mapping[str, Any], name: str | None = None) -> bytes:
    """One server-sent event with JSON data."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + orjson.dumps(data) + b"\n\n"


def decode_base64(text: Any) -> bytes:
    """The bytes of base64 text. Raises ValueError for anything else."""
    if not isinstance(text, str) or not text:
        raise ValueError("base64 data must be a non-empty string")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error


def decode_data_url(url: Any) -> bytes:
    """The bytes of a `data:…;base64,…` URL. Raises ValueError for any other URL: nothing is fetched."""
    if not isinstance(url, str):
        raise ValueError("the URL must be a string")
    head = _DATA_URL.match(url)
    if not head:
        raise ValueError("this server fetches nothing: send media as data URLs (data:image/jpeg;base64,…)")
    if not head[3]:
        raise ValueError("the data URL must be base64")
    return decode_base64(url[head.end() :])


def positive_int(body: Mapping[str, Any], name: str, most: int | None = None) -> int | None:
    """A positive integer field of a request, None if absent. Raises ValueError for any other value."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"'{name}' must be an integer")
    if value < 1 or (most is not None and value > most):
        raise ValueError(f"'{name}' must be at least 1" + (f" and at most {most}" if most else ""))
    return value
