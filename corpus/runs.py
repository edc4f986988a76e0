"""Runs: every act that wrote, with its configuration, code version, counts, cost, and how it ended.

A run is rows in `run_events`, never an updated row: `started` when it begins, and one more when it ends. While it
lives it holds a lock on `runs/RUN_ID.lock`, which the operating system lets go of when the process dies, so that a
killed run is seen as `crashed` by everybody who looks, on this machine or on another with the same file system.
"""

import os
import platform
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from corpus.store import Corpus, Transaction


@dataclass
class Run:
    """A run that is going on: count what it does in `counts`, add what it spends to `cost_usd`."""

    run_id: str
    corpus: "Corpus"
    counts: Counter[str] = field(default_factory=Counter)
    cost_usd: Decimal = Decimal(0)

    @contextmanager
    def transaction(self, message: str) -> Iterator["Transaction"]:
        """`Corpus.transaction` whose rows carry this run's id."""
        with self.corpus.transaction(message, run_id=self.run_id) as tx:
            yield tx


@contextmanager
def recorded(corpus: "Corpus", kind: str, config: dict[str, Any]) -> Iterator[Run]:
    """Do the block as a run: `done` at its end, `interrupted` by Ctrl-C, `failed` with the error by any exception.

    `config` must be JSON (paths and decimals become text) and free of secrets: it is kept for ever. Runs found dead
    on the way in are recorded as `crashed` first.
    """
    record_crashed(corpus)
    now = datetime.now(UTC)
    run = Run(f"{kind}-{now:%Y%m%dT%H%M%S}-{os.urandom(4).hex()}", corpus)
    with FileLock(_lock_path(corpus.root, run.run_id)):
        _write(
            corpus,
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
            _end(corpus, run, "interrupted")
            raise
        except BaseException as error:
            if isinstance(error, RuntimeError) and str(error) == "Query interrupted":  # DuckDB's word for Ctrl-C
                _end(corpus, run, "interrupted")
                raise KeyboardInterrupt from error
            _end(corpus, run, "failed", error=f"{type(error).__name__}: {error}"[:2000])
            raise
        _end(corpus, run, "done")


def live_runs(root: Path) -> list[str]:
    """The ids of the runs whose process still holds its lock."""
    alive = []
    for path in _lock_files(root):
        try:
            with FileLock(path, timeout=0):
                pass
        except Timeout:
            alive.append(path.stem)
    return alive


def record_crashed(corpus: "Corpus") -> list[str]:
    """Add a `crashed` event for each run that began, holds its lock no more and never ended; return their ids.

    A run writes that it began only once it holds its lock. So whoever can take the lock of one that began knows that
    it is over, and a lock file without a beginning is left to the run that may be about to take it.
    """
    crashed = []
    for path in _lock_files(corpus.root):
        try:
            with FileLock(path, timeout=0):
                told = corpus.sql("select event from run_events where run_id = ?", [path.stem]).fetchall()
                if told == [("started",)]:
                    corpus.append("run_events", [{"run_id": path.stem, "event": "crashed"}])
                    crashed.append(path.stem)
                if told:
                    path.unlink(missing_ok=True)
        except Timeout:
            continue
    return crashed


@cache
def code_version() -> str:
    """The package's version, with the git commit (and `.dirty`) where it runs from a checkout."""
    version = metadata.version("onethinker")
    here = Path(__file__).resolve().parent
    git = ["git", "-C", str(here), "describe", "--always", "--dirty=.dirty", "--abbrev=12", "--match=", "--exclude=*"]
    try:
        tracked = subprocess.run(
            ["git", "-C", str(here), "ls-files", "--error-unmatch", Path(__file__).name],
            capture_output=True,
            check=False,
        )
        described = subprocess.run(git, capture_output=True, text=True, check=False)
    except OSError:
        return version
    return f"{version}+g{described.stdout.strip()}" if tracked.returncode == 0 and described.stdout.strip() else version


def _end(corpus: "Corpus", run: Run, event: str, error: str | None = None) -> None:
    counts = [(name, int(n)) for name, n in run.counts.items()]
    _write(corpus, run, event=event, counts=counts, cost_usd=run.cost_usd, error=error)
    # Only now: a run whose end could not be written is found by its lock file, and recorded as crashed.
    _lock_path(corpus.root, run.run_id).unlink(missing_ok=True)


def _write(corpus: "Corpus", run: Run, **columns: Any) -> None:
    with run.transaction(f"{columns['event']} {run.run_id}") as tx:
        # The lake as it was before this event's own commit.
        found = tx.sql("select id from lake.current_snapshot()").fetchone()
        tx.append("run_events", [{"run_id": run.run_id, "lake_snapshot": found[0] if found else None, **columns}])


def _lock_path(root: Path, run_id: str) -> Path:
    return root / "runs" / f"{run_id}.lock"


def _lock_files(root: Path) -> list[Path]:
    return sorted((root / "runs").glob("*.lock"))
