"""Runs: every act that wrote, with its configuration, code version, counts, cost, and how it ended.

A run is rows in `run_events`, never an updated row: `started` when it begins, and one more when it ends. While it
lives it holds the lock of `corpus.run_locks`, so a killed run shows as `crashed` to every reader, on this machine or
on another with the same file system.
"""

import os
import platform
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
from filelock import FileLock, Timeout

from corpus.code_version import code_version
from corpus.lake import Lake, Transaction
from corpus.run_locks import lock_files, lock_path, run_lock


@dataclass
class Run:
    """A live run: count what it does in `counts`, add what it spends to `cost_usd`."""

    run_id: str
    corpus: Lake
    counts: Counter[str] = field(default_factory=Counter)
    cost_usd: Decimal = Decimal(0)

    @contextmanager
    def transaction(self, message: str) -> Iterator[Transaction]:
        """`Lake.transaction` whose rows carry this run's id."""
        with self.corpus.transaction(message, run_id=self.run_id) as tx:
            yield tx


@contextmanager
def record_run(corpus: Lake, kind: str, config: dict[str, Any]) -> Iterator[Run]:
    """Record the block as a run: `done` at its end, `interrupted` by Ctrl-C, `failed` with the error by any exception.

    `config` must be JSON (paths and decimals become text) and free of secrets: it is kept for ever. Dead runs are
    recorded as `crashed` first.
    """
    record_crashed(corpus)
    now = datetime.now(UTC)
    run = Run(f"{kind}-{now:%Y%m%dT%H%M%S}-{os.urandom(4).hex()}", corpus)
    with run_lock(corpus.root, run.run_id):
        _write(
            run,
            event="started",
            kind=kind,
            config=orjson.dumps(config, default=str, option=orjson.OPT_SORT_KEYS).decode(),
            code_version=code_version(),
            host=platform.node(),
        )
        try:
            yield run
        except (KeyboardInterrupt, GeneratorExit):
            _end(run, "interrupted")
            raise
        except BaseException as error:
            if isinstance(error, RuntimeError) and str(error) == "Query interrupted":  # DuckDB's message for Ctrl-C
                _end(run, "interrupted")
                raise KeyboardInterrupt from error
            _end(run, "failed", error=f"{type(error).__name__}: {error}"[:2000])
            raise
        _end(run, "done")


def record_crashed(corpus: Lake) -> list[str]:
    """Add a `crashed` event for each run that started, holds no lock and never ended; return their ids.

    A run records its start only while it holds its lock, so a started run whose lock can be taken is over, and one
    without a start was killed before it. All their lock files are removed: a run that is about to take one of them
    finds that it is gone, and makes it again.
    """
    crashed = []
    for path in lock_files(corpus.root):
        try:
            with FileLock(path, timeout=0):
                events = corpus.sql("select event from run_events where run_id = ?", [path.stem]).fetchall()
                if events == [("started",)]:
                    corpus.append("run_events", [{"run_id": path.stem, "event": "crashed"}])
                    crashed.append(path.stem)
                path.unlink(missing_ok=True)
        except Timeout:
            continue
    return crashed


def _end(run: Run, event: str, error: str | None = None) -> None:
    counts = [(name, int(n)) for name, n in run.counts.items()]
    _write(run, event=event, counts=counts, cost_usd=run.cost_usd, error=error)
    # Only now: a run whose end could not be written keeps its lock file, and is recorded as crashed.
    lock_path(run.corpus.root, run.run_id).unlink(missing_ok=True)


def _write(run: Run, **columns: Any) -> None:
    with run.transaction(f"{columns['event']} {run.run_id}") as tx:
        # The lake as it was before this event's own commit.
        found = tx.sql("select id from lake.current_snapshot()").fetchone()
        tx.append("run_events", [{"run_id": run.run_id, "lake_snapshot": found[0] if found else None, **columns}])
