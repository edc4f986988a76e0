"""Answers on disk before they count: an append-only journal beside the lake, replayed by the next run.

`journal/RUN_ID/000001.jsonl` holds one JSON line for each row that the lake does not have yet. A row is handed to the
operating system the moment it is added, so that a killed process loses none, and is synced to the disk in groups, at
most 200 ms later, so that a power cut loses at most those. When a group of rows has been committed to the lake its
file is deleted. A lock on `journal/RUN_ID/lock` says that the run is alive; whoever gets it may replay the rest.
"""

import errno
import os
import shutil
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock, Timeout

SYNC_EVERY_S = 0.2
RESERVE_BYTES = 16 << 20  # given back when the disk is full, so that answers already under way still fit


class Journal:
    """The journal of a run that is alive. `add` and `turn` belong to one thread; `sync` may be called from another."""

    def __init__(self, folder: Path, run_id: str) -> None:
        self.path = folder / run_id
        self.path.mkdir(parents=True)
        self._lock = FileLock(self.path / "lock")
        self._lock.acquire(timeout=0)
        self._reserve = self.path / "reserve"
        self.full = not self._fill_reserve()
        self._number = 0
        self._size = 0
        self._unsynced = False
        self._before: deque[int] = deque()  # files turned away from, still to be synced and closed
        self._syncing = threading.Lock()
        self._file = self._open_next()

    def add(self, table: str, row: dict[str, Any]) -> None:
        """Write one row. Raises OSError where not even the reserve has room; `full` is set once that was needed."""
        line = orjson.dumps([table, row], default=_plain) + b"\n"
        try:
            self._write(line)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not self._reserve.exists():
                raise
            self._reserve.unlink()
            self.full = True
            self._write(line)

    def _write(self, line: bytes) -> None:
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError:
            os.ftruncate(self._file, self._size)  # no half line before the next one
            raise
        self._size += len(line)
        self._unsynced = True

    def sync(self) -> None:
        """Wait until all that was added is on the disk itself; may be called from another thread."""
        with self._syncing:
            while self._before:
                file = self._before.popleft()
                os.fsync(file)
                os.close(file)
            if self._unsynced:
                self._unsynced = False
                os.fsync(self._file)

    def turn(self) -> Path:
        """Begin a new file, in the thread that adds, and return the one before: its rows are the next commit's.

        It waits for no disk: the file before is synced and closed by the next `sync`.
        """
        path = self._current
        self._before.append(self._file)
        self._file = self._open_next()
        self._size = 0
        return path

    def close(self) -> None:
        """End the journal: gone if every row was committed, else left for the next run."""
        self.sync()
        os.close(self._file)
        if self._size == 0:
            self._current.unlink(missing_ok=True)
        self._reserve.unlink(missing_ok=True)
        left = any(self.path.glob("*.jsonl"))
        self._lock.release()
        if not left:
            shutil.rmtree(self.path, ignore_errors=True)

    def _open_next(self) -> int:
        self._number += 1
        self._current = self.path / f"{self._number:06d}.jsonl"
        return os.open(self._current, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def _fill_reserve(self) -> bool:
        try:
            with open(self._reserve, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
        except OSError:
            self._reserve.unlink(missing_ok=True)
            return False
        return True


SET_ASIDE = "set_aside.jsonl"

Row = tuple[str, dict[str, Any]]


def read_leftovers(folder: Path) -> Iterator[tuple[Path, list[Row], list[bytes]]]:
    """What runs that died have left, file by file: its path, its (table, row)s, and the lines that hold none.

    Delete the file once its rows are committed and its other lines set aside.

    A last line that was cut off is left out: its answer never counted. The run's lock is held while its files are
    handed out, so two processes do not replay the same one.
    """
    for run in sorted(folder.glob("*/lock")):
        try:
            with FileLock(run, timeout=0):
                for path in sorted(run.parent.glob("*.jsonl")):
                    yield path, *_read(path)
                if not any(run.parent.glob("*.jsonl")):
                    shutil.rmtree(run.parent, ignore_errors=True)
        except Timeout:
            continue


def set_aside(folder: Path, run_id: str, lines: Iterable[tuple[bytes, str]]) -> None:
    """Keep lines of a run's journal that no table takes, each with the reason, in `set_aside.jsonl` of the folder."""
    with open(folder / SET_ASIDE, "ab") as file:
        for line, reason in lines:
            text = line.rstrip(b"\n").decode("utf-8", "backslashreplace")
            file.write(orjson.dumps({"run_id": run_id, "reason": reason, "line": text}) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> tuple[list[Row], list[bytes]]:
    rows: list[Row] = []
    others: list[bytes] = []
    with open(path, "rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            if not line.strip(b"\0\n"):  # zeros after a power cut
                continue
            try:
                table, row = orjson.loads(line)
                rows.append((table, _typed(row)))
            except (ValueError, TypeError, AttributeError, ArithmeticError):
                others.append(line)
    return rows, others


def _plain(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"cannot journal a {type(value).__name__}")


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    if row.get("cost_usd") is not None:
        row["cost_usd"] = Decimal(row["cost_usd"])
    if row.get("created_at") is not None:
        row["created_at"] = datetime.fromisoformat(row["created_at"])
    return row
