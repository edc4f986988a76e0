"""OpenAI's chat completions: POST /v1/chat/completions."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from onethinker.demo.teacher import tokens
from onethinker.demo.teacher.api.common import (
    ApiError,
    ApiRequest,
    ApiResponse,
    decode_data_url,
    event,
    positive_int,
    split_pieces,
)
from onethinker.demo.teacher.content import ContentPart

PATH = "/v1/chat/completions"
API = "openai"

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_CACHED_FROM = 1024  # OpenAI caches prompts from so many tokens on


def bad_request(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """An OpenAI error with status 400."""
    return ApiError(400, "invalid_request_error", message, param=param, code=code)


def parse_request(body: Mapping[str, Any]) -> ApiRequest:
    """Parse a request. System prompts of 1,024 tokens or more count as cached."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise bad_request("Missing required parameter: 'messages', a non-empty array.", "messages")
    parts: list[ContentPart] = []
    system = ""
    for number, message in enumerate(messages):
        param = f"messages[{number}]"
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise bad_request(f"Invalid value: '{param}.role' must be one of {', '.join(_ROLES)}.", f"{param}.role")
        if message["role"] in ("assistant", "tool", "function"):
            continue  # earlier answers carry no media
        found = parse_parts(message.get("content"), f"{param}.content", _CONTENT)
        parts += found
        if message["role"] in ("system", "developer"):
            system += "".join(part.text for part in found)
    try:
        most = positive_int(body, "max_completion_tokens") or positive_int(body, "max_tokens")
        choices = positive_int(body, "n", most=128) or 1
    except ValueError as error:
        raise bad_request(f"Invalid value: {error}.", code="integer_below_min_value") from error
    system_tokens = tokens.count_text(system)
    return ApiRequest(
        model=str(body.get("model", "")),
        parts=parts,
        max_tokens=most,
        stream=bool(body.get("stream")),
        choices=choices,
        cached_tokens=system_tokens if system_tokens >= _CACHED_FROM else 0,
        include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
    )


def parse_parts(
    content: Any, param: str, kinds: Mapping[str, Callable[[dict[str, Any]], ContentPart]]
) -> list[ContentPart]:
    """The parts of one message's content. Raises ApiError for an unknown or invalid part."""
    if isinstance(content, str):
        return [ContentPart(content)]
    if not isinstance(content, list):
        raise bad_request(f"Invalid type for '{param}': expected a string or an array of parts.", param, "invalid_type")
    parts = []
    for number, part in enumerate(content):
        where = f"{param}[{number}]"
        kind = part.get("type") if isinstance(part, dict) else None
        if not isinstance(kind, str) or kind not in kinds:
            raise bad_request(
                f"Invalid value: '{kind}'. Supported values are: {', '.join(repr(k) for k in kinds)}.",
                f"{where}.type",
                "invalid_value",
            )
        try:
            parts.append(kinds[kind](part))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            detail = f"missing {error}" if isinstance(error, KeyError) else str(error)
            raise bad_request(f"Invalid '{where}': {detail}.", where, "invalid_value") from error
    return parts


def _text(part: dict[str, Any]) -> ContentPart:
    if not isinstance(part["text"], str):
        raise ValueError("'text' must be a string")
    return ContentPart(part["text"])


_CONTENT: dict[str, Callable[[dict[str, Any]], ContentPart]] = {
    "text": _text,
    "image_url": lambda part: ContentPart(image=decode_data_url(part["image_url"]["url"])),
    "video_url": lambda part: ContentPart(video=decode_data_url(part["video_url"]["url"])),
}


def format_response(request: ApiRequest, response: ApiResponse) -> dict[str, Any]:
    """The JSON of a completion."""
    return {
        "id": f"chatcmpl-{response.id}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": request.model,
        "choices": [
            {
                "index": number,
                "message": {"role": "assistant", "content": reply.text, "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": reply.finish,
            }
            for number, reply in enumerate(response.replies)
        ],
        "usage": _usage(response),
        "service_tier": "default",
        "system_fingerprint": None,
    }


def _usage(response: ApiResponse) -> dict[str, Any]:
    output = sum(response.output_tokens)
    return {
        "prompt_tokens": response.input_tokens,
        "completion_tokens": output,
        "total_tokens": response.input_tokens + output,
        "prompt_tokens_details": {"cached_tokens": response.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": sum(reply.thinking_tokens for reply in response.replies),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def stream_events(request: ApiRequest, response: ApiResponse) -> Iterator[bytes]:
    """The completion as a stream of chunks and [DONE]; usage comes last, if requested."""
    common: dict[str, Any] = {
        "id": f"chatcmpl-{response.id}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": request.model,
        "system_fingerprint": None,
    }
    if request.include_usage:
        common["usage"] = None

    def chunk(number: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
        return event({**common, "choices": [{"index": number, "delta": delta, "finish_reason": finish}]})

    for number, reply in enumerate(response.replies):
        yield chunk(number, {"role": "assistant", "content": ""})
        for piece in split_pieces(reply.text):
            yield chunk(number, {"content": piece})
        yield chunk(number, {}, reply.finish)
    if request.include_usage:
        yield event({**common, "choices": [], "usage": _usage(response)})
    yield b"data: [DONE]\n\n"


def format_error(error: ApiError, request_id: str) -> dict[str, Any]:
    """OpenAI's error JSON."""
    return {"error": {"message": error.message, "type": error.kind, "param": error.param, "code": error.code}}
