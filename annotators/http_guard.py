"""What a provider's server cannot make a client do: ask another host, or read a response without an end.

Both are event hooks of httpx2, so that they hold for every request that an SDK sends, those after a redirect included.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from annotators.messages import Failure

if TYPE_CHECKING:
    import httpx2

MAX_RESPONSE_BYTES = 16 << 20  # of one response once it is unpacked; the longest answers of models are under 2 MB
_FILES = ("/content", "/results")  # how the paths of batch results end: they are large, and read line by line


def event_hooks(base_url: str) -> dict[str, list[Callable[..., Any]]]:
    """The hooks of a client that may reach the origin of `base_url` alone."""
    import httpx2

    allowed = _origin(httpx2.URL(base_url))

    async def refuse_other_hosts(request: "httpx2.Request") -> None:
        origin = _origin(request.url)
        if origin != allowed:
            raise Failure(
                "other_host", f"{allowed} leads to {origin}, which was not asked: check the base URL", fatal=True
            )

    return {"request": [refuse_other_hosts], "response": [read_bounded]}


async def read_bounded(response: "httpx2.Response") -> None:
    """Read the body, at most MAX_RESPONSE_BYTES of it; results of batches are left to be streamed. Raises Failure."""
    if response.request.url.path.endswith(_FILES):
        return
    parts, size = [], 0
    async for part in response.aiter_bytes():  # unpacked in pieces of at most 1 MiB
        size += len(part)
        if size > MAX_RESPONSE_BYTES:
            detail = f"the response has more than {MAX_RESPONSE_BYTES:,} bytes"
            raise Failure("response_too_large", detail, unsure=True)
        parts.append(part)
    response._content = b"".join(parts)  # as `Response.aread` has it


def _origin(url: "httpx2.URL") -> str:
    return f"{url.scheme}://{url.host}:{url.port or {'http': 80, 'https': 443}.get(url.scheme)}"
