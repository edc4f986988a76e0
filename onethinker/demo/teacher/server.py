"""The teacher as a web server on loopback that speaks the APIs of OpenAI and Anthropic."""

import asyncio
import logging
import signal
import sys
import threading
import uuid
from asyncio import sleep
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
from onethinker.demo.teacher import served_models
from onethinker.demo.teacher.api import anthropic_messages, openai_chat, openai_responses
from onethinker.demo.teacher.api.common import ApiError, ApiRequest, ApiResponse
from onethinker.demo.teacher.pixel_model import PixelModel
from onethinker.demo.teacher.request_log import AnsweredRequest, RequestLog

log = logging.getLogger(__name__)

_REQUEST_ID = web.RequestKey("request_id", str)
_MAX_BODY_BYTES = 64 * 2**20
_MODEL_CREATED = 1_760_000_000  # Unix time; the APIs require a date
_MODEL_CREATED_TEXT = "2025-10-09T08:53:20Z"


@dataclass(frozen=True)
class TeacherServer:
    """A running teacher: its URLs, and the log of what it answered."""

    openai_base_url: str
    anthropic_base_url: str
    port: int
    requests: RequestLog


class TeacherApp:
    """The web application around a PixelModel: routes, keys, headers and streams."""

    def __init__(self, engine: PixelModel, latency_s: float = 0.0) -> None:
        self.engine, self.latency_s, self.requests = engine, latency_s, RequestLog()
        # Threads are enough: OpenCV releases the interpreter lock.
        self.workers = ThreadPoolExecutor(max_workers=cpu_count() or 2, thread_name_prefix="teacher")

    def app(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[_error_middleware])
        for api in (openai_chat, openai_responses, anthropic_messages):
            app.router.add_post(api.PATH, self._handler(api))
        app.router.add_post(anthropic_messages.COUNT_PATH, self._count)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/models/{id:.+}", self._model)
        app.router.add_get("/requests", self._requests)
        app.on_cleanup.append(self._stop)
        return app

    def _handler(self, api: ModuleType) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            _require_key(request)
            key = request.headers.get("Idempotency-Key")
            raw = await request.read()
            loop = asyncio.get_running_loop()
            computing = loop.run_in_executor(self.workers, self.engine.answer, api, raw, key)
            (asked, answered), _ = await asyncio.gather(computing, self.wait())
            # Logged once it is computed, even if the client is gone, and before a client can read the log.
            wrong = any(reply.wrong for reply in answered.replies)
            tokens = answered.input_tokens, sum(answered.output_tokens)
            place = self.requests.add(AnsweredRequest(api.API, asked.model, key, *tokens, wrong, delivered=True))
            try:
                return await _send(request, api, asked, answered)
            except ConnectionError:
                self.requests.mark_undelivered(place)
                raise

        return handle

    async def wait(self) -> None:
        """Wait for the configured latency, beside the computation of an answer."""
        await sleep(self.latency_s)

    async def _count(self, request: web.Request) -> web.Response:
        _require_key(request)
        raw = await request.read()
        count = await asyncio.get_running_loop().run_in_executor(self.workers, self.engine.count, raw)
        return _json({"input_tokens": count}, request)

    async def _models(self, request: web.Request) -> web.Response:
        _require_key(request)
        described = [_describe(model, _api_of(request)) for model in served_models.MODELS.values()]
        if _api_of(request) is anthropic_messages:
            ends = {"has_more": False, "first_id": described[0]["id"], "last_id": described[-1]["id"]}
            return _json({"data": described, **ends}, request)
        return _json({"object": "list", "data": described}, request)

    async def _model(self, request: web.Request) -> web.Response:
        _require_key(request)
        name = request.match_info["id"]
        model = served_models.find(name)
        if model is None:
            raise ApiError(404, "not_found_error", served_models.unknown(name), param="model", code="model_not_found")
        return _json(_describe(model, _api_of(request)), request)

    async def _requests(self, request: web.Request) -> web.Response:
        return _json(self.requests.as_json(), request)

    async def _stop(self, _: web.Application) -> None:
        self.workers.shutdown(wait=False, cancel_futures=True)


async def _send(request: web.Request, api: ModuleType, asked: ApiRequest, answered: ApiResponse) -> web.StreamResponse:
    """Send the response, whole or as a stream. Raises ConnectionError if the client disconnected."""
    if not asked.stream:
        response: web.StreamResponse = _json(api.format_response(asked, answered), request)
        await response.prepare(request)
    else:
        response = web.StreamResponse(headers=_headers(request))
        response.content_type = "text/event-stream"
        await response.prepare(request)
        for event in api.stream_events(asked, answered):
            await response.write(event)
    await response.write_eof()
    return response


@web.middleware
async def _error_middleware(request: web.Request, handler: Any) -> web.StreamResponse:
    """Format every error as the requested API does."""
    try:
        response: web.StreamResponse = await handler(request)
        return response
    except ApiError as error:
        return _error_response(request, error)
    except web.HTTPRequestEntityTooLarge:
        return _error_response(
            request, ApiError(413, "request_too_large", f"The request is over {_MAX_BODY_BYTES} bytes.")
        )
    except web.HTTPException as error:
        return _error_response(request, ApiError(error.status, "not_found_error", f"{request.path}: {error.reason}"))
    except Exception:  # a bug: log it, and answer with an error that clients can parse and retry
        log.exception("the teacher failed on a request")
        return _error_response(
            request, ApiError(500, "api_error", "The teacher failed on this request; its log says how.")
        )


def _error_response(request: web.Request, error: ApiError) -> web.Response:
    headers = _headers(request)
    body = _api_of(request).format_error(error, headers["request-id"])
    return web.Response(body=orjson.dumps(body), status=error.status, content_type="application/json", headers=headers)


def _require_key(request: web.Request) -> None:
    """Accept any key and refuse none, so that a client without a key finds out here."""
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer").strip()
    if _api_of(request) is anthropic_messages:
        if not (request.headers.get("x-api-key", "").strip() or bearer):
            raise ApiError(401, "authentication_error", "x-api-key header is required")
    elif not bearer:
        message = "You didn't provide an API key. Send any: this teacher requires one and accepts any."
        raise ApiError(401, "invalid_request_error", message)


def _api_of(request: web.Request) -> ModuleType:
    """The API of a request, by its path, or by its headers for paths that both APIs have."""
    if request.path.startswith(anthropic_messages.PATH) or "anthropic-version" in request.headers:
        return anthropic_messages
    return openai_chat


def _describe(model: served_models.ServedModel, api: ModuleType) -> dict[str, Any]:
    if api is anthropic_messages:
        words = {"display_name": model.label, "created_at": _MODEL_CREATED_TEXT, "lifecycle": "active"}
        return {"type": "model", "id": model.id, **words}
    return {"id": model.id, "object": "model", "created": _MODEL_CREATED, "owned_by": "onethinker"}


def _headers(request: web.Request) -> dict[str, str]:
    number = request.setdefault(_REQUEST_ID, f"req_{uuid.uuid4().hex[:24]}")
    return {"x-request-id": number, "request-id": number}


def _json(body: dict[str, Any], request: web.Request) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json", headers=_headers(request))


def make_app(seed: int, error_rate: float, latency_ms: float) -> TeacherApp:
    """A teacher with these settings. Raises UsageError for values out of range."""
    if not 0 <= error_rate <= 1:
        raise UsageError(f"error rate {error_rate} is out of range: give a number from 0 to 1")
    if not 0 <= latency_ms <= 600_000:
        raise UsageError(f"latency {latency_ms} ms is out of range: give 0 to 600000")
    return TeacherApp(PixelModel(seed, error_rate), latency_ms / 1000)


async def start(teacher: TeacherApp, host: str, port: int) -> tuple[web.AppRunner, TeacherServer]:
    """Start listening; port 0 picks a free port. Raises OneThinkerError if the port is taken."""
    runner = web.AppRunner(teacher.app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        where = f"{host}:{port}"
        raise OneThinkerError(f"can not listen on {where}: {error.strerror}; `--port 0` picks a free one") from error
    port = runner.addresses[0][1]
    home = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return runner, TeacherServer(f"{home}/v1", home, port, teacher.requests)


@contextmanager
def serve(
    *, host: str = "127.0.0.1", port: int = 0, seed: int = 0, error_rate: float = 0.15, latency_ms: float = 0.0
) -> Iterator[TeacherServer]:
    """Serve a teacher in a thread of this process during the `with` block.

    Raises UsageError for values out of range, OneThinkerError if the port is taken.
    """
    teacher = make_app(seed, error_rate, latency_ms)
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
    """Serve until SIGINT or SIGTERM; prints the variables that clients need. Raises as `serve` does."""
    runner, server = await start(make_app(seed, error_rate, latency_ms), host, port)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print(f"export ONETHINKER_TEACHER_URL={server.openai_base_url}")
    print(f"export OPENAI_BASE_URL={server.openai_base_url} OPENAI_API_KEY=local")
    print(f"export ANTHROPIC_BASE_URL={server.anthropic_base_url} ANTHROPIC_API_KEY=local", flush=True)
    print("press Ctrl-C to stop", file=sys.stderr)
    try:
        await stop.wait()
    finally:
        await runner.cleanup()
