"""What each exception of an SDK and its transport means: retried, given up, or a fault of the program."""

import asyncio
import errno
import json
import socket
import ssl
from types import SimpleNamespace
from typing import Any

import aiohttp
import anthropic
import anyio
import httpx2
import openai
import orjson
import pytest

from annotators.http import SdkClient
from annotators.messages import Failure, PayloadError, Reply
from annotators.payload import parse_reply

SDKS = {"openai": (openai, openai.OpenAIError), "anthropic": (anthropic, anthropic.AnthropicError)}
REQUEST = httpx2.Request("POST", "http://here/v1")


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def json_error() -> Exception:
    try:
        return json.loads("{")  # type: ignore[no-any-return]
    except ValueError as error:
        return error


def transport_errors() -> list[tuple[Exception, str | None]]:
    """Exceptions of the transport, with the reason of the failure; None for those that no transport raises."""
    return [
        (httpx2.ReadTimeout("x"), "timeout"),
        (httpx2.PoolTimeout("x"), "timeout"),
        (httpx2.ConnectTimeout("x"), "connection"),
        (httpx2.ConnectError("x"), "connection"),
        (httpx2.ReadError("x"), "connection"),
        (httpx2.RemoteProtocolError("x"), "connection"),
        (httpx2.ProxyError("x"), "connection"),
        (httpx2.DecodingError("x"), "broken_body"),
        (httpx2.UnsupportedProtocol("x"), "sdk_error"),
        (httpx2.TooManyRedirects("x"), "sdk_error"),
        (httpx2.InvalidURL("x"), "sdk_error"),
        (aiohttp.ServerDisconnectedError(), "connection"),
        (aiohttp.ClientPayloadError("x"), "connection"),
        (aiohttp.ServerTimeoutError(), "timeout"),
        (aiohttp.InvalidURL("x"), "sdk_error"),
        (anyio.EndOfStream(), "connection"),
        (ConnectionResetError("x"), "connection"),
        (socket.gaierror("x"), "connection"),
        (ssl.SSLError("x"), "connection"),
        (OSError(errno.ENETUNREACH, "x"), "connection"),
        (TimeoutError("x"), "timeout"),
        (json_error(), "broken_body"),
        (PayloadError("x"), "unexpected_body"),
        (OSError(errno.ENOENT, "x"), None),
        (TypeError("x"), None),
        (AttributeError("x"), None),
        (KeyError("x"), None),
        (ValueError("x"), None),
        (RuntimeError("x"), None),
    ]


def met(sdk: str, error: Exception) -> BaseException:
    """What comes out of a call that raises `error`."""
    module, base = SDKS[sdk]
    with pytest.raises(Exception) as raised, SdkClient(module, base, None, "sk-4Qz81hKw20xVb7Lm", 1.0).failures():  # noqa: PT011
        raise error
    return raised.value


def name(value: Any) -> str | None:
    return type(value).__name__ if isinstance(value, Exception) else None


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize(("error", "reason"), transport_errors(), ids=name)
def test_a_transport_s_exception_is_retried_given_up_or_raised(sdk: str, error: Exception, reason: str | None) -> None:
    for wrapped in (error, caused(SDKS[sdk][0].APIConnectionError(request=REQUEST), error)):
        found = met(sdk, wrapped)
        if reason is None:
            assert found is wrapped, "a fault of the program propagates"
            continue
        assert isinstance(found, Failure)
        assert found.reason == reason
        assert found.retryable == found.unsure == (reason != "sdk_error")
        assert type(error).__name__ in found.detail


@pytest.mark.parametrize("sdk", SDKS)
def test_the_sdk_s_own_exceptions(sdk: str) -> None:
    module, base = SDKS[sdk]

    def failure(error: Exception) -> Failure:
        found = met(sdk, error)
        assert isinstance(found, Failure)
        return found

    def status(code: int, **headers: str) -> Failure:
        response = httpx2.Response(code, request=REQUEST, headers=headers)
        body = {"error": {"type": "t", "message": "no, sk-4Qz81hKw20xVb7Lm"}}
        return failure(module.APIStatusError("x", response=response, body=body))

    assert failure(module.APITimeoutError(request=REQUEST)).reason == "timeout"
    assert failure(module.APIConnectionError(request=REQUEST)).reason == "connection"
    slow = status(429, **{"retry-after": "3"})
    assert (slow.reason, slow.retryable, slow.retry_after_s) == ("rate_limited", True, 3.0)
    assert slow.detail == "HTTP 429: t no, [key]"
    assert (status(500).reason, status(401).fatal, status(422).retryable) == ("server_error", True, False)
    odd = module.APIResponseValidationError(response=httpx2.Response(200, request=REQUEST), body=None)
    assert (failure(odd).reason, failure(odd).retryable) == ("unexpected_body", True)
    other = failure(base("what is this"))
    assert (other.reason, other.retryable, other.unsure) == ("sdk_error", False, False)
    assert other.detail == f"{base.__name__}: what is this"


def test_a_failure_and_a_cancellation_pass_through() -> None:
    failure = Failure("bad_request", "")
    assert met("openai", failure) is failure
    with pytest.raises(asyncio.CancelledError), SdkClient(openai, openai.OpenAIError, None, "", 1.0).failures():
        raise asyncio.CancelledError


def test_an_exchange_gives_the_bytes_and_headers_and_ends_at_its_limit() -> None:
    async def answer(path: str, **given: Any) -> Any:
        assert (path, given["content"]) == ("/p", b"{}")
        assert given["options"]["headers"] == {"Idempotency-Key": "k"}
        return SimpleNamespace(content=b'{"a": 1', headers={"x-request-id": "r"})

    async def never(path: str, **given: Any) -> Any:
        await asyncio.Event().wait()

    async def main() -> None:
        client = SdkClient(openai, openai.OpenAIError, SimpleNamespace(post=answer), "", 600.0)
        response = await client.post("/p", b"{}", "k")
        assert (response.body, response.headers["x-request-id"]) == (b'{"a": 1', "r")
        hanging = SdkClient(openai, openai.OpenAIError, SimpleNamespace(post=never), "", 0.01)
        with pytest.raises(Failure, match=r"timeout: no whole answer within 0.01 s"):
            await hanging.post("/p", b"{}", "k")

    asyncio.run(main())


def test_a_reply_is_read_with_its_request_id_and_without_the_key() -> None:
    def read(payload: Any) -> Reply:
        return Reply(payload["text"], None, "stop", request_id="own")

    body = orjson.dumps({"text": "the key is sk-4Qz81hKw20xVb7Lm"})
    reply = parse_reply(body, "sk-4Qz81hKw20xVb7Lm", read, "header")
    assert (reply.text, reply.request_id) == ("the key is [key]", "header")
    assert b"sk-4Qz81hKw20xVb7Lm" not in reply.raw
    assert parse_reply(body, "", read).request_id == "own"
    for broken, reason in (
        (b'{"text": ', "broken_body"),
        (b'{"words": 1}', "unexpected_body"),
        (b"[]", "unexpected_body"),
    ):
        with pytest.raises(Failure, match=reason) as raised:
            parse_reply(broken, "", read)
        assert raised.value.retryable
        assert raised.value.unsure
