"""A Hub on loopback for tests: the HTTP that huggingface_hub and datasets really call, over a dictionary of commits.

    with HubDouble() as hub:           # hub.endpoint is what HF_ENDPOINT is set to
        …
    hub.uploads                        # how often each large file's bytes came, by SHA-256

Repositories are lists of commits (path → content); large files go preupload → LFS batch → PUT → commit, as the real
one has it without Xet. `hub.break_after(n)` cuts the line during each upload after the n-th, `hub.mend()` ends that.
"""

import asyncio
import base64
import hashlib
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

TOKEN = "hf_onlyfortests00000000000"
REGULAR_BYTES = 10_000_000  # of text, in the commit itself
BINARY = (".parquet", ".mp4", ".png", ".jpg", ".tar")


@dataclass
class Repo:
    """Commits, oldest first, as (oid, path → bytes), and tags."""

    commits: list[tuple[str, dict[str, bytes]]]
    tags: dict[str, str] = field(default_factory=dict)

    def at(self, revision: str) -> tuple[str, dict[str, bytes]]:
        oid = self.tags.get(revision, revision)
        if oid in ("main", "refs/heads/main"):
            return self.commits[-1]
        return next(commit for commit in self.commits if commit[0] == oid)


class HubDouble:
    """The server, in a thread of its own, from `with` to its end."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.uploads: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self.ranges: list[str] = []
        self.endpoint = ""
        self._uploads_left: int | None = None

    def break_after(self, uploads: int) -> None:
        """Cut the line in every upload after so many more have come through."""
        self._uploads_left = uploads

    def mend(self) -> None:
        """Let uploads through again."""
        self._uploads_left = None

    def files(self, repo: str, revision: str = "main") -> dict[str, bytes]:
        """What a repository holds."""
        return self.repos[repo].at(revision)[1]

    # -- life ------------------------------------------------------------------------------------------------------

    def __enter__(self) -> "HubDouble":
        started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        self._thread.start()
        started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())

    async def _listen(self) -> None:
        app = web.Application(client_max_size=1 << 30, middlewares=[self._counted])
        repo = r"/{repo:[\w.-]+/[\w.-]+}"
        api = f"/api/datasets{repo}"
        app.add_routes(
            [
                web.post("/api/repos/create", self._create),
                web.post("/api/validate-yaml", self._validate_yaml),
                web.get("/api/whoami-v2", self._whoami),
                web.get(f"{api}/refs", self._refs),
                web.get(f"{api}/tree/{{revision}}", self._tree),
                web.get(f"{api}/tree/{{revision}}/{{under:.*}}", self._tree),
                web.post(f"{api}/paths-info/{{revision}}", self._paths_info),
                web.post(f"{api}/preupload/{{revision}}", self._preupload),
                web.post(f"{api}/commit/{{revision}}", self._commit),
                web.post(f"{api}/tag/{{revision}}", self._tag),
                web.get(f"{api}/revision/{{revision}}", self._info),
                web.get(api, self._info),
                web.post(f"/datasets{repo}.git/info/lfs/objects/batch", self._lfs_batch),
                web.put("/objects/{oid}", self._put),
                web.post("/verify", self._verify),
                web.get("/objects/{oid}", self._object),
                web.get(f"/datasets{repo}/resolve/{{revision}}/{{path:.*}}", self._resolve),
            ]
        )
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.endpoint = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    @web.middleware
    async def _counted(self, request: web.Request, handler: Any) -> web.StreamResponse:
        handled = getattr(handler, "__name__", "none").lstrip("_")
        self.requests[f"{request.method} {handled}"] += 1
        writes = request.method == "POST" and handled not in ("paths_info", "validate_yaml", "verify")
        if writes and request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"error": "Invalid user token."}, status=401)
        response: web.StreamResponse = await handler(request)
        return response

    # -- repositories ----------------------------------------------------------------------------------------------

    def _of(self, request: web.Request) -> Repo:
        repo = self.repos.get(request.match_info["repo"])
        if repo is None:
            raise web.HTTPNotFound(headers={"X-Error-Code": "RepoNotFound"})
        return repo

    def _at(self, request: web.Request) -> tuple[str, dict[str, bytes]]:
        try:
            return self._of(request).at(request.match_info.get("revision", "main"))
        except StopIteration:
            raise web.HTTPNotFound(headers={"X-Error-Code": "RevisionNotFound"}) from None

    async def _create(self, request: web.Request) -> web.Response:
        asked = await request.json()
        name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else f"user/{asked['name']}"
        if asked.get("type") != "dataset":
            return web.json_response({"error": "only datasets here"}, status=400)
        status = 409 if name in self.repos else 200
        self.repos.setdefault(name, Repo([("0" * 40, {".gitattributes": b"*.parquet filter=lfs\n"})]))
        return web.json_response({"url": f"{self.endpoint}/datasets/{name}", "name": name}, status=status)

    async def _validate_yaml(self, request: web.Request) -> web.Response:
        content = (await request.json())["content"]
        good = content.startswith("---\n") and "\n---\n" in content
        return web.json_response({"errors": [] if good else [{"message": "no front matter"}], "warnings": []})

    async def _whoami(self, _: web.Request) -> web.Response:
        return web.json_response({"name": "user", "type": "user", "orgs": []})

    async def _refs(self, request: web.Request) -> web.Response:
        repo = self._of(request)
        branches = [{"name": "main", "ref": "refs/heads/main", "targetCommit": repo.commits[-1][0]}]
        tags = [{"name": t, "ref": f"refs/tags/{t}", "targetCommit": oid} for t, oid in repo.tags.items()]
        return web.json_response({"branches": branches, "tags": tags, "converts": []})

    async def _info(self, request: web.Request) -> web.Response:
        oid, files = self._at(request)
        siblings = [{"rfilename": path} for path in sorted(files)]
        name = request.match_info["repo"]
        return web.json_response(
            {"id": name, "_id": "0", "sha": oid, "private": False, "tags": [], "downloads": 0, "likes": 0,
             "gated": False, "disabled": False, "lastModified": "2026-01-01T00:00:00.000Z", "siblings": siblings}
        )  # fmt: skip

    async def _tree(self, request: web.Request) -> web.Response:
        _, files = self._at(request)
        under = request.match_info.get("under", "").strip("/")
        inside = {p: c for p, c in files.items() if not under or p.startswith(under + "/")}
        if under and not inside:
            raise web.HTTPNotFound(headers={"X-Error-Code": "EntryNotFound"})
        recursive = request.query.get("recursive", "").lower() in ("true", "1")
        rows = {}
        for path, content in inside.items():
            parts = path.split("/")
            depth = under.count("/") + 1 if under else 0
            for end in range(depth + 1, len(parts)):
                folder = "/".join(parts[:end])
                if recursive or end == depth + 1:
                    rows[folder] = {"type": "directory", "path": folder, "oid": _git_oid(folder.encode()), "size": 0}
            if recursive or len(parts) == depth + 1:
                rows[path] = _entry(path, content)
        return web.json_response([rows[path] for path in sorted(rows)])

    async def _paths_info(self, request: web.Request) -> web.Response:
        _, files = self._at(request)
        asked = await request.post() if "form" in request.content_type else await request.json()
        paths = asked.getall("paths") if hasattr(asked, "getall") else asked["paths"]
        rows = []
        for path in paths:
            if path in files:
                rows.append(_entry(path, files[path]))
            elif any(name.startswith(path.rstrip("/") + "/") for name in files):
                rows.append({"type": "directory", "path": path, "oid": _git_oid(path.encode()), "size": 0})
        return web.json_response(rows)

    # -- writing ---------------------------------------------------------------------------------------------------

    async def _preupload(self, request: web.Request) -> web.Response:
        _, files = self._at(request)
        rows = []
        for file in (await request.json())["files"]:
            mode = "lfs" if file["path"].endswith(BINARY) or file["size"] > REGULAR_BYTES else "regular"
            there = files.get(file["path"])
            oid = None if there is None else _sha256(there) if mode == "lfs" else _git_oid(there)
            rows.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return web.json_response({"files": rows})

    async def _lfs_batch(self, request: web.Request) -> web.Response:
        self._of(request)
        objects = []
        for asked in (await request.json())["objects"]:
            told: dict[str, Any] = {"oid": asked["oid"], "size": asked["size"]}
            if asked["oid"] not in self.objects:
                told["actions"] = {
                    "upload": {"href": f"{self.endpoint}/objects/{asked['oid']}", "header": {}},
                    "verify": {"href": f"{self.endpoint}/verify", "header": {}},
                }
            objects.append(told)
        return web.json_response({"transfer": "basic", "objects": objects})

    async def _put(self, request: web.Request) -> web.Response:
        oid = request.match_info["oid"]
        if self._uploads_left is not None:
            self._uploads_left -= 1  # before the first await: several come at a time
        if self._uploads_left is not None and self._uploads_left < 0:
            await request.content.read(64)
            assert request.transport is not None
            request.transport.abort()  # no answer: the line is dead
            return web.Response(status=500)
        content = await request.read()
        if _sha256(content) != oid:
            return web.Response(status=400)
        self.objects[oid] = content
        self.uploads[oid] += 1
        return web.Response()

    async def _verify(self, request: web.Request) -> web.Response:
        asked = await request.json()
        there = self.objects.get(asked["oid"], b"")
        return web.json_response({}, status=200 if len(there) == asked["size"] else 400)

    async def _commit(self, request: web.Request) -> web.Response:
        repo = self._of(request)
        files = dict(repo.commits[-1][1])
        for line in (await request.text()).splitlines():
            told = json.loads(line)
            value = told["value"]
            if told["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif told["key"] == "lfsFile":
                if value["oid"] not in self.objects:
                    return web.json_response({"error": f"{value['path']} was not uploaded"}, status=400)
                files[value["path"]] = self.objects[value["oid"]]
            elif told["key"] == "deletedFile":
                del files[value["path"]]
        oid = hashlib.sha1(f"{len(repo.commits)} {sorted(files)}".encode()).hexdigest()
        repo.commits.append((oid, files))
        url = f"{self.endpoint}/datasets/{request.match_info['repo']}/commit/{oid}"
        return web.json_response({"commitUrl": url, "commitOid": oid, "success": True})

    async def _tag(self, request: web.Request) -> web.Response:
        repo, (oid, _) = self._of(request), self._at(request)
        tag = (await request.json())["tag"]
        if tag in repo.tags:
            return web.json_response({"error": "Tag reference exists already"}, status=409)
        repo.tags[tag] = oid
        return web.json_response({})

    # -- reading ---------------------------------------------------------------------------------------------------

    async def _resolve(self, request: web.Request) -> web.StreamResponse:
        oid, files = self._at(request)
        path = request.match_info["path"]
        if path not in files:
            raise web.HTTPNotFound(headers={"X-Error-Code": "EntryNotFound", "X-Repo-Commit": oid})
        content = files[path]
        headers = {"X-Repo-Commit": oid, "ETag": f'"{_git_oid(content)}"'}
        if path.endswith(BINARY):
            sha256 = _sha256(content)
            headers |= {"X-Linked-Size": str(len(content)), "X-Linked-ETag": f'"{sha256}"'}
            # Large files lie on another host, as the real ones do: the client must not take this for the Hub's own.
            headers["Location"] = f"{self.endpoint.replace('127.0.0.1', 'localhost')}/objects/{sha256}"
            return web.Response(status=302, headers=headers)
        return self._ranged(request, content, headers)

    async def _object(self, request: web.Request) -> web.StreamResponse:
        return self._ranged(request, self.objects[request.match_info["oid"]], {})

    def _ranged(self, request: web.Request, content: bytes, headers: dict[str, str]) -> web.Response:
        headers["Accept-Ranges"] = "bytes"
        asked = request.http_range
        if asked.start is None and asked.stop is None:
            return web.Response(body=content, headers=headers)
        self.ranges.append(request.headers["Range"])
        start, stop, _ = asked.indices(len(content))
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
        return web.Response(status=206, body=content[start:stop], headers=headers)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entry(path: str, content: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "oid": _git_oid(content), "size": len(content)}
    if path.endswith(BINARY):
        entry["lfs"] = {"oid": _sha256(content), "size": len(content), "pointerSize": 130}
    return entry
