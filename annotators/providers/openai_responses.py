"""OpenAI's Responses API (OPENAI_API_KEY, OPENAI_BASE_URL), which tells a summary of a reasoning model's thinking."""

import os
from collections.abc import Mapping
from typing import Any, Self

from pydantic import model_validator

from annotators.http import key_from
from annotators.messages import ContentPart, ImagePart, Reply, Request, TextPart, VideoPart
from annotators.payload import Count, Payload, parse_usage, require_parts_within, text_or_ignored, validate
from annotators.providers.openai import KEY, OFFICIAL, BatchChatTeacher
from annotators.settings import Settings
from corpus.errors import UsageError


def connect(model: str, settings: Settings) -> "ResponsesTeacher":
    """A Responses teacher at OPENAI_BASE_URL, else at OpenAI's own address."""
    if settings.native_video:
        raise UsageError("--native-video: the Responses API takes no videos; leave the flag out to send frames")
    secret = key_from(KEY, settings)
    return ResponsesTeacher(model, settings, secret, os.environ.get("OPENAI_BASE_URL") or OFFICIAL)


class _Content(Payload):
    type: str
    text: str | None = None
    refusal: str | None = None


class _Output(Payload):
    type: str
    summary: list[_Content] | None = None  # of reasoning
    content: list[_Content] | None = None  # of a message


class _Incomplete(Payload):
    reason: str | None = None


class _InputDetails(Payload):
    cached_tokens: Count | None = None


class _OutputDetails(Payload):
    reasoning_tokens: Count | None = None


class _Usage(Payload):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None

    @model_validator(mode="after")
    def _parts_within(self) -> Self:
        cached = (self.input_tokens_details or _InputDetails()).cached_tokens or 0
        reasoning = (self.output_tokens_details or _OutputDetails()).reasoning_tokens or 0
        require_parts_within(self.input_tokens, cached, self.output_tokens, reasoning)
        return self


class _Response(Payload):
    output: list[_Output]
    status: str | None = None
    incomplete_details: _Incomplete | None = None
    usage: Any = None
    id: Any = None


class ResponsesTeacher(BatchChatTeacher):
    """One model behind a Responses endpoint. Nothing is stored at the provider."""

    path = "/responses"

    def body(self, request: Request) -> dict[str, Any]:
        """The request as a Responses body; the API takes no seed."""
        body: dict[str, Any] = {
            "model": self.model,
            "input": [{"role": "user", "content": [_part(part) for part in request.parts]}],
            "max_output_tokens": request.max_tokens,
            "store": False,
        }
        if request.effort:
            body["reasoning"] = {"effort": request.effort, "summary": "auto"}
        given = {
            "instructions": request.system,
            "temperature": request.temperature,
            "top_p": request.top_p,
        }
        return body | {name: value for name, value in given.items() if value is not None}

    def read(self, payload: Mapping[str, Any]) -> Reply:
        """The messages' text, the summaries of the reasoning, and why it ended."""
        response, ignored = validate(_Response, payload), list[str]()
        texts: list[str] = []
        refusals: list[str] = []
        thoughts: list[str] = []
        finish: str | None = "stop"
        for found in response.output:
            if found.type == "reasoning":
                thoughts += [part.text for part in found.summary or [] if part.text]
            elif found.type == "message":
                for part in found.content or []:
                    (refusals if part.type == "refusal" else texts).append(part.text or part.refusal or "")
            elif found.type.endswith("_call"):
                finish = "tool_calls"
        if response.status == "incomplete":
            why = response.incomplete_details.reason if response.incomplete_details else None
            finish = "length" if why == "max_output_tokens" else why or "incomplete"
        elif refusals:
            finish = "refusal"
        usage = parse_usage(_Usage, response.usage, ignored)
        return Reply(
            text="".join(texts or refusals),
            thinking="\n\n".join(thoughts) or None,
            finish_reason=finish,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cached_tokens=(usage.input_tokens_details or _InputDetails()).cached_tokens or 0,
            reasoning_tokens=(usage.output_tokens_details or _OutputDetails()).reasoning_tokens or 0,
            request_id=text_or_ignored(response.id, "id", ignored),
            ignored=tuple(ignored),
        )


def _part(part: ContentPart) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"type": "input_text", "text": part.text}
        case ImagePart():
            return {"type": "input_image", "image_url": f"data:{part.mime};base64,{part.base64}", "detail": "auto"}
        case VideoPart():
            raise TypeError("the Responses API takes no videos")
