"""A model run in this process by vLLM (extra `vllm`, GPUs; a served vLLM is an `openai` teacher by its base URL)."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson

from annotators.messages import Failure, PayloadError, Reply, Request
from annotators.providers.openai import chat_body
from annotators.settings import Settings
from corpus.errors import OneThinkerError

GATHER_S = 0.05  # that requests are waited for, so that vLLM can schedule them together


def connect(model: str, settings: Settings) -> "VllmTeacher":
    """Load the model; raises OneThinkerError where vLLM is not installed. Its options are vLLM's own defaults."""
    try:
        from vllm import LLM
    except ImportError as error:
        raise OneThinkerError(f"vllm is not installed here ({error}): pip install 'onethinker[vllm]'") from None
    images = {"image": settings.max_frames or 64, "video": 1}
    return VllmTeacher(model, LLM(model=model, limit_mm_per_prompt=images, seed=settings.seed))


class VllmTeacher:
    """One model in this process. Requests that come together are generated together, in a thread of its own."""

    address = "in process"

    def __init__(self, model: str, llm: Any) -> None:
        self.model = model
        self._llm = llm
        self._waiting: list[tuple[dict[str, Any], asyncio.Future[Any]]] = []
        self._generating: asyncio.Task[None] | None = None

    def body(self, request: Request) -> dict[str, Any]:
        """As for a served vLLM: chat messages and sampling."""
        return chat_body(self.model, request, "max_tokens")

    def read(self, payload: Mapping[str, Any]) -> Reply:
        """A reply from what `send` made of vLLM's output."""
        if not isinstance(payload.get("text"), str):
            raise PayloadError("vLLM returned no text")
        return Reply(
            text=payload["text"],
            thinking=None,
            finish_reason=payload["finish_reason"],
            input_tokens=payload["input_tokens"],
            output_tokens=payload["output_tokens"],
            cached_tokens=payload["cached_tokens"],
            raw=orjson.dumps(payload),
            request_id=payload["request_id"],
        )

    async def send(self, body: bytes, key: str) -> Reply:
        """Generate, together with whatever else is waiting; raises Failure for a prompt that vLLM refuses."""
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((orjson.loads(body), done))
        if self._generating is None or self._generating.done():
            self._generating = asyncio.create_task(self._generate())
        try:
            return self.read(await done)
        except ValueError as error:  # a prompt too long, an image too many
            raise Failure("bad_request", str(error)[:500]) from None

    async def _generate(self) -> None:
        while self._waiting:
            await asyncio.sleep(GATHER_S)
            together, self._waiting = self._waiting, []
            try:
                outputs = await asyncio.to_thread(self._chat, [body for body, _ in together])
            except Exception as error:
                if len(together) == 1:
                    together[0][1].set_exception(error)
                    continue
                for one in together:  # one bad prompt fails them all: find it
                    await self._alone(*one)
                continue
            for (_, done), output in zip(together, outputs, strict=True):
                if not done.cancelled():
                    done.set_result(output)

    async def _alone(self, body: dict[str, Any], done: "asyncio.Future[Any]") -> None:
        try:
            [output] = await asyncio.to_thread(self._chat, [body])
            done.set_result(output)
        except Exception as error:
            done.set_exception(error)

    def _chat(self, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
        from vllm import SamplingParams

        names = ("temperature", "top_p", "seed", "max_tokens")
        sampling = [SamplingParams(**{name: body[name] for name in names if name in body}) for body in bodies]
        outputs = self._llm.chat([body["messages"] for body in bodies], sampling_params=sampling, use_tqdm=False)
        return [
            {
                "text": output.outputs[0].text,
                "finish_reason": output.outputs[0].finish_reason,
                "input_tokens": len(output.prompt_token_ids),
                "output_tokens": len(output.outputs[0].token_ids),
                "cached_tokens": getattr(output, "num_cached_tokens", None) or 0,
                "request_id": output.request_id,
            }
            for output in outputs
        ]

    async def close(self) -> None:
        """Let go of the model."""
        self._llm = None
