"""Requests, replies, failures and the `Teacher` protocols, independent of any provider's format."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

MOST_TOKENS = 10_000_000  # of one exchange; no model's context is as long, and the money for more fits no column


@dataclass(frozen=True, slots=True)
class TextPart:
    """Words of the prompt."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image or a video frame, encoded: its MIME type, base64 text, and size in pixels (for token estimates)."""

    mime: str
    base64: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class VideoPart:
    """A whole video, for the APIs that take one."""

    mime: str
    base64: str
    duration_s: float


ContentPart = TextPart | ImagePart | VideoPart


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a teacher; None leaves a setting to the provider."""

    parts: tuple[ContentPart, ...]
    max_tokens: int
    system: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    effort: str | None = None
    thinking_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A provider's answer, read: the text, the thinking that came apart from it, and what it used.

    `finish_reason` is one of stop, length, refusal, content_filter, tool_calls, or the provider's own word.
    `cached_tokens` are part of `input_tokens`, `reasoning_tokens` part of `output_tokens`. `cache_write_tokens` are
    input tokens too, dearer where a provider charges for writing its cache. `ignored` names what the provider sent
    beside its answer and could not be used, with what was found.

    Raises PayloadError for a field of another type or a count that cannot be: a reply is journaled as it is.
    """

    text: str
    thinking: str | None
    finish_reason: str | None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    raw: bytes = b""
    request_id: str | None = None
    ignored: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if type(self.text) is not str or type(self.raw) is not bytes:
            raise PayloadError("a reply's text is a str and its raw body bytes")
        for name in ("thinking", "finish_reason", "request_id"):
            value = getattr(self, name)
            if value is not None and type(value) is not str:
                raise PayloadError(f"{name} of a reply is text, not {value!r:.80}")
        for name in ("cached_tokens", "cache_write_tokens", "reasoning_tokens", "input_tokens", "output_tokens"):
            value = getattr(self, name)
            if (value is not None or name not in ("input_tokens", "output_tokens")) and not is_count(value):
                raise PayloadError(f"{name} of a reply is a count of 0 to {MOST_TOKENS:,}, not {value!r:.80}")


def is_count(value: object) -> bool:
    """Whether `value` can be a number of tokens of one exchange."""
    return type(value) is int and 0 <= value <= MOST_TOKENS


@dataclass
class Failure(Exception):  # noqa: N818, it names a state of the request
    """A request without an answer, and what to do about it.

    `reason` is a stable word. `retryable`: the same request may succeed later. `overload`: the provider asks the client
    to slow down. `fatal`: no request of this run can succeed (key, quota, billing). `unsure`: the request may have been
    answered and charged all the same. `retry_after_s` is the wait that the provider asked for.
    """

    reason: str
    detail: str
    retryable: bool = False
    overload: bool = False
    fatal: bool = False
    unsure: bool = False
    retry_after_s: float | None = None

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class PayloadError(ValueError):
    """A payload that is not what the API promises; the message names the field and what was found."""


@runtime_checkable
class Teacher(Protocol):
    """An open connection to one model of one provider; a provider file's `connect(model, settings)` makes it."""

    address: str  # tells this endpoint from another one that serves the same model; no secrets

    def body(self, request: Request) -> dict[str, Any]:
        """The request in the provider's format."""

    async def send(self, body: bytes, key: str) -> Reply:
        """Send a body, `key` naming it for providers with idempotency; raises Failure."""

    async def close(self) -> None:
        """Close the connections."""


@runtime_checkable
class CountingTeacher(Teacher, Protocol):
    """A teacher whose provider counts a request's input tokens free of charge."""

    has_key: bool  # False in a dry run without a key, which can ask nothing

    async def count(self, request: Request) -> int:
        """The input tokens of a request; raises Failure."""


@runtime_checkable
class BatchTeacher(Teacher, Protocol):
    """A teacher whose provider has a batch API."""

    batch_max: tuple[int, int]  # requests and bytes in one batch

    def batch_line(self, custom_id: str, body: bytes) -> bytes:
        """A request as a line of a batch."""

    async def batch_submit(self, key: str, path: Path) -> str:
        """Make a batch of a file of lines and return its id; raises Failure."""

    async def batch_find(self, key: str, since: float, requests: int, known: set[str]) -> str | None:
        """The id of a batch that was made under `key` and is not in `known`, or None; raises Failure.

        `since` is the Unix time of the first submission, `requests` the size of the batch.
        """

    async def batch_ended(self, batch_id: str) -> bool:
        """Whether its results are there; raises Failure, fatal if the provider refused the whole batch."""

    def batch_results(self, batch_id: str) -> AsyncIterator[tuple[str, Reply | Failure]]:
        """Each request's custom id with its reply, or with why there is none; raises Failure."""
