"""OpenAI and every server that speaks its chat completions (OPENAI_API_KEY, OPENAI_BASE_URL): vLLM, SGLang, Gemini …"""

import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import orjson
from pydantic import Field, model_validator

from annotators.http import CLOCKS_DIFFER_S, SdkClient, key_from, status_failure
from annotators.http_guard import event_hooks
from annotators.messages import ContentPart, Failure, ImagePart, Reply, Request, TextPart, VideoPart
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

KEY = "OPENAI_API_KEY"
OFFICIAL = "https://api.openai.com/v1"


class _Text(Payload):
    text: str | None = None


class _Message(Payload):
    content: str | list[_Text] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[Any] | None = None
    function_call: Any = None


class _Choice(Payload):
    message: _Message
    finish_reason: Any = None


class _InputDetails(Payload):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None


class _OutputDetails(Payload):
    reasoning_tokens: Count | None = None


class _Usage(Payload):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None

    @model_validator(mode="after")
    def _parts_within(self) -> Self:
        of_input = self.prompt_tokens_details or _InputDetails()
        of_output = self.completion_tokens_details or _OutputDetails()
        cached = (of_input.cached_tokens or 0) + (of_input.cache_write_tokens or 0)
        require_parts_within(self.prompt_tokens, cached, self.completion_tokens, of_output.reasoning_tokens or 0)
        return self


class _Completion(Payload):
    choices: Annotated[list[_Choice], Field(min_length=1)]
    usage: Any = None
    id: Any = None


def connect(model: str, settings: Settings) -> "BatchChatTeacher":
    """A chat-completions teacher at OPENAI_BASE_URL, else at OpenAI's own address."""
    return BatchChatTeacher(model, settings, key_from(KEY, settings), os.environ.get("OPENAI_BASE_URL") or OFFICIAL)


class ChatTeacher:
    """One model behind a chat-completions endpoint."""

    path = "/chat/completions"

    def __init__(self, model: str, settings: Settings, secret: str, base_url: str, address: str | None = None) -> None:
        import httpx2
        import openai

        self.model = model
        self.secret = secret
        self.address = base_url.rstrip("/") if address is None else address
        self.official = base_url.startswith("https://api.openai.com")
        self.client = openai.AsyncOpenAI(
            api_key=secret,
            base_url=base_url,
            max_retries=0,  # retries are ours: they must know the budget, the pace and the journal
            http_client=openai.DefaultAioHttpClient(
                limits=httpx2.Limits(max_connections=settings.concurrency + 8), event_hooks=event_hooks(base_url)
            ),
        )
        self.http = SdkClient(openai, openai.OpenAIError, self.client, secret, settings.timeout_s)

    def body(self, request: Request) -> dict[str, Any]:
        """The request as a chat-completions body."""
        # OpenAI's reasoning models refuse the older word; many compatible servers know only that one.
        return chat_body(self.model, request, "max_completion_tokens" if self.official else "max_tokens")

    def read(self, payload: Mapping[str, Any]) -> Reply:
        """The first choice's message; thinking in `reasoning_content` or `reasoning` where a server has it apart."""
        completion = validate(_Completion, payload)
        choice, ignored = completion.choices[0], list[str]()
        message = choice.message
        finish = text_or_ignored(choice.finish_reason, "choices.0.finish_reason", ignored)
        text = message.content
        if isinstance(text, list):
            text = "".join(part.text or "" for part in text)
        if message.tool_calls or message.function_call:
            finish = "tool_calls"
        elif message.refusal:
            finish, text = "refusal", text or message.refusal
        usage = parse_usage(_Usage, completion.usage, ignored)
        of_input = usage.prompt_tokens_details or _InputDetails()
        of_output = usage.completion_tokens_details or _OutputDetails()
        return Reply(
            text=text or "",
            thinking=message.reasoning_content or message.reasoning or None,
            finish_reason=finish,
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            cached_tokens=of_input.cached_tokens or 0,
            cache_write_tokens=of_input.cache_write_tokens or 0,
            reasoning_tokens=of_output.reasoning_tokens or 0,
            request_id=text_or_ignored(completion.id, "id", ignored),
            ignored=tuple(ignored),
        )

    async def send(self, body: bytes, key: str) -> Reply:
        """One exchange; raises Failure."""
        response = await self.http.post(self.path, body, key)
        return parse_reply(response.body, self.secret, self.read, response.headers.get("x-request-id"))

    async def close(self) -> None:
        """Close the connections."""
        await self.http.close()


class BatchChatTeacher(ChatTeacher):
    """A model whose provider takes batches as well."""

    batch_max = (50_000, 200_000_000)

    def batch_line(self, custom_id: str, body: bytes) -> bytes:
        """A request as a line of a batch's input file."""
        head = orjson.dumps({"custom_id": custom_id, "method": "POST", "url": f"/v1{self.path}"})
        return head[:-1] + b',"body":' + body + b"}\n"

    async def batch_submit(self, key: str, path: Path) -> str:
        """Upload the lines, unless that was done before, and make a batch of them, marked with `key`."""
        with self.http.failures():
            file_id = None
            async for file in self.client.files.list(purpose="batch", order="desc", limit=100):
                if file.filename == f"{key}.jsonl":
                    file_id = file.id
                    break
            if file_id is None:
                with open(path, "rb") as lines:
                    file_id = (await self.client.files.create(file=(f"{key}.jsonl", lines), purpose="batch")).id
            endpoint: Any = f"/v1{self.path}"
            made = await self.client.batches.create(
                input_file_id=file_id, endpoint=endpoint, completion_window="24h", metadata={"onethinker": key}
            )
            return made.id

    async def batch_find(self, key: str, since: float, requests: int, known: set[str]) -> str | None:
        """The batch that is marked with `key`."""
        with self.http.failures():
            async for batch in self.client.batches.list(limit=100):
                if (batch.metadata or {}).get("onethinker") == key:
                    return batch.id
                if batch.created_at < since - CLOCKS_DIFFER_S:
                    break
            return None

    async def batch_ended(self, batch_id: str) -> bool:
        """True for completed, expired and cancelled batches: each may have results."""
        with self.http.failures():
            batch = await self.client.batches.retrieve(batch_id)
        if batch.status == "failed":
            reasons = "; ".join(error.message or "" for error in (batch.errors and batch.errors.data) or [])
            raise Failure("batch_refused", clean(reasons or "the provider gives no reason", self.secret), fatal=True)
        return batch.status in ("completed", "expired", "cancelled")

    async def batch_results(self, batch_id: str) -> AsyncIterator[tuple[str, Reply | Failure]]:
        """The lines of the output file and of the error file."""
        with self.http.failures():
            batch = await self.client.batches.retrieve(batch_id)
            for file_id in filter(None, (batch.output_file_id, batch.error_file_id)):
                async with self.client.files.with_streaming_response.content(file_id) as response:
                    async for line in response.iter_lines():
                        if line.strip():
                            yield self._result(orjson.loads(line))

    def _result(self, line: Any) -> tuple[str, Reply | Failure]:
        custom_id, response = line["custom_id"], line.get("response") or {}
        if response.get("status_code") == 200:
            try:
                return custom_id, parse_reply(orjson.dumps(response["body"]), self.secret, self.read)
            except Failure as failure:
                return custom_id, failure
        error = line.get("error") or (response.get("body") or {}).get("error") or {}
        detail = clean(f"{error.get('code')}: {error.get('message')}", self.secret)
        if response.get("status_code"):
            return custom_id, status_failure(response["status_code"], detail)
        return custom_id, Failure("expired", detail, retryable=True)


def chat_body(model: str, request: Request, max_tokens_name: str) -> dict[str, Any]:
    """A request as a chat-completions body; a prompt of words alone is a plain string, as old servers want."""
    if all(isinstance(part, TextPart) for part in request.parts):
        content: Any = "".join(part.text for part in request.parts if isinstance(part, TextPart))
    else:
        content = [_part(part) for part in request.parts]
    messages = [{"role": "user", "content": content}]
    if request.system:
        messages.insert(0, {"role": "system", "content": request.system})
    given = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
        "reasoning_effort": request.effort,
    }
    body = {"model": model, "messages": messages, max_tokens_name: request.max_tokens}
    return body | {name: value for name, value in given.items() if value is not None}


def _part(part: ContentPart) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            return {"type": "image_url", "image_url": {"url": f"data:{part.mime};base64,{part.base64}"}}
        case VideoPart():  # not OpenAI's own: vLLM, Qwen and Ark take it
            return {"type": "video_url", "video_url": {"url": f"data:{part.mime};base64,{part.base64}"}}
