"""HTTP through an official SDK: bodies and headers out, and what each way of failing means for the run.

The SDK builds, signs and sends the request over its aiohttp transport; the body goes in and comes out as bytes. That
skips the SDK's walk over nested parameters and its models of the response, two fifths of its CPU time per request, and
keeps the provider's JSON exactly as it was sent. What the bytes mean is for the provider's file to say.
"""

import asyncio
import errno
import json
import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from types import ModuleType
from typing import Any

from annotators.messages import Failure, PayloadError
from annotators.payload import clean
from annotators.settings import Settings
from corpus.errors import OneThinkerError

NO_KEY = "no-key"
SHORTEST_RETRY_AFTER_S = 0.1  # a shorter wait is none: a server that always asks for it would be asked without a pause
LONGEST_RETRY_AFTER_S = 3600.0
CLOCKS_DIFFER_S = 600.0  # by at most so much do a provider's clock and ours
_NETWORK_ERRNOS = {errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH}


def key_from(variable: str, settings: Settings) -> str:
    """The API key in an environment variable; NO_KEY for a dry run without one, which asks nothing.

    Raises OneThinkerError naming the variable if it is not set, or holds what cannot stand in an HTTP header.
    """
    key = os.environ.get(variable, "").strip()
    if odd := next((letter for letter in key if not "!" <= letter <= "~"), None):
        raise OneThinkerError(f"{variable} is no API key: it holds {odd!r}, and keys are of printable ASCII letters")
    if not key and not settings.dry_run:
        raise OneThinkerError(
            f"no API key for '{settings.provider}': set {variable} (for a server that wants none, any text will do)"
        )
    return key or NO_KEY


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A whole response of a success status."""

    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class SdkClient:
    """A client of an official SDK: the SDK's module and base exception, the key that no text may show."""

    sdk: ModuleType
    sdk_error: type[Exception]
    client: Any
    secret: str
    timeout_s: float

    async def post(self, path: str, body: bytes, key: str) -> HttpResponse:
        """POST `body` under the idempotency key `key`; raises Failure.

        The timeout is for the whole exchange, so that an answer that drips in for ever ends in one.
        """
        import httpx2

        with self.failures():
            try:
                async with self.time_limit(key):
                    response = await self.client.post(
                        path,
                        cast_to=httpx2.Response,
                        content=body,
                        options={"headers": {"Idempotency-Key": key}, "timeout": self.timeout_s},
                    )
            except TimeoutError:
                detail = f"no whole answer within {self.timeout_s:g} s"
                raise Failure("timeout", detail, retryable=True, unsure=True) from None
        return HttpResponse(response.content, response.headers)

    def time_limit(self, key: str) -> asyncio.Timeout:
        """The limit of one exchange, by its idempotency key."""
        return asyncio.timeout(self.timeout_s)

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Turn what the SDK, the network or a broken payload raises within the block into Failure."""
        try:
            yield
        except Failure:
            raise
        except Exception as error:
            failure = self.failure(error)
            if failure is None:
                raise
            raise failure from None

    def failure(self, error: Exception) -> Failure | None:
        """What an exception raised by a call of the SDK means; None for a fault of the program, which must propagate.

        Only what is known to pass is retryable: statuses that say so, time-outs, broken connections, broken payloads.
        Anything else that the SDK or its transport raises is a Failure whose detail names the exception's type.
        """
        sdk, cause = self.sdk, error.__cause__
        if isinstance(cause, Failure):  # of a hook of the client, which the SDK wraps
            return cause
        if isinstance(error, sdk.APIStatusError):
            return status_failure(error.status_code, _status_detail(error, self.secret), error.response.headers)
        reason: str | None
        if isinstance(error, sdk.APIResponseValidationError):
            reason = "unexpected_body"
        elif isinstance(error, sdk.APIConnectionError):
            # Anthropic's SDK wraps every exception in this one, a fault of the program included.
            unexplained = "timeout" if isinstance(error, sdk.APITimeoutError) else "connection"
            reason = _transport_reason(cause) if isinstance(cause, Exception) else unexplained
        elif isinstance(error, self.sdk_error):
            reason = "sdk_error"
        else:
            reason = _transport_reason(error)
        if reason is None:
            return None
        detail = clean(_describe(error) + (f" ({_describe(cause)})" if cause else ""), self.secret)
        passes = reason != "sdk_error"
        return Failure(reason, detail, retryable=passes, unsure=passes)

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()


def _transport_reason(error: Exception) -> str | None:
    """The reason of a failure for what a transport raises, `sdk_error` if it will not pass; None if none raises it."""
    import aiohttp
    import anyio
    import httpx2

    match error:
        case json.JSONDecodeError() | httpx2.DecodingError():
            return "broken_body"
        case PayloadError():
            return "unexpected_body"
        case httpx2.ConnectTimeout():  # also what the aiohttp transport makes of a server that disconnects
            return "connection"
        case httpx2.TimeoutException() | TimeoutError():
            return "timeout"
        case httpx2.NetworkError() | httpx2.RemoteProtocolError() | httpx2.ProxyError() | anyio.EndOfStream():
            return "connection"
        case httpx2.HTTPError() | httpx2.InvalidURL() | httpx2.StreamError() | aiohttp.InvalidURL():
            return "sdk_error"
        case aiohttp.ClientError() | ConnectionError() | ssl.SSLError() | socket.gaierror():
            return "connection"
        case OSError() if error.errno in _NETWORK_ERRNOS:
            return "connection"
    return None


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _status_detail(error: Any, secret: str) -> str:
    body = error.body
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


def status_failure(status: int, detail: str, headers: Any = None) -> Failure:
    """What an HTTP error status means: retry, slow down, stop the run, or give this one sample up."""
    detail, lower = f"HTTP {status}: {detail}", detail.lower()
    wait_s = retry_after(headers or {})
    if status == 402 or (status in (400, 403, 429) and any(word in lower for word in _NO_CREDIT)):
        return Failure("no_credit", detail, fatal=True)
    if status in (401, 403):
        return Failure("refused_key", detail, fatal=True)
    if status == 404:
        return Failure("unknown_model", detail, fatal=True)
    if status in (405, 501):
        return Failure("not_served", detail, fatal=True)
    if status == 429:
        return Failure("rate_limited", detail, retryable=True, overload=True, retry_after_s=wait_s)
    if status in (503, 529):
        return Failure("overloaded", detail, retryable=True, overload=True, retry_after_s=wait_s)
    if status in (408, 409) or status >= 500:
        return Failure("server_error", detail, retryable=True, retry_after_s=wait_s)
    return Failure("bad_request", detail)


def retry_after(headers: Any) -> float | None:
    """Seconds that the provider asks us to wait: `retry-after-ms`, `retry-after` in seconds or as a date.

    None, which means exponential backoff, where it asks for nothing, for less than SHORTEST_RETRY_AFTER_S, or for what
    is no time.
    """
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
    except (ValueError, TypeError, OverflowError):
        return None


def _bounded(seconds: float) -> float | None:
    return min(seconds, LONGEST_RETRY_AFTER_S) if seconds >= SHORTEST_RETRY_AFTER_S else None
