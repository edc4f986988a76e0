"""OpenAI's responses: POST /v1/responses, for text, images and videos."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from onethinker.demo.teacher.api import openai_chat
from onethinker.demo.teacher.api.common import (
    ApiRequest,
    ApiResponse,
    decode_data_url,
    event,
    positive_int,
    split_pieces,
)
from onethinker.demo.teacher.content import ContentPart

PATH = "/v1/responses"
API = "openai"
format_error = openai_chat.format_error


def parse_request(body: Mapping[str, Any]) -> ApiRequest:
    """Parse a request."""
    given, instructions = body.get("input"), body.get("instructions")
    parts = [ContentPart(instructions)] if isinstance(instructions, str) else []
    if isinstance(given, str):
        parts.append(ContentPart(given))
    elif isinstance(given, list) and given:
        for number, message in enumerate(given):
            if not isinstance(message, dict):
                raise openai_chat.bad_request(f"Invalid type for 'input[{number}]': expected an object.", "input")
            if message.get("role") in ("user", "system", "developer"):
                parts += openai_chat.parse_parts(message.get("content"), f"input[{number}].content", _CONTENT)
    else:
        raise openai_chat.bad_request("Missing required parameter: 'input'.", "input", "missing_required_parameter")
    try:
        most = positive_int(body, "max_output_tokens")
    except ValueError as error:
        raise openai_chat.bad_request(f"Invalid value: {error}.", "max_output_tokens") from error
    return ApiRequest(str(body.get("model", "")), parts, most, stream=bool(body.get("stream")))


_CONTENT: dict[str, Callable[[dict[str, Any]], ContentPart]] = {
    "input_text": lambda part: ContentPart(str(part["text"])),
    "input_image": lambda part: ContentPart(image=decode_data_url(part["image_url"])),
    "input_video": lambda part: ContentPart(video=decode_data_url(part["video_url"])),
}


def format_response(request: ApiRequest, response: ApiResponse) -> dict[str, Any]:
    """The JSON of a response."""
    reply = response.replies[0]
    whole = reply.finish == "stop"
    return {
        **_shell(request, response, "completed" if whole else "incomplete"),
        "incomplete_details": None if whole else {"reason": "max_output_tokens"},
        "output": [_message(response, reply.text, "completed" if whole else "incomplete")],
        "usage": {
            "input_tokens": response.input_tokens,
            "input_tokens_details": {"cached_tokens": response.cached_tokens, "cache_write_tokens": 0},
            "output_tokens": response.output_tokens[0],
            "output_tokens_details": {"reasoning_tokens": reply.thinking_tokens},
            "total_tokens": response.input_tokens + response.output_tokens[0],
        },
    }


def _shell(request: ApiRequest, response: ApiResponse, status: str) -> dict[str, Any]:
    return {
        "id": f"resp_{response.id}",
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": request.model,
        "output": [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "max_output_tokens": request.max_tokens,
        "usage": None,
    }


def _message(response: ApiResponse, text: str, status: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"id": f"msg_{response.id}", "type": "message", "role": "assistant", "status": status, "content": content}


def stream_events(request: ApiRequest, response: ApiResponse) -> Iterator[bytes]:
    """The response as a stream of numbered events."""
    whole = format_response(request, response)
    message, text = whole["output"][0], response.replies[0].text
    place = {"item_id": message["id"], "output_index": 0, "content_index": 0}
    begun = {**message, "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    ending = "response.completed" if whole["status"] == "completed" else "response.incomplete"
    steps: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": _shell(request, response, "in_progress")}),
        ("response.in_progress", {"response": _shell(request, response, "in_progress")}),
        ("response.output_item.added", {"output_index": 0, "item": begun}),
        ("response.content_part.added", {**place, "part": part}),
        *(("response.output_text.delta", {**place, "delta": piece, "logprobs": []}) for piece in split_pieces(text)),
        ("response.output_text.done", {**place, "text": text, "logprobs": []}),
        ("response.content_part.done", {**place, "part": {**part, "text": text}}),
        ("response.output_item.done", {"output_index": 0, "item": message}),
        (ending, {"response": whole}),
    ]
    for number, (name, data) in enumerate(steps):
        yield event({"type": name, "sequence_number": number, **data}, name)
