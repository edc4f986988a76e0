"""OpenAI's Responses API (OPENAI_API_KEY, OPENAI_BASE_URL), which tells a summary of a reasoning model's thinking."""

import os
from collections.abc import Mapping
from typing import Any

from annotators.http import key_from
from annotators.messages import ContentPart, ImagePart, PayloadError, Reply, Request, TextPart, VideoPart
from annotators.providers.openai import KEY, OFFICIAL, BatchChatTeacher
from annotators.settings import Settings
from corpus.errors import UsageError


def connect(model: str, settings: Settings) -> "ResponsesTeacher":
    """A Responses teacher at OPENAI_BASE_URL, else at OpenAI's own address."""
    if settings.native_video:
        raise UsageError("--native-video: the Responses API takes no videos; leave the flag out to send frames")
    secret = key_from(KEY, settings)
    return ResponsesTeacher(model, settings, secret, os.environ.get("OPENAI_BASE_URL") or OFFICIAL)


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
        if not isinstance(payload.get("output"), list):
            raise PayloadError(f"no output in {sorted(payload)}")
        texts: list[str] = []
        refusals: list[str] = []
        thoughts: list[str] = []
        finish = "stop"
        for found in payload["output"]:
            if found["type"] == "reasoning":
                thoughts += [part["text"] for part in found.get("summary") or []]
            elif found["type"] == "message":
                for part in found["content"]:
                    (refusals if part["type"] == "refusal" else texts).append(part.get("text") or part.get("refusal"))
            elif found["type"].endswith("_call"):
                finish = "tool_calls"
        if payload.get("status") == "incomplete":
            why = (payload.get("incomplete_details") or {}).get("reason")
            finish = "length" if why == "max_output_tokens" else why or "incomplete"
        elif refusals:
            finish = "refusal"
        usage = payload.get("usage") or {}
        return Reply(
            text="".join(texts or refusals),
            thinking="\n\n".join(thoughts) or None,
            finish_reason=finish,
            input_tokens=usage.get("input_tokens"),
            output_tokens=usage.get("output_tokens"),
            cached_tokens=(usage.get("input_tokens_details") or {}).get("cached_tokens") or 0,
            reasoning_tokens=(usage.get("output_tokens_details") or {}).get("reasoning_tokens") or 0,
            request_id=payload.get("id"),
        )


def _part(part: ContentPart) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"type": "input_text", "text": part.text}
        case ImagePart():
            return {"type": "input_image", "image_url": f"data:{part.mime};base64,{part.base64}", "detail": "auto"}
        case VideoPart():
            raise TypeError("the Responses API takes no videos")
