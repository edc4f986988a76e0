"""The providers' batch APIs on loopback: files, batches, polling, results, expiry, partial failure."""

import asyncio
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.annotators.serving import RIGHT, Provider, anthropic_reply, openai_reply


@dataclass
class BatchProvider(Provider):
    """A provider whose batches end after `polls` looks.

    `fate` says what becomes of a request by its custom id: ok, expired, failed (the provider's fault), refused (ours).
    At `hang_at` (upload, create, created, poll, results, half) a request of that kind is left hanging, once: `hung` is
    set, and a test may kill the client. At `created` the batch is made and only the answer never comes; at `half` one
    half of the results has come.
    """

    polls: int = 2
    fate: Any = lambda custom_id, tries: "ok"
    hang_at: str | None = None
    hung: threading.Event = field(default_factory=threading.Event)
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    submitted: Counter[str] = field(default_factory=Counter)

    def routes(self, app: web.Application) -> None:
        add = app.router.add_route
        add("GET", "/v1/files", self.list_files)
        add("POST", "/v1/files", self.upload)
        add("GET", "/v1/files/{id}/content", self.content)
        add("GET", "/v1/batches", self.list_openai)
        add("POST", "/v1/batches", self.create_openai)
        add("GET", "/v1/batches/{id}", self.poll_openai)
        add("GET", "/v1/messages/batches", self.list_anthropic)
        add("POST", "/v1/messages/batches", self.create_anthropic)
        add("GET", "/v1/messages/batches/{id}", self.poll_anthropic)
        add("GET", "/v1/messages/batches/{id}/results", self.results_anthropic)

    async def maybe_hang(self, stage: str) -> None:
        if self.hang_at == stage:
            self.hang_at = None
            self.hung.set()
            await asyncio.sleep(3600)

    def make(self, requests: list[tuple[str, dict[str, Any]]], **about: Any) -> dict[str, Any]:
        batch = {"id": f"batch-{len(self.batches)}", "made": time.time(), "polls": 0, "requests": requests} | about
        self.batches[batch["id"]] = batch
        for custom_id, body in requests:
            self.submitted[custom_id] += 1
            assert body["model"] == "m"
        return batch

    def ended(self, batch: dict[str, Any]) -> bool:
        batch["polls"] += 1
        return bool(batch["polls"] > self.polls)

    def fates(self, batch: dict[str, Any]) -> list[tuple[str, str]]:
        return [(custom_id, self.fate(custom_id, self.submitted[custom_id])) for custom_id, _ in batch["requests"]]

    async def send_results(self, request: web.Request, lines: list[str]) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        half = len(lines) // 2
        await response.write("".join(f"{line}\n" for line in lines[:half]).encode())
        if lines:
            await self.maybe_hang("half")
        await response.write("".join(f"{line}\n" for line in lines[half:]).encode())
        return response

    # -- OpenAI --------------------------------------------------------------------------------------------------------

    async def list_files(self, request: web.Request) -> web.Response:
        data = [self.file_row(file_id, name) for file_id, (name, _) in reversed(self.files.items())]
        return web.json_response({"object": "list", "data": data, "has_more": False})

    def file_row(self, file_id: str, name: str) -> dict[str, Any]:
        size = len(self.files[file_id][1])
        about = {"bytes": size, "created_at": int(time.time()), "purpose": "batch", "status": "processed"}
        return {"id": file_id, "object": "file", "filename": name} | about

    async def upload(self, request: web.Request) -> web.Response:
        await self.maybe_hang("upload")
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        assert form["purpose"] == "batch"
        file_id = f"file-{len(self.files)}"
        self.files[file_id] = (file.filename, file.file.read())
        return web.json_response(self.file_row(file_id, file.filename))

    async def create_openai(self, request: web.Request) -> web.Response:
        await self.maybe_hang("create")
        body = await request.json()
        lines = [json.loads(line) for line in self.files[body["input_file_id"]][1].splitlines()]
        assert all(line["method"] == "POST" and line["url"] == body["endpoint"] for line in lines)
        batch = self.make([(line["custom_id"], line["body"]) for line in lines], metadata=body["metadata"])
        await self.maybe_hang("created")
        return web.json_response(self.openai_row(batch))

    def openai_row(self, batch: dict[str, Any]) -> dict[str, Any]:
        done = batch["polls"] > self.polls
        row = {
            "id": batch["id"], "object": "batch", "endpoint": "/v1/chat/completions", "completion_window": "24h",
            "created_at": int(batch["made"]), "input_file_id": "f", "metadata": batch["metadata"],
            "status": "completed" if done else "in_progress",
        }  # fmt: skip
        if done:
            row |= {"output_file_id": f"{batch['id']}-out", "error_file_id": f"{batch['id']}-err"}
        return row

    async def list_openai(self, request: web.Request) -> web.Response:
        data = [self.openai_row(batch) for batch in reversed(self.batches.values())]
        return web.json_response({"object": "list", "data": data, "has_more": False})

    async def poll_openai(self, request: web.Request) -> web.Response:
        await self.maybe_hang("poll")
        batch = self.batches[request.match_info["id"]]
        self.ended(batch)
        return web.json_response(self.openai_row(batch))

    async def content(self, request: web.Request) -> web.StreamResponse:
        await self.maybe_hang("results")
        batch_id, _, which = request.match_info["id"].rpartition("-")
        lines = []
        for custom_id, fate in self.fates(self.batches[batch_id]):
            line: dict[str, Any] = {"id": "x", "custom_id": custom_id, "response": None, "error": None}
            if fate == "ok":
                whole = self.reply(openai_reply, "m", text=RIGHT)
                line["response"] = {"status_code": 200, "request_id": "r", "body": whole}
            elif fate == "expired":
                line["error"] = {"code": "batch_expired", "message": "not done in time"}
            else:
                status = 500 if fate == "failed" else 400
                line["response"] = {"status_code": status, "request_id": "r", "body": {"error": {"message": fate}}}
            if (fate == "ok") == (which == "out"):
                lines.append(json.dumps(line))
        return await self.send_results(request, lines)

    # -- Anthropic -----------------------------------------------------------------------------------------------------

    async def create_anthropic(self, request: web.Request) -> web.Response:
        await self.maybe_hang("create")
        body = await request.json()
        batch = self.make([(one["custom_id"], one["params"]) for one in body["requests"]])
        await self.maybe_hang("created")
        return web.json_response(self.anthropic_row(batch))

    def anthropic_row(self, batch: dict[str, Any]) -> dict[str, Any]:
        done = batch["polls"] > self.polls
        n = len(batch["requests"])
        zero = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(batch["made"]))
        return {
            "id": batch["id"], "type": "message_batch", "created_at": made, "expires_at": made, "ended_at": None,
            "archived_at": None, "cancel_initiated_at": None, "processing_status": "ended" if done else "in_progress",
            "request_counts": zero | {"succeeded" if done else "processing": n},
            "results_url": f"{self.anthropic_url}/v1/messages/batches/{batch['id']}/results" if done else None,
        }  # fmt: skip

    async def list_anthropic(self, request: web.Request) -> web.Response:
        data = [self.anthropic_row(batch) for batch in reversed(self.batches.values())]
        return web.json_response({"data": data, "has_more": False, "first_id": None, "last_id": None})

    async def poll_anthropic(self, request: web.Request) -> web.Response:
        await self.maybe_hang("poll")
        batch = self.batches[request.match_info["id"]]
        self.ended(batch)
        return web.json_response(self.anthropic_row(batch))

    async def results_anthropic(self, request: web.Request) -> web.StreamResponse:
        await self.maybe_hang("results")
        lines = []
        for custom_id, fate in reversed(self.fates(self.batches[request.match_info["id"]])):
            if fate == "ok":
                whole = self.reply(anthropic_reply, "m", text=RIGHT)
                result: dict[str, Any] = {"type": "succeeded", "message": whole}
            elif fate == "expired":
                result = {"type": "expired"}
            else:
                kind = "api_error" if fate == "failed" else "invalid_request_error"
                result = {"type": "errored", "error": {"type": "error", "error": {"type": kind, "message": fate}}}
            lines.append(json.dumps({"custom_id": custom_id, "result": result}))
        return await self.send_results(request, lines)
