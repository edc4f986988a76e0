"""From a provider's bytes to a reply: what every provider file does around its own `read`.

Nothing in a payload is trusted. What the answer consists of must have the promised types, or the exchange failed. What
only describes the answer (its id, why it ended, its token counts) is ignored where it cannot be used, and named: an
answer that was paid for is not thrown away for it.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from annotators.messages import MOST_TOKENS, Failure, PayloadError, Reply
from annotators.redaction import holds_key, redact, redact_key, safe_id

_DETAIL_CHARACTERS = 500
_FOUND_CHARACTERS = 60
_ESCAPED = (b"\\u00", b"\\/")  # ASCII that hides behind JSON's escapes

Count = Annotated[int, Field(ge=0, le=MOST_TOKENS)]


class Payload(BaseModel):
    """A part of a provider's payload: strict types, unknown fields ignored."""

    model_config = ConfigDict(strict=True, extra="ignore")


ModelT = TypeVar("ModelT", bound=BaseModel)


def clean(text: str, secret: str) -> str:
    """`text` without the API key and anything that looks like one, at most 500 characters of it."""
    return redact(text[: 20 * _DETAIL_CHARACTERS], secret)[:_DETAIL_CHARACTERS]


def validate(model: type[ModelT], payload: Any) -> ModelT:
    """The payload as `model`. Raises PayloadError naming the field, what is wrong with it and what was found."""
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        raise PayloadError(_describe(error)) from None


def parse_body(model: type[ModelT], body: bytes, secret: str) -> ModelT:
    """A JSON body as `model`. Raises Failure, retryable, for a body that is no JSON or another payload."""
    try:
        return validate(model, orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise Failure("broken_body", f"{len(body)} bytes, {error}", retryable=True, unsure=True) from None
    except PayloadError as error:
        raise Failure("unexpected_body", clean(str(error), secret), retryable=True, unsure=True) from None


def parse_usage(model: type[ModelT], usage: Any, ignored: list[str]) -> ModelT:
    """Token counts; all unknown, and named in `ignored`, where one is negative, absurd or of another type."""
    try:
        return validate(model, {} if usage is None else usage)
    except PayloadError as error:
        ignored.append(f"usage.{error}")
        return model()


def require_parts_within(input_tokens: int | None, cached: int, output_tokens: int | None, reasoning: int) -> None:
    """Raises ValueError where cached input or reasoning output is more than the whole of it: its price would fall."""
    if cached > (input_tokens or 0) or reasoning > (output_tokens or 0):
        raise ValueError(
            f"{cached} cached of {input_tokens} input tokens, {reasoning} reasoning of {output_tokens} output tokens"
        )


def parse_reply(body: bytes, secret: str, read: Callable[[Any], Reply], request_id: str | None = None) -> Reply:
    """The reply in a whole body, which becomes its `raw`; `request_id` overrides the payload's own.

    Raises Failure, retryable, for a body that is no JSON or not what the API promises. `secret` is blanked out, also
    where JSON's escapes hide it.
    """
    try:
        payload = orjson.loads(body)
        if holds_key(body, secret) or any(escape in body for escape in _ESCAPED):
            plain = orjson.dumps(payload)
            if holds_key(plain, secret):
                body = redact_key(plain.decode(), secret).encode()
                payload = orjson.loads(body)
        reply = read(payload)
    except orjson.JSONDecodeError as error:
        raise Failure("broken_body", f"{len(body)} bytes, {error}", retryable=True, unsure=True) from None
    except (PayloadError, KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        # A payload is not trusted: `read` of a plug-in meets values of any type in it.
        detail = clean(f"{type(error).__name__}: {error}", secret)
        raise Failure("unexpected_body", detail, retryable=True, unsure=True) from None
    return _with_safe_words(replace(reply, raw=body, request_id=request_id or reply.request_id), secret)


def text_or_ignored(value: Any, name: str, ignored: list[str]) -> str | None:
    """`value` if it is text; None for anything else, named in `ignored` unless it is null."""
    if value is None or isinstance(value, str):
        return value
    ignored.append(f"{name}: should be text, found {describe(value)}")
    return None


def describe(value: object) -> str:
    """A value from outside in a few words: its type and its beginning."""
    text = str(value) if isinstance(value, (str, int, float, bool)) else ""
    return f"{type(value).__name__} {text[:_FOUND_CHARACTERS]}".rstrip()


def _with_safe_words(reply: Reply, secret: str) -> Reply:
    """The reply with the two words that reach the catalog's statistics only where they are safe ids."""
    changes: dict[str, Any] = {}
    ignored = list(reply.ignored)
    for name in ("finish_reason", "request_id"):
        value = getattr(reply, name)
        if value is not None and safe_id(value, secret) is None:
            changes[name] = None
            ignored.append(f"{name}: no id of at most 128 plain characters, or it shows a key")
    return replace(reply, **changes, ignored=tuple(ignored)) if changes else reply


def _describe(error: ValidationError) -> str:
    """The first field that does not fit: where, what is wrong, what was found."""
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the payload"
    if first["type"] == "missing":
        return f"{where}: is missing"
    return f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}, found {describe(first['input'])}"
