"""Anthropic's Messages API (ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL), prompt caching and extended thinking included."""

import os
from collections.abc import Mapping
from typing import Any

from annotators.asking import Clip, Part, Picture, Reply, Request, Text, Unreadable
from annotators.settings import Settings
from annotators.wire import exchange, key_from
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


def connect(model: str, settings: Settings) -> "Messages":
    """A Messages teacher at ANTHROPIC_BASE_URL, else at Anthropic's own address."""
    if settings.native_video:
        raise UsageError("--native-video: Anthropic's API takes no videos; leave the flag out to send frames")
    return Messages(model, settings, key_from(KEY, "anthropic"), os.environ.get("ANTHROPIC_BASE_URL") or OFFICIAL)


class Messages:
    """One model behind a Messages endpoint."""

    path = "/v1/messages"

    def __init__(self, model: str, settings: Settings, secret: str, base_url: str) -> None:
        import httpx2
        from anthropic import AsyncAnthropic, DefaultAioHttpClient

        self.model = model
        self.secret = secret
        self.timeout_s = settings.timeout_s
        self.caches = settings.n > 1
        self.address = base_url.rstrip("/")
        self.client = AsyncAnthropic(
            api_key=secret,
            base_url=base_url,
            max_retries=0,
            http_client=DefaultAioHttpClient(limits=httpx2.Limits(max_connections=settings.concurrency + 8)),
        )

    def body(self, request: Request) -> dict[str, Any]:
        """The request as a Messages body; with several traces of a sample its prompt is cached after the first.

        The API takes no seed. With extended thinking it takes no temperature either, and `max_tokens` must exceed the
        thinking's share, so that share is added.
        """
        content = [_part(part) for part in request.parts]
        if self.caches and any(isinstance(part, Picture) for part in request.parts):
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
        if payload.get("type") == "error" or "content" not in payload:
            raise Unreadable(f"no content in {sorted(payload)}")
        blocks = payload["content"]
        thinking = "\n".join(b.get("thinking", "") for b in blocks if b.get("type") == "thinking").strip()
        stop = payload.get("stop_reason")
        usage = payload.get("usage") or {}
        cached = usage.get("cache_read_input_tokens") or 0
        written = usage.get("cache_creation_input_tokens") or 0
        fresh = usage.get("input_tokens")
        return Reply(
            text="".join(b["text"] for b in blocks if b.get("type") == "text"),
            thinking=thinking or None,
            finish_reason=_FINISH.get(stop or "", stop),
            input_tokens=None if fresh is None else fresh + cached + written,
            output_tokens=usage.get("output_tokens"),
            cached_tokens=cached,
            cache_write_tokens=written,
            reasoning_tokens=(usage.get("output_tokens_details") or {}).get("thinking_tokens") or 0,
            request_id=payload.get("id"),
        )

    async def send(self, body: bytes, key: str) -> Reply:
        """One exchange; raises Failure."""
        return await exchange(
            self.client, self.path, body, key=key, secret=self.secret, timeout_s=self.timeout_s, read=self.read
        )

    async def count(self, request: Request) -> int:
        """The input tokens of a request as the provider counts them, free of charge."""
        body = self.body(request)
        wanted = {name: body[name] for name in ("model", "messages", "system", "thinking") if name in body}
        return (await self.client.messages.count_tokens(**wanted)).input_tokens

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Picture():
            return {"type": "image", "source": {"type": "base64", "media_type": part.mime, "data": part.base64}}
        case Clip():
            raise TypeError("Anthropic's API takes no videos")
