"""One HTTP exchange through an official SDK, and what its many ways of failing mean for us.

The SDK builds, signs and sends the request over its aiohttp transport; the body goes in and comes out as bytes. That
skips the SDK's walk over nested parameters and its models of the response, two fifths of its CPU time per request,
keeps the provider's JSON exactly as it was sent, and makes a body that was cut off an error of ours to retry.
"""

import asyncio
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

import orjson

from annotators.messages import Failure, Reply, Unreadable
from annotators.settings import Settings
from corpus.errors import OneThinkerError

_KEYS = re.compile(r"\b(?:sk|key|pk|ak|AIza)[-_][A-Za-z0-9_\-*]{8,}|Bearer\s+\S+", re.IGNORECASE)
_DETAIL_CHARACTERS = 500
NO_KEY = "no-key"
LONGEST_RETRY_AFTER_S = 3600.0
CLOCKS_DIFFER_S = 600.0  # by at most so much do a provider's clock and ours


def key_from(variable: str, settings: Settings) -> str:
    """The API key in an environment variable; NO_KEY for a dry run without one, which asks nobody anything.

    Raises OneThinkerError naming the variable where it is not set.
    """
    key = os.environ.get(variable, "").strip()
    if not key and not settings.dry_run:
        raise OneThinkerError(
            f"no API key for '{settings.provider}': set {variable} (for a server that wants none, any text will do)"
        )
    return key or NO_KEY


def clean(text: str, secret: str) -> str:
    """`text` without the API key and without whatever looks like one, at most 500 characters of it."""
    return _KEYS.sub("[key]", text.replace(secret, "[key]") if secret else text)[:_DETAIL_CHARACTERS]


async def exchange(
    client: Any, path: str, body: bytes, *, key: str, secret: str, timeout_s: float, read: Callable[[Any], Reply]
) -> Reply:
    """POST `body` with the SDK's `client` and read the reply; raises Failure and nothing else.

    `timeout_s` is for the whole exchange: an answer that drips in for ever counts as a hang. `secret` is blanked out
    of all that is kept.
    """
    import httpx2

    try:
        async with asyncio.timeout(timeout_s):
            response = await client.post(
                path,
                cast_to=httpx2.Response,
                content=body,
                options={"headers": {"Idempotency-Key": key}, "timeout": timeout_s},
            )
    except TimeoutError:
        raise Failure("timeout", f"no whole answer within {timeout_s:g} s", again=True, unsure=True) from None
    except Exception as error:
        raise _failure(error, secret) from None
    return understood(response.content, secret, read, response.headers)


def understood(raw: bytes, secret: str, read: Callable[[Any], Reply], headers: Any) -> Reply:
    """The reply in a whole body; raises Failure, retryable, for one that is no JSON or not what the API promises."""
    if secret and secret.encode() in raw:
        raw = raw.replace(secret.encode(), b"[key]")
    try:
        reply = read(orjson.loads(raw))
    except orjson.JSONDecodeError as error:
        raise Failure("broken_body", f"{len(raw)} bytes, {error}", again=True, unsure=True) from None
    except (Unreadable, KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        detail = clean(f"{type(error).__name__}: {error}", secret)
        raise Failure("unexpected_body", detail, again=True, unsure=True) from None
    request_id = headers.get("x-request-id") or headers.get("request-id") or reply.request_id
    return replace(reply, raw=raw, request_id=request_id)


@contextmanager
def failures(secret: str) -> Iterator[None]:
    """Turn what the SDK raises within the block into Failure."""
    try:
        yield
    except (Failure, GeneratorExit, asyncio.CancelledError):
        raise
    except Exception as error:
        raise _failure(error, secret) from None


def _failure(error: Exception, secret: str) -> Failure:
    status = getattr(error, "status_code", None)
    if status is not None:
        return of_status(status, _body(error, secret), getattr(error, "response", None))
    name = type(error).__name__
    cause = error.__cause__
    detail = clean(f"{name}: {error}" + (f" ({type(cause).__name__}: {cause})" if cause else ""), secret)
    if "Timeout" in name and "Connect" not in type(cause).__name__:
        return Failure("timeout", detail, again=True, unsure=True)
    if "Connection" in name or "Timeout" in name or isinstance(error, OSError):
        return Failure("connection", detail, again=True, unsure=True)
    if isinstance(error, (TypeError, AttributeError, NameError)):
        raise error  # a fault of the program, not of the provider
    return Failure("connection", detail, again=True, unsure=True)


def _body(error: Exception, secret: str) -> str:
    body = getattr(error, "body", None)
    if isinstance(body, dict):
        inner = body.get("error", body)
        if isinstance(inner, dict):
            words = [str(inner[k]) for k in ("type", "code", "message") if inner.get(k)]
            return clean(" ".join(words) or str(inner), secret)
    return clean(str(body or error), secret)


# Words in error bodies that mean an empty account: neither waiting nor another sample helps. A 429 that only speaks of
# "quota" and "billing details" is an ordinary rate limit (Gemini says so every minute).
_NO_CREDIT = (
    "insufficient_quota",
    "credit balance",
    "billing_hard_limit",
    "billing_not_active",
    "account is suspended",
)


def of_status(status: int, detail: str, response: Any = None) -> Failure:
    """What an HTTP error status means: retry, slow down, stop the run, or give this one sample up."""
    headers = response.headers if response is not None else {}
    said = f"HTTP {status}: {detail}"
    wait_s = retry_after(headers)
    if status == 402 or (status in (400, 403, 429) and any(word in detail.lower() for word in _NO_CREDIT)):
        return Failure("no_credit", said, fatal=True)
    if status in (401, 403):
        return Failure("refused_key", said, fatal=True)
    if status == 404:
        return Failure("unknown_model", said, fatal=True)
    if status == 429:
        return Failure("rate_limited", said, again=True, overload=True, retry_after_s=wait_s)
    if status in (503, 529):
        return Failure("overloaded", said, again=True, overload=True, retry_after_s=wait_s)
    if status in (408, 409) or status >= 500:
        return Failure("server_error", said, again=True, retry_after_s=wait_s)
    return Failure("bad_request", said)


def retry_after(headers: Any) -> float | None:
    """Seconds that the provider asks us to wait: `retry-after-ms`, `retry-after` in seconds or as a date."""
    try:
        if headers.get("retry-after-ms"):
            return _bounded(float(headers["retry-after-ms"]) / 1000)
        value = headers.get("retry-after")
        if not value:
            return None
        try:
            return _bounded(float(value))
        except ValueError:
            return _bounded(parsedate_to_datetime(value).timestamp() - time())
    except (ValueError, TypeError):
        return None


def _bounded(seconds: float) -> float | None:
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S) if seconds == seconds else None
