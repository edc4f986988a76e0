"""Anthropic's Messages API (ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL), prompt caching and extended thinking included."""

import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Self

import orjson
from pydantic import model_validator

from annotators.http import CLOCKS_DIFFER_S, NO_KEY, SdkClient, key_from
from annotators.http_guard import event_hooks
from annotators.messages import (
    MOST_TOKENS,
    ContentPart,
    Failure,
    ImagePart,
    PayloadError,
    Reply,
    Request,
    TextPart,
    VideoPart,
)
from annotators.payload import (
    Count,
    Payload,
    clean,
    parse_reply,
    parse_usage,
    require_parts_within,
    text_or_ignored,
    validate,
)
from annotators.settings import Settings
from corpus.errors import UsageError

KEY = "ANTHROPIC_API_KEY"
OFFICIAL = "https://api.anthropic.com"
_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
}
_CACHED = {"type": "ephemeral"}


class _Block(Payload):
    type: str
    text: str | None = None
    thinking: str | None = None


class _OutputDetails(Payload):
    thinking_tokens: Count | None = None


class _Usage(Payload):
    input_tokens: Count | None = None  # without the cached ones
    output_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    output_tokens_details: _OutputDetails | None = None

    @model_validator(mode="after")
    def _parts_within(self) -> Self:
        cached = (self.cache_read_input_tokens or 0) + (self.cache_creation_input_tokens or 0)
        if (self.input_tokens or 0) + cached > MOST_TOKENS:
            raise ValueError(f"{self.input_tokens} fresh and {cached} cached input tokens")
        reasoning = (self.output_tokens_details or _OutputDetails()).thinking_tokens or 0
        require_parts_within(cached, cached, self.output_tokens, reasoning)
        return self


class _Message(Payload):
    content: list[_Block]
    stop_reason: Any = None
    usage: Any = None
    id: Any = None


def connect(model: str, settings: Settings) -> "MessagesTeacher":
    """A Messages teacher at ANTHROPIC_BASE_URL, else at Anthropic's own address."""
    if settings.native_video:
        raise UsageError("--native-video: Anthropic's API takes no videos; leave the flag out to send frames")
    return MessagesTeacher(model, settings, key_from(KEY, settings), os.environ.get("ANTHROPIC_BASE_URL") or OFFICIAL)


class MessagesTeacher:
    """One model behind a Messages endpoint."""

    path = "/v1/messages"

    def __init__(self, model: str, settings: Settings, secret: str, base_url: str) -> None:
        import anthropic
        import httpx2

        self.model = model
        self.secret = secret
        self.has_key = secret != NO_KEY
        self.caches = settings.n > 1
        self.address = base_url.rstrip("/")
        self.client = anthropic.AsyncAnthropic(
            api_key=secret,
            base_url=base_url,
            max_retries=0,
            http_client=anthropic.DefaultAioHttpClient(
                limits=httpx2.Limits(max_connections=settings.concurrency + 8), event_hooks=event_hooks(base_url)
            ),
        )
        self.http = SdkClient(anthropic, anthropic.AnthropicError, self.client, secret, settings.timeout_s)

    def body(self, request: Request) -> dict[str, Any]:
        """The request as a Messages body; with several traces of a sample its prompt is cached after the first.

        The API takes no seed. With extended thinking it takes no temperature either, and `max_tokens` must exceed the
        thinking's share, so that share is added.
        """
        content = [_part(part) for part in request.parts]
        if self.caches and any(isinstance(part, ImagePart) for part in request.parts):
            content[-1]["cache_control"] = _CACHED
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": request.max_tokens,
            "messages": [{"role": "user", "content": content}],
        }
        if request.system:
            body["system"] = [{"type": "text", "text": request.system, "cache_control": _CACHED}]
        if request.thinking_tokens:
            body["max_tokens"] += request.thinking_tokens
            body["thinking"] = {"type": "enabled", "budget_tokens": request.thinking_tokens}
        elif request.temperature is not None:
            body["temperature"] = request.temperature
        if request.top_p is not None:
            body["top_p"] = request.top_p
        if request.effort:
            # Models whose thinking adapts leave it out of the reply unless its summary is asked for.
            body["output_config"] = {"effort": request.effort}
            body.setdefault("thinking", {"type": "adaptive", "display": "summarized"})
            body.pop("temperature", None)
        return body

    def read(self, payload: Mapping[str, Any]) -> Reply:
        """Text blocks make the text, thinking blocks the thinking; the three kinds of input tokens are summed."""
        message, ignored = validate(_Message, payload), list[str]()
        thinking = "\n".join(block.thinking or "" for block in message.content if block.type == "thinking").strip()
        stop = text_or_ignored(message.stop_reason, "stop_reason", ignored)
        usage = parse_usage(_Usage, message.usage, ignored)
        cached = usage.cache_read_input_tokens or 0
        written = usage.cache_creation_input_tokens or 0
        fresh = usage.input_tokens
        return Reply(
            text="".join(block.text or "" for block in message.content if block.type == "text"),
            thinking=thinking or None,
            finish_reason=_FINISH.get(stop or "", stop),
            input_tokens=None if fresh is None else fresh + cached + written,
            output_tokens=usage.output_tokens,
            cached_tokens=cached,
            cache_write_tokens=written,
            reasoning_tokens=(usage.output_tokens_details or _OutputDetails()).thinking_tokens or 0,
            request_id=text_or_ignored(message.id, "id", ignored),
            ignored=tuple(ignored),
        )

    async def send(self, body: bytes, key: str) -> Reply:
        """One exchange; raises Failure."""
        response = await self.http.post(self.path, body, key)
        return parse_reply(response.body, self.secret, self.read, response.headers.get("request-id"))

    async def count(self, request: Request) -> int:
        """The input tokens of a request as the provider counts them, free of charge."""
        body = self.body(request)
        wanted = {name: body[name] for name in ("model", "messages", "system", "thinking") if name in body}
        with self.http.failures():
            return (await self.client.messages.count_tokens(**wanted)).input_tokens

    # -- the Message Batches API ---------------------------------------------------------------------------------------

    batch_max = (100_000, 256_000_000)

    def batch_line(self, custom_id: str, body: bytes) -> bytes:
        """A request as an element of a batch's list."""
        return b'{"custom_id":"' + custom_id.encode() + b'","params":' + body + b"}\n"

    async def batch_submit(self, key: str, path: Path) -> str:
        """Make a batch of the lines; they are streamed from the disk as one JSON list."""
        lines = path.stat().st_size
        with open(path, "rb") as file:
            count = sum(1 for _ in file)
        head, tail = b'{"requests":[', b"]}"

        async def pieces() -> AsyncIterator[bytes]:
            yield head
            with open(path, "rb") as file:
                for number, line in enumerate(file):
                    yield (b"," if number else b"") + line.rstrip(b"\n")
            yield tail

        # A line's end becomes a comma, but for the last one's.
        length = len(head) + lines - 1 + len(tail) if count else len(head) + len(tail)
        import httpx2

        with self.http.failures():
            made = await self.client.post(
                "/v1/messages/batches",
                cast_to=httpx2.Response,
                content=pieces(),
                options={"headers": {"Idempotency-Key": key, "Content-Length": str(length)}, "timeout": 600.0},
            )
            batch_id = orjson.loads(made.content).get("id")
            if not batch_id:
                raise PayloadError("the new batch has no id")
            return str(batch_id)

    async def batch_find(self, key: str, since: float, requests: int, known: set[str]) -> str | None:
        """A batch of so many requests, the first that was made since `since` and is not known.

        The API keeps no mark of ours with a batch, and shows its custom ids in its results only: those tell, once it
        has ended, whether it is the one.
        """
        found = None
        with self.http.failures():
            async for batch in self.client.messages.batches.list(limit=100):  # the newest first
                if batch.created_at.timestamp() < since - CLOCKS_DIFFER_S:
                    break
                counts = batch.request_counts
                held = counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
                if held == requests and batch.id not in known:
                    found = batch.id
        return found

    async def batch_ended(self, batch_id: str) -> bool:
        """True once every request has succeeded, failed or expired."""
        with self.http.failures():
            return (await self.client.messages.batches.retrieve(batch_id)).processing_status == "ended"

    async def batch_results(self, batch_id: str) -> AsyncIterator[tuple[str, Reply | Failure]]:
        """The lines of the results file."""
        with self.http.failures():
            async for line in await self.client.messages.batches.results(batch_id):
                result = line.result
                if result.type == "succeeded":
                    yield line.custom_id, self._reply(result.message.to_json(indent=None).encode())
                elif result.type == "errored":
                    error = result.error.error
                    detail = clean(f"{error.type}: {error.message}", self.secret)
                    ours = error.type in ("invalid_request_error", "not_found_error", "permission_error")
                    yield line.custom_id, Failure("bad_request" if ours else "server_error", detail, retryable=not ours)
                else:
                    yield line.custom_id, Failure("expired", result.type, retryable=True)

    def _reply(self, body: bytes) -> Reply | Failure:
        try:
            return parse_reply(body, self.secret, self.read)
        except Failure as failure:
            return failure

    async def close(self) -> None:
        """Close the connections."""
        await self.http.close()


def _part(part: ContentPart) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            return {"type": "image", "source": {"type": "base64", "media_type": part.mime, "data": part.base64}}
        case VideoPart():
            raise TypeError("Anthropic's API takes no videos")
