"""The teacher as a web server on loopback, in the wire formats of OpenAI and Anthropic."""

import asyncio
import logging
import signal
import sys
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from os import cpu_count
from types import ModuleType
from typing import Any

import orjson
from aiohttp import web

from corpus.errors import OneThinkerError, UsageError
from onethinker.demo.teacher import models
from onethinker.demo.teacher.engine import Engine
from onethinker.demo.teacher.ledger import Billed, Ledger
from onethinker.demo.teacher.wire import anthropic_messages, openai_chat, openai_responses
from onethinker.demo.teacher.wire.shapes import Answered, Asked, WireError

log = logging.getLogger(__name__)

_REQUEST_ID = web.RequestKey("request_id", str)
_LARGEST_BODY = 64 * 2**20
_BORN = 1_760_000_000  # when the models came to be, in Unix time: some date has to be given
_BORN_TEXT = "2025-10-09T08:53:20Z"


@dataclass(frozen=True)
class Server:
    """A running teacher: where it is, and what it has answered."""

    openai_base_url: str
    anthropic_base_url: str
    port: int
    requests: Ledger


class Teacher:
    """The web application: routes, keys, headers and streams round an Engine."""

    def __init__(self, engine: Engine, latency_s: float = 0.0) -> None:
        self.engine, self.latency_s, self.ledger = engine, latency_s, Ledger()
        # Threads are enough: reading pictures is OpenCV's work, which lets go of the interpreter lock.
        self.workers = ThreadPoolExecutor(max_workers=cpu_count() or 2, thread_name_prefix="teacher")

    def app(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(client_max_size=_LARGEST_BODY, middlewares=[_failures])
        for wire in (openai_chat, openai_responses, anthropic_messages):
            app.router.add_post(wire.PATH, self._answering(wire))
        app.router.add_post(anthropic_messages.COUNT_PATH, self._count)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/models/{id:.+}", self._model)
        app.router.add_get("/ledger", self._ledger)
        app.on_cleanup.append(self._stop)
        return app

    def _answering(self, wire: ModuleType) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            _demand_key(request)
            key = request.headers.get("Idempotency-Key")
            raw = await request.read()
            loop = asyncio.get_running_loop()
            waiting = asyncio.sleep(self.latency_s)
            (asked, answered), _ = await asyncio.gather(
                loop.run_in_executor(self.workers, self.engine.answer, wire, raw, key), waiting
            )
            # Billed once it is worked out, whether or not anybody still waits for it, and before a client can look.
            wrong = any(reply.wrong for reply in answered.replies)
            tokens = answered.input_tokens, sum(answered.output_tokens)
            place = self.ledger.add(Billed(wire.API, asked.model, key, *tokens, wrong, delivered=True))
            try:
                return await _sent(request, wire, asked, answered)
            except ConnectionError:
                self.ledger.undelivered(place)
                raise

        return handle

    async def _count(self, request: web.Request) -> web.Response:
        _demand_key(request)
        raw = await request.read()
        count = await asyncio.get_running_loop().run_in_executor(self.workers, self.engine.count, raw)
        return _json({"input_tokens": count}, request)

    async def _models(self, request: web.Request) -> web.Response:
        _demand_key(request)
        described = [_described(model, _wire_of(request)) for model in models.MODELS.values()]
        if _wire_of(request) is anthropic_messages:
            ends = {"has_more": False, "first_id": described[0]["id"], "last_id": described[-1]["id"]}
            return _json({"data": described, **ends}, request)
        return _json({"object": "list", "data": described}, request)

    async def _model(self, request: web.Request) -> web.Response:
        _demand_key(request)
        name = request.match_info["id"]
        model = models.find(name)
        if model is None:
            raise WireError(404, "not_found_error", models.unknown(name), param="model", code="model_not_found")
        return _json(_described(model, _wire_of(request)), request)

    async def _ledger(self, request: web.Request) -> web.Response:
        return _json(self.ledger.as_json(), request)

    async def _stop(self, _: web.Application) -> None:
        self.workers.shutdown(wait=False, cancel_futures=True)


async def _sent(request: web.Request, wire: ModuleType, asked: Asked, answered: Answered) -> web.StreamResponse:
    """Write the answer to the client, whole or as a stream; raises ConnectionError where it has left."""
    if not asked.stream:
        response: web.StreamResponse = _json(wire.write(asked, answered), request)
        await response.prepare(request)
    else:
        response = web.StreamResponse(headers=_headers(request))
        response.content_type = "text/event-stream"
        await response.prepare(request)
        for event in wire.events(asked, answered):
            await response.write(event)
    await response.write_eof()
    return response


@web.middleware
async def _failures(request: web.Request, handler: Any) -> web.StreamResponse:
    """Every failure in the shape of the API that was spoken to."""
    try:
        response: web.StreamResponse = await handler(request)
        return response
    except WireError as error:
        return _failed(request, error)
    except web.HTTPRequestEntityTooLarge:
        return _failed(request, WireError(413, "request_too_large", f"The request is over {_LARGEST_BODY} bytes."))
    except web.HTTPException as error:
        return _failed(request, WireError(error.status, "not_found_error", f"{request.path}: {error.reason}"))
    except Exception:  # a fault of ours: logged whole, and told in a shape that clients can read and retry
        log.exception("the teacher failed on a request")
        return _failed(request, WireError(500, "api_error", "The teacher failed on this request; its log says how."))


def _failed(request: web.Request, error: WireError) -> web.Response:
    headers = _headers(request)
    body = _wire_of(request).failure(error, headers["request-id"])
    return web.Response(body=orjson.dumps(body), status=error.status, content_type="application/json", headers=headers)


def _demand_key(request: web.Request) -> None:
    """Any key will do, none will not: a client that forgets its key should find out here."""
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer").strip()
    if _wire_of(request) is anthropic_messages:
        if not (request.headers.get("x-api-key", "").strip() or bearer):
            raise WireError(401, "authentication_error", "x-api-key header is required")
    elif not bearer:
        message = "You didn't provide an API key. Send any: this teacher asks for one and does not look at it."
        raise WireError(401, "invalid_request_error", message)


def _wire_of(request: web.Request) -> ModuleType:
    """Which API a request speaks, by its path, or by its headers where both have the same path."""
    if request.path.startswith(anthropic_messages.PATH) or "anthropic-version" in request.headers:
        return anthropic_messages
    return openai_chat


def _described(model: models.Model, wire: ModuleType) -> dict[str, Any]:
    if wire is anthropic_messages:
        words = {"display_name": model.label, "created_at": _BORN_TEXT, "lifecycle": "active"}
        return {"type": "model", "id": model.id, **words}
    return {"id": model.id, "object": "model", "created": _BORN, "owned_by": "onethinker"}


def _headers(request: web.Request) -> dict[str, str]:
    number = request.setdefault(_REQUEST_ID, f"req_{uuid.uuid4().hex[:24]}")
    return {"x-request-id": number, "request-id": number}


def _json(body: dict[str, Any], request: web.Request) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json", headers=_headers(request))


def checked(seed: int, error_rate: float, latency_ms: float) -> Teacher:
    """A teacher with these settings; raises UsageError where they make no sense."""
    if not 0 <= error_rate <= 1:
        raise UsageError(f"error rate {error_rate} is not a share: give a number from 0 to 1")
    if not 0 <= latency_ms <= 600_000:
        raise UsageError(f"latency {latency_ms} ms is out of range: give 0 to 600000")
    return Teacher(Engine(seed, error_rate), latency_ms / 1000)


async def start(teacher: Teacher, host: str, port: int) -> tuple[web.AppRunner, Server]:
    """Begin to listen; port 0 takes any free one. Raises OneThinkerError where the port is taken."""
    runner = web.AppRunner(teacher.app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        where = f"{host}:{port}"
        raise OneThinkerError(f"can not listen on {where}: {error.strerror}; `--port 0` takes a free one") from error
    port = runner.addresses[0][1]
    home = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return runner, Server(f"{home}/v1", home, port, teacher.ledger)


@contextmanager
def serve(
    *, host: str = "127.0.0.1", port: int = 0, seed: int = 0, error_rate: float = 0.15, latency_ms: float = 0.0
) -> Iterator[Server]:
    """A teacher in a thread of this process for as long as the `with` block lasts.

    Raises UsageError for settings that make no sense, OneThinkerError where the port is taken.
    """
    teacher = checked(seed, error_rate, latency_ms)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="teacher", daemon=True)
    thread.start()
    try:
        runner, server = asyncio.run_coroutine_threadsafe(start(teacher, host, port), loop).result()
        try:
            yield server
        finally:
            asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def serve_until_stopped(host: str, port: int, *, seed: int, error_rate: float, latency_ms: float) -> None:
    """Serve until SIGINT or SIGTERM; prints the variables that point clients here. Raises what `serve` raises."""
    runner, server = await start(checked(seed, error_rate, latency_ms), host, port)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print(f"export ONETHINKER_TEACHER_URL={server.openai_base_url}")
    print(f"export OPENAI_BASE_URL={server.openai_base_url} OPENAI_API_KEY=local")
    print(f"export ANTHROPIC_BASE_URL={server.anthropic_base_url} ANTHROPIC_API_KEY=local", flush=True)
    print("Ctrl-C stops it", file=sys.stderr)
    try:
        await stop.wait()
    finally:
        await runner.cleanup()
