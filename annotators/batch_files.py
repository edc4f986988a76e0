"""Batches on their way through a provider's batch API, each a folder on disk until its answers are kept.

    batches/KEY/requests.jsonl   what is submitted, one request a line
    batches/KEY/jobs.jsonl       which trace each request is for, and what was reserved for it
    batches/KEY/state.json       ready, then submitting, then submitted with the provider's batch id
    batches/finished.txt         ids of batches whose answers were all taken in, or that turned out to be others'

A batch is written whole before its state says `ready`; the state says `submitting` before the provider hears of it and
`submitted` after, so that the next process knows when to look for a batch that was made and not noted.
"""

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock, Timeout

from annotators.jobs import JobRow
from corpus.errors import OneThinkerError

READY, SUBMITTING, SUBMITTED = "ready", "submitting", "submitted"
_LAST_DIGIT = Decimal("1e-12")


@dataclass
class BatchFile:
    """One batch's worth of requests."""

    folder: Path
    teacher: str
    requests: int
    most_usd: str  # reserved for all of its requests together
    stage: str = READY
    batch_id: str | None = None
    since: float = 0.0  # Unix time of the first try to submit

    @property
    def key(self) -> str:
        """What names this batch to the provider."""
        return self.folder.name

    @property
    def path(self) -> Path:
        """The requests, as the provider wants them."""
        return self.folder / "requests.jsonl"

    def set_stage(self, stage: str, **changes: Any) -> None:
        """Write, durably, how far this batch has come."""
        self.stage = stage
        for name, value in changes.items():
            setattr(self, name, value)
        state = {name: value for name, value in asdict(self).items() if name != "folder"}
        _write_atomically(self.folder / "state.json", orjson.dumps(state))

    def jobs(self) -> dict[str, JobRow]:
        """What each request is for, by trace id."""
        return {row["trace_id"]: JobRow(**row) for row in _read_jobs(self.folder)}

    def max_cost(self, job: JobRow) -> Decimal:
        """What was reserved for one request; an even share of the whole in files that do not say."""
        if job.max_usd is not None:
            return Decimal(job.max_usd)
        return (Decimal(self.most_usd) / max(self.requests, 1)).quantize(_LAST_DIGIT, ROUND_DOWN)

    def finish(self) -> None:
        """Delete a batch whose answers are in the journal or the lake."""
        _add_finished(self.folder.parent, self.batch_id)
        self.delete()

    def delete(self) -> None:
        """Delete a batch that was never made, or that came to nothing."""
        (self.folder / "state.json").unlink(missing_ok=True)  # first: a folder without it is rubbish to be cleared
        shutil.rmtree(self.folder, ignore_errors=True)


class BatchWriter:
    """Writes one batch; `close` makes it ready."""

    def __init__(self, root: Path, teacher: str) -> None:
        self.batch = BatchFile(root / f"part-{os.urandom(8).hex()}", teacher, 0, "0")
        self.batch.folder.mkdir(parents=True)
        self.bytes = 0
        self._most = Decimal(0)
        self._requests = open(self.batch.path, "wb")  # noqa: SIM115, closed by `close`
        self._jobs = open(self.batch.folder / "jobs.jsonl", "wb")  # noqa: SIM115

    def add(self, job: JobRow, line: bytes, most: Decimal) -> None:
        """Put one request in, with the most that it can cost."""
        self._requests.write(line)
        self._jobs.write(orjson.dumps(asdict(job) | {"max_usd": str(most)}) + b"\n")
        self.bytes += len(line)
        self.batch.requests += 1
        self._most += most

    def close(self) -> BatchFile:
        """The finished batch, synced to the disk."""
        for file in (self._requests, self._jobs):
            file.flush()
            os.fsync(file.fileno())
            file.close()
        self.batch.most_usd = str(self._most)
        self.batch.set_stage(READY)
        return self.batch


class BatchStore:
    """The batches of a corpus. One process at a time works on them: use as a context manager."""

    def __init__(self, root: Path) -> None:
        self.root = root / "batches"
        self._lock = FileLock(self.root / "lock")

    def __enter__(self) -> "BatchStore":
        """Raises OneThinkerError if another process is at work on them."""
        self.root.mkdir(exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            problem = "another process is at work on the batches of this corpus; let it end first"
            raise OneThinkerError(problem) from None
        for folder in self.root.iterdir():
            if folder.is_dir() and not (folder / "state.json").exists():
                shutil.rmtree(folder, ignore_errors=True)  # its writer was killed before it was whole
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def of_teacher(self, teacher: str) -> list[BatchFile]:
        """The batches of one teacher, the oldest first."""
        return [batch for batch in self._all() if batch.teacher == teacher]

    def forget(self, batch_id: str | None) -> None:
        """Write down that a batch is not ours: it is not to be found again."""
        _add_finished(self.root, batch_id)

    def known_ids(self) -> set[str]:
        """The ids of all batches that are or were ours, or turned out to be others'."""
        finished = self.root / "finished.txt"
        before = set(finished.read_text(encoding="utf-8").split()) if finished.exists() else set()
        return before | {batch.batch_id for batch in self._all() if batch.batch_id}

    def _all(self) -> list[BatchFile]:
        found = [BatchFile(path.parent, **orjson.loads(path.read_bytes())) for path in self.root.glob("*/state.json")]
        return sorted(found, key=lambda batch: (batch.since or time.time(), batch.key))


def pending_claims(root: Path) -> set[str]:
    """The claim ids of all traces that a batch API may be working on: no other worker should buy those."""
    return {row["claim_id"] for path in (root / "batches").glob("*/state.json") for row in _read_jobs(path.parent)}


def _read_jobs(folder: Path) -> Iterator[Any]:
    try:
        with open(folder / "jobs.jsonl", "rb") as file:
            yield from map(orjson.loads, file)
    except FileNotFoundError:  # finished a moment ago
        return


def _add_finished(root: Path, batch_id: str | None) -> None:
    with open(root / "finished.txt", "a", encoding="utf-8") as file:
        file.write(f"{batch_id}\n")
        file.flush()
        os.fsync(file.fileno())


def _write_atomically(path: Path, data: bytes) -> None:
    aside = path.with_suffix(".new")
    with open(aside, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
