"""Anthropic's messages: POST /v1/messages."""

from collections.abc import Iterator, Mapping
from typing import Any

from onethinker.demo.teacher import tokens
from onethinker.demo.teacher.api.common import (
    ApiError,
    ApiRequest,
    ApiResponse,
    decode_base64,
    event,
    positive_int,
    split_pieces,
)
from onethinker.demo.teacher.content import ContentPart

PATH = "/v1/messages"
COUNT_PATH = "/v1/messages/count_tokens"
API = "anthropic"

_PICTURES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_STOPS = {"stop": "end_turn", "length": "max_tokens"}


def bad_request(message: str) -> ApiError:
    """An Anthropic error with status 400."""
    return ApiError(400, "invalid_request_error", message)


def parse_request(body: Mapping[str, Any]) -> ApiRequest:
    """Parse a request. Text up to the last `cache_control` mark counts as read from the cache."""
    request = parse_count_request(body)
    try:
        most = positive_int(body, "max_tokens")
    except ValueError as error:
        raise bad_request(f"max_tokens: {error}") from error
    if most is None:
        raise bad_request("max_tokens: Field required")
    return ApiRequest(request.model, request.parts, most, bool(body.get("stream")), cached_tokens=request.cached_tokens)


def parse_count_request(body: Mapping[str, Any]) -> ApiRequest:
    """Parse a request to count tokens, which has no `max_tokens`."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise bad_request("messages: Field required")
    if not messages:
        raise bad_request("messages: at least one message is required")
    blocks: list[tuple[str, Any]] = []
    if body.get("system") is not None:
        blocks += _blocks(body["system"], "system")
    for number, message in enumerate(messages):
        where = f"messages.{number}"
        if not isinstance(message, dict) or message.get("role") not in ("user", "assistant"):
            raise bad_request(f"{where}.role: Input should be 'user' or 'assistant'")
        if message["role"] == "user":
            blocks += _blocks(message.get("content"), f"{where}.content")
    parts, cached, so_far = [], 0, 0
    for where, block in blocks:
        part = _part(block, where)
        parts.append(part)
        so_far += tokens.count_text(part.text)
        if isinstance(block, dict) and block.get("cache_control"):
            cached = so_far
    return ApiRequest(str(body.get("model", "")), parts, None, cached_tokens=cached)


def _blocks(content: Any, where: str) -> list[tuple[str, Any]]:
    if isinstance(content, str):
        return [(where, {"type": "text", "text": content})]
    if not isinstance(content, list):
        raise bad_request(f"{where}: Input should be a valid string or list")
    return [(f"{where}.{number}", block) for number, block in enumerate(content)]


def _part(block: Any, where: str) -> ContentPart:
    kind = block.get("type") if isinstance(block, dict) else None
    if kind == "text":
        if not isinstance(block.get("text"), str):
            raise bad_request(f"{where}.text: Input should be a valid string")
        return ContentPart(block["text"])
    if kind != "image":
        raise bad_request(f"{where}: Input tag '{kind}' does not match any of the expected tags: 'text', 'image'")
    source = block.get("source")
    if not isinstance(source, dict) or source.get("type") != "base64":
        raise bad_request(f"{where}.image.source: only base64 sources can be looked at; this server fetches nothing")
    if source.get("media_type") not in _PICTURES:
        raise bad_request(f"{where}.image.source.base64.media_type: Input should be {', '.join(map(repr, _PICTURES))}")
    try:
        return ContentPart(image=decode_base64(source.get("data")))
    except ValueError as error:
        raise bad_request(f"{where}.image.source.base64.data: {error}") from error


def _usage(response: ApiResponse, output_tokens: int) -> dict[str, Any]:
    return {
        "input_tokens": response.input_tokens - response.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": response.cached_tokens,
        "output_tokens": output_tokens,
        "output_tokens_details": {"thinking_tokens": response.replies[0].thinking_tokens if output_tokens > 1 else 0},
        "service_tier": "standard",
    }


def format_response(request: ApiRequest, response: ApiResponse) -> dict[str, Any]:
    """The JSON of a message."""
    reply = response.replies[0]
    return {
        "id": f"msg_{response.id}",
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": [{"type": "text", "text": reply.text}],
        "stop_reason": _STOPS[reply.finish],
        "stop_sequence": None,
        "usage": _usage(response, response.output_tokens[0]),
    }


def stream_events(request: ApiRequest, response: ApiResponse) -> Iterator[bytes]:
    """The message as a stream of named events."""
    whole = format_response(request, response)
    start = {**whole, "content": [], "stop_reason": None, "usage": _usage(response, 1)}
    yield event({"type": "message_start", "message": start}, "message_start")
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    yield event(block, "content_block_start")
    yield event({"type": "ping"}, "ping")
    for piece in split_pieces(response.replies[0].text):
        delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
        yield event(delta, "content_block_delta")
    yield event({"type": "content_block_stop", "index": 0}, "content_block_stop")
    end = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield event({"type": "message_delta", "delta": end, "usage": whole["usage"]}, "message_delta")
    yield event({"type": "message_stop"}, "message_stop")


def format_error(error: ApiError, request_id: str) -> dict[str, Any]:
    """Anthropic's error JSON."""
    return {"type": "error", "error": {"type": error.kind, "message": error.message}, "request_id": request_id}
