"""From a provider's bytes to a reply: what every provider file does around its own `read`."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson

from annotators.http import clean
from annotators.messages import Failure, PayloadError, Reply


def parse_reply(body: bytes, secret: str, read: Callable[[Any], Reply], request_id: str | None = None) -> Reply:
    """The reply in a whole body, which becomes its `raw`; `request_id` overrides the payload's own.

    Raises Failure, retryable, for a body that is no JSON or not what the API promises. `secret` is blanked out.
    """
    if secret and secret.encode() in body:
        body = body.replace(secret.encode(), b"[key]")
    try:
        reply = read(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise Failure("broken_body", f"{len(body)} bytes, {error}", retryable=True, unsure=True) from None
    except (PayloadError, KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        # A payload is not trusted: `read` meets values of any type in it.
        detail = clean(f"{type(error).__name__}: {error}", secret)
        raise Failure("unexpected_body", detail, retryable=True, unsure=True) from None
    return replace(reply, raw=body, request_id=request_id or reply.request_id)
