"""Media measured and stored in parallel, by worker processes that are killed when a decoder hangs or crashes.

A file is measured once: within a run by its path, across runs by path, size and change time in a small SQLite file
beside the media.
"""

import os
import sqlite3
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson
from pebble import ProcessExpired, ProcessPool

from corpus.media import MediaError, MediaStore, Medium, inside, probe
from corpus.workers import Spawned, end_with_parent

Outcome = Medium | MediaError
_IN_FLIGHT_PER_WORKER = 64
_REMEMBERED_IN_MEMORY = 100_000


class MediaPool:
    """Workers that turn paths into `Medium` rows, and store the files if there is a store.

    `submit` returns at once, `outcome` waits. A medium that takes longer than `timeout_s` is `media_timeout`, and its
    worker is replaced.
    """

    def __init__(
        self,
        store: MediaStore | None,
        *,
        known: Path | None = None,
        timeout_s: float = 60.0,
        workers: int | None = None,
    ) -> None:
        self._store, self._timeout_s = store, timeout_s
        self._workers = workers or os.cpu_count() or 1
        self._known = _Known(known) if known is not None else None
        self._pool: ProcessPool | None = None
        self._futures: dict[tuple[str, str], Future[Any] | Outcome] = {}
        self._found: dict[tuple[Path, str], str] = {}
        self._room = threading.BoundedSemaphore(self._workers * _IN_FLIGHT_PER_WORKER)

    def find(self, root: Path, path: str) -> str:
        """`corpus.media.inside` with a cache. Raises MediaError as it does."""
        key = (root, path)
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= _REMEMBERED_IN_MEMORY:
                self._found.clear()
            found = self._found[key] = str(inside(root, path))
        return found

    def submit(self, path: str | Path, kind: str) -> None:
        """Start to measure a file, unless that was done before; blocks while too many are in flight."""
        key = (str(path), kind)
        if key in self._futures:
            return
        known = self._known.get(path, kind) if self._known else None
        if known is not None and (self._store is None or known.sha256 in self._store):
            self._futures[key] = known
            return
        if self._pool is None:
            if self._store:
                self._store.sweep()
            self._pool = ProcessPool(self._workers, initializer=end_with_parent, context=Spawned())
        self._room.acquire()
        root = self._store.root if self._store else None
        future = self._pool.schedule(_measure, args=(root, *key), timeout=self._timeout_s)
        future.add_done_callback(lambda _: self._room.release())
        self._futures[key] = future

    def outcome(self, path: str | Path, kind: str) -> Outcome:
        """The measured file, or why it cannot be used; raises errors that are not the file's, such as a full disk."""
        key = (str(path), kind)
        if key not in self._futures:
            self.submit(path, kind)
        found = self._futures[key]
        if isinstance(found, Future):
            found = self._futures[key] = self._wait(found)
            if self._known and isinstance(found, Medium):
                self._known.put(path, found)
        return found

    def _wait(self, future: "Future[Any]") -> Outcome:
        try:
            outcome: Outcome = future.result()
        except FutureTimeoutError:
            return MediaError("media_timeout", f"decoding took longer than {self._timeout_s:g} s")
        except ProcessExpired as error:
            return MediaError("media_unreadable", f"its decoder crashed (exit code {error.exitcode})")
        return outcome

    def remember(self) -> None:
        """Save what was measured so far for the next run."""
        if self._known:
            self._known.save()
            if len(self._futures) > _REMEMBERED_IN_MEMORY:  # the file has these; errors are only here
                self._futures = {key: found for key, found in self._futures.items() if not isinstance(found, Medium)}

    def __enter__(self) -> "MediaPool":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._pool is not None:
            _ = self._pool.stop() if kind else self._pool.close()  # type: ignore[no-untyped-call]
            self._pool.join()
        if self._known:
            self._known.save()
            self._known.close()


def _measure(root: str | None, path: str, kind: str) -> Outcome:
    """In the worker: the medium, or why it cannot be used."""
    try:
        return MediaStore(root).add(path, kind) if root is not None else probe(path, kind)
    except MediaError as error:
        return error


class _Known:
    """Measured files by path, size and change time."""

    def __init__(self, file: Path) -> None:
        self._new: dict[tuple[str | bytes, str], tuple[Any, ...]] = {}
        self._db = sqlite3.connect(file, timeout=30)
        self._db.execute(
            "create table if not exists known (path, kind, size, mtime_ns, medium, primary key (path, kind))"
        )

    def get(self, path: str | Path, kind: str) -> Medium | None:
        key = (_as_key(path), kind)
        row = (
            self._new.get(key)
            or self._db.execute(
                "select path, kind, size, mtime_ns, medium from known where path = ? and kind = ?", key
            ).fetchone()
        )
        if row is None:
            return None
        try:
            now = os.stat(path)  # noqa: PTH116 (called per medium)
        except OSError:  # gone since it was found
            return None
        return Medium(**orjson.loads(row[4])) if (now.st_size, now.st_mtime_ns) == row[2:4] else None

    def put(self, path: str | Path, medium: Medium) -> None:
        try:
            now = os.stat(path)  # noqa: PTH116 (called per medium)
        except OSError:  # gone since it was measured
            return
        key = (_as_key(path), medium.kind)
        self._new[key] = (*key, now.st_size, now.st_mtime_ns, orjson.dumps(medium.row()))

    def save(self) -> None:
        with self._db:
            self._db.executemany("insert or replace into known values (?, ?, ?, ?, ?)", self._new.values())
        self._new.clear()

    def close(self) -> None:
        self._db.close()


def _as_key(path: str | Path) -> str | bytes:
    """A path for SQLite, which takes no text that is not UTF-8."""
    text = str(path)
    return text if text.isascii() else os.fsencode(text)
