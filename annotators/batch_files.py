"""Parts of a slice on their way through a provider's batch API, each a folder on disk until its answers are kept.

    batches/KEY/requests.jsonl   what is submitted, one request a line
    batches/KEY/jobs.jsonl       which trace each request is for
    batches/KEY/state.json       ready, then submitting, then submitted with the provider's batch id
    batches/finished.txt         ids of batches whose answers were all taken in, or that were found to be others'

A part is written whole before its state says `ready`; the state says `submitting` before the provider hears of it and
`submitted` after, so that whoever continues knows when to look for a batch that was made and not noted.
"""

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock, Timeout

from annotators.jobs import Asked

READY, SUBMITTING, SUBMITTED = "ready", "submitting", "submitted"


@dataclass
class Part:
    """One batch's worth of requests."""

    folder: Path
    teacher: str
    requests: int
    most_usd: str
    stage: str = READY
    batch_id: str | None = None
    since: float = 0.0  # Unix time of the first try to submit

    @property
    def key(self) -> str:
        """What names this part to the provider."""
        return self.folder.name

    @property
    def path(self) -> Path:
        """The requests, as the provider wants them."""
        return self.folder / "requests.jsonl"

    def now(self, stage: str, **changes: Any) -> None:
        """Note, durably, how far this part has come."""
        self.stage = stage
        for name, value in changes.items():
            setattr(self, name, value)
        told = {name: value for name, value in asdict(self).items() if name != "folder"}
        _write_whole(self.folder / "state.json", orjson.dumps(told))

    def asked(self) -> dict[str, Asked]:
        """What each request is for, by trace id."""
        with open(self.folder / "jobs.jsonl", "rb") as file:
            return {(row := Asked(**orjson.loads(line))).trace_id: row for line in file}

    def done(self) -> None:
        """Forget the part: its answers are in the journal or the lake."""
        _finished(self.folder.parent, self.batch_id)
        self.drop()

    def drop(self) -> None:
        """Forget a part that no batch was made of, or whose batch came to nothing."""
        (self.folder / "state.json").unlink(missing_ok=True)  # first: without it the rest is rubbish to be cleared
        shutil.rmtree(self.folder, ignore_errors=True)


class Writer:
    """Writes one part; `close` makes it one."""

    def __init__(self, root: Path, key: str, teacher: str) -> None:
        self.part = Part(root / key, teacher, 0, "0")
        self.part.folder.mkdir(parents=True)
        self.bytes = 0
        self._requests = open(self.part.path, "wb")  # noqa: SIM115, closed by `close`
        self._jobs = open(self.part.folder / "jobs.jsonl", "wb")  # noqa: SIM115

    def add(self, asked: Asked, line: bytes) -> None:
        """Put one request in."""
        self._requests.write(line)
        self._jobs.write(orjson.dumps(asked) + b"\n")
        self.bytes += len(line)
        self.part.requests += 1

    def close(self, most_usd: str) -> Part:
        """The finished part, on the disk itself."""
        for file in (self._requests, self._jobs):
            file.flush()
            os.fsync(file.fileno())
            file.close()
        self.part.most_usd = most_usd
        self.part.now(READY)
        return self.part


class Parts:
    """The parts of a corpus. One process at a time works on them: use as a context manager."""

    def __init__(self, root: Path) -> None:
        self.root = root / "batches"
        self._lock = FileLock(self.root / "lock")

    def __enter__(self) -> "Parts":
        """Raises Timeout (of filelock) where another process is at work on them."""
        self.root.mkdir(exist_ok=True)
        self._lock.acquire(timeout=0)
        for folder in self.root.iterdir():
            if folder.is_dir() and not (folder / "state.json").exists():
                shutil.rmtree(folder, ignore_errors=True)  # its writer was killed before it was whole
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def all(self) -> list[Part]:
        """Every part there is, the oldest first."""
        found = [Part(path.parent, **orjson.loads(path.read_bytes())) for path in self.root.glob("*/state.json")]
        return sorted(found, key=lambda part: (part.since or time.time(), part.key))

    def forget(self, batch_id: str | None) -> None:
        """Note that a batch is not ours, or has been taken in: it is not to be found again."""
        _finished(self.root, batch_id)

    def known(self) -> set[str]:
        """The ids of all batches that are or were ours, or were found to be somebody else's."""
        finished = self.root / "finished.txt"
        before = set(finished.read_text(encoding="utf-8").split()) if finished.exists() else set()
        return before | {part.batch_id for part in self.all() if part.batch_id}


def pending(root: Path) -> set[str]:
    """The first tries' ids of all traces that a batch API may be working on: nobody else should buy those."""
    return {row["claim_id"] for path in (root / "batches").glob("*/state.json") for row in _jobs(path.parent)}


def _jobs(folder: Path) -> Iterator[Any]:
    try:
        with open(folder / "jobs.jsonl", "rb") as file:
            yield from map(orjson.loads, file)
    except FileNotFoundError:  # done a moment ago
        return


def _finished(root: Path, batch_id: str | None) -> None:
    with open(root / "finished.txt", "a", encoding="utf-8") as file:
        file.write(f"{batch_id}\n")
        file.flush()
        os.fsync(file.fileno())


def _write_whole(path: Path, data: bytes) -> None:
    aside = path.with_suffix(".new")
    with open(aside, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


__all__ = ["READY", "SUBMITTED", "SUBMITTING", "Part", "Parts", "Timeout", "Writer", "pending"]
