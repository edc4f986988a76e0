"""What is asked and what comes back, in no provider's words: requests of parts, and replies with their usage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Text:
    """Words of the prompt."""

    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """An image or a video frame, encoded: its MIME type, base64 text, and size in pixels (for token estimates)."""

    mime: str
    base64: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Clip:
    """A whole video, for the APIs that take one."""

    mime: str
    base64: str
    duration_s: float


Part = Text | Picture | Clip


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a teacher; None leaves a setting to the provider."""

    parts: tuple[Part, ...]
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
    input tokens too, dearer where a provider charges for writing its cache.
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


@dataclass
class Failure(Exception):  # noqa: N818, it names a state of the request
    """A request that brought no answer, and what to do about it.

    `reason` is a stable word. `again`: the same request may succeed later. `overload`: the provider asks us to slow
    down. `fatal`: no request of this run can succeed (key, quota, billing). `unsure`: it may have been answered and
    charged all the same. `retry_after_s` is what the provider asked for.
    """

    reason: str
    detail: str
    again: bool = False
    overload: bool = False
    fatal: bool = False
    unsure: bool = False
    retry_after_s: float | None = None

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class Unreadable(ValueError):  # noqa: N818, it names a state of the payload and not a fault of the program
    """A payload that is not what the API promises; the message says what is missing."""


class Teacher(Protocol):
    """An open connection to one model of one provider; a provider file's `connect(model, settings)` makes it."""

    address: str  # what tells this endpoint from another one serving the same model; no secrets

    def body(self, request: Request) -> dict[str, Any]:
        """The request in the provider's words."""

    def read(self, payload: Mapping[str, Any]) -> Reply:
        """The reply in ours; raises Unreadable."""

    async def send(self, body: bytes, key: str) -> Reply:
        """Send a body, `key` naming it for providers with idempotency; raises Failure."""

    async def close(self) -> None:
        """Close the connections."""
