"""A provider on loopback that speaks OpenAI's and Anthropic's wire formats, and fails in the ways that providers do."""

import asyncio
import json
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

RIGHT = "<think>I look at it.</think><answer>A</answer>"
FAULTS = ("rate_limited", "server_error", "overloaded", "reset", "hang", "cut_off")
Reply = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass
class Provider:
    """Answers requests; `faults` gives each kind's share. `answered` counts whole answers by idempotency key.

    Which request fails, and how, follows from its key and its number among the requests of that key, so that it does
    not depend on who comes first. A request that hangs is never answered; `on_hang` is called with its key. `say` makes
    the answer's fields from the request's body: text, and optionally thinking, finish, tool, refusal. Nothing is
    answered before requests with all of `clients` as their API keys have come.
    """

    faults: dict[str, float] = field(default_factory=dict)
    say: Reply = lambda body: {"text": RIGHT}
    delay_s: float = 0.0
    retry_after: str = "0.2"
    seed: int = 0
    input_tokens: int = 100
    output_tokens: int = 20
    answered: Counter[str] = field(default_factory=Counter)
    asked: list[tuple[float, str]] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    keep_bodies: bool = True
    on_hang: Callable[[str], None] = lambda key: None
    reports_usage: bool = True
    clients: set[str] = field(default_factory=set)
    tries: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> "Provider":
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        self._thread.start()
        ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    @property
    def openai_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def anthropic_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _serve(self, ready: threading.Event) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            self._end = asyncio.Event()
            app = web.Application(client_max_size=1 << 30)
            app.router.add_post("/v1/chat/completions", self._handler(openai_reply))
            app.router.add_post("/v1/messages", self._handler(anthropic_reply))
            self.routes(app)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.port = runner.addresses[0][1]
            ready.set()
            await self._end.wait()
            await runner.cleanup()

        asyncio.run(main())

    def routes(self, app: web.Application) -> None:
        """Room for more routes in subclasses."""

    def _handler(self, wire: Callable[..., dict[str, Any]]) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            key = request.headers.get("idempotency-key", "")
            body = await request.json()
            self.asked.append((self._loop.time(), key))
            self.tries[key] += 1
            self.clients.discard(request.headers.get("authorization", "").removeprefix("Bearer "))
            if self.keep_bodies:
                self.bodies.append(body)
                self.headers.append(dict(request.headers))
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            try:
                return await self._answer(request, key, body, wire)
            finally:
                self.in_flight -= 1

        return handle

    async def _answer(self, request: web.Request, key: str, body: Any, wire: Any) -> web.StreamResponse:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        while self.clients:
            await asyncio.sleep(0.01)
        fault = self.fault(key, self.tries[key])
        if fault:
            self.failed[fault] += 1
            return await self._fail(fault, request, key, body, wire)
        said = self.say(body)
        if isinstance(said, web.Response):
            return said
        response = web.json_response(self.reply(wire, body["model"], **said))
        response.headers["x-request-id" if wire is openai_reply else "request-id"] = f"req-{len(self.asked)}"
        await response.prepare(request)
        await response.write_eof()
        self.answered[key] += 1
        return response

    def reply(self, wire: Callable[..., dict[str, Any]], model: str, **said: Any) -> dict[str, Any]:
        """A whole reply in a provider's format."""
        whole = wire(model, self.input_tokens, self.output_tokens, **said)
        if not self.reports_usage:
            del whole["usage"]
        return whole

    def fault(self, key: str, number: int) -> str | None:
        """How the `number`-th request of a key fails; None if it is answered."""
        drawn = random.Random(f"{self.seed} {key} {number}").random()
        for name, share in self.faults.items():
            if drawn < share:
                return name
            drawn -= share
        return None

    def drain(self) -> int:
        """Wait until all that a dead client has sent is dealt with; returns how many requests have come.

        On loopback it is in the server's sockets once the client is dead: some rounds of the loop read all of it.
        """

        async def settle() -> None:
            before = -1
            while self.in_flight or before < len(self.asked):
                before = len(self.asked)
                for _ in range(100):
                    await asyncio.sleep(0)
                await asyncio.sleep(0.01)

        asyncio.run_coroutine_threadsafe(settle(), self._loop).result(120)
        return len(self.asked)

    async def _fail(self, fault: str, request: web.Request, key: str, body: Any, wire: Any) -> web.StreamResponse:
        error = {"type": "error", "error": {"type": fault, "message": f"{fault} of the test"}}
        if fault == "rate_limited":
            return web.json_response(error, status=429, headers={"retry-after": self.retry_after})
        if fault in ("server_error", "overloaded"):
            return web.json_response(error, status=500 if fault == "server_error" else 529)
        if fault == "hang":
            self.on_hang(key)
            await asyncio.sleep(3600)
        if fault == "cut_off":
            whole = json.dumps(wire(body["model"], 1, 1, text=RIGHT)).encode()
            return web.Response(body=whole[: len(whole) // 2], content_type="application/json")
        assert request.transport is not None
        request.transport.abort()
        return web.Response()


def openai_reply(
    model: str,
    input_tokens: int,
    output_tokens: int,
    *,
    text: str | None,
    thinking: str | None = None,
    finish: str = "stop",
    tool: bool = False,
    refusal: str | None = None,
    usage: dict[str, Any] | None = None,
) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if thinking:
        message["reasoning_content"] = thinking
    if tool:
        message["tool_calls"] = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    if refusal:
        message["refusal"] = refusal
    used = {"prompt_tokens": input_tokens, "completion_tokens": output_tokens}
    used["total_tokens"] = input_tokens + output_tokens
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": used | (usage or {}),
    }


def anthropic_reply(
    model: str,
    input_tokens: int,
    output_tokens: int,
    *,
    text: str | None,
    thinking: str | None = None,
    finish: str = "stop",
    tool: bool = False,
    refusal: str | None = None,
    usage: dict[str, Any] | None = None,
) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    if thinking:
        content.append({"type": "thinking", "thinking": thinking, "signature": "c2ln"})
    if text:
        content.append({"type": "text", "text": text})
    if tool:
        content.append({"type": "tool_use", "id": "t", "name": "f", "input": {}})
    stop = {"stop": "end_turn", "length": "max_tokens"}.get(finish, finish)
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": "tool_use" if tool else "refusal" if refusal else stop,
        "stop_sequence": None,
        "usage": {"input_tokens": input_tokens, "output_tokens": output_tokens, **(usage or {})},
    }
