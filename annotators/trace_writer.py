"""From answers to the lake: each is journaled at once, committed with others, and only then let go of.

The commits happen in a thread of their own, spaced so that they take at most a twentieth of the time, and further apart
the longer a run takes: each is a data file, and every query opens them all.
"""

import asyncio
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any

import duckdb
import orjson
import pyarrow as pa
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from annotators.journal import SET_ASIDE, SYNC_EVERY_S, Journal, read_leftovers, set_aside
from annotators.log import log_warning
from annotators.process_memory import give_back
from annotators.progress_view import Verifier
from corpus import OneThinkerError
from corpus.lake import Lake
from corpus.runs import Run
from corpus.schema import TABLES, to_table

COMMIT_EVERY_S = 2.0
COMMIT_SHARE = 20  # a commit is followed by at least so many times its own length without one
AGE_SHARE = 50  # and by at least this part of the run's length so far
MOST_PENDING = 500  # rows held in memory between two commits
JOURNALED = ("traces", "rejects")

Rows = list[tuple[str, dict[str, Any]]]


class TraceWriter:
    """Journals rows and commits each to the lake once. Use as an async context manager."""

    def __init__(self, run: Run, verifier: Verifier | None = None) -> None:
        self._run = run
        self._verifier = verifier
        self._journal = Journal(journal_folder(run.corpus), run.run_id)
        self._rows: Rows = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="trace_writer")
        self._commit_s = 0.0
        self._wake = asyncio.Event()
        self._progress = asyncio.Event()
        self._added = 0
        self._ending = False
        self.committed = 0

    @property
    def full(self) -> bool:
        """True once the disk had no more room for the journal: nothing more should be asked."""
        return self._journal.full

    def add(self, table: str, row: dict[str, Any]) -> None:
        """Put one row into the journal, and into the next commit."""
        row["run_id"] = self._run.run_id
        self._journal.add(table, row)
        self._rows.append((table, row))
        self._added += 1
        if len(self._rows) >= MOST_PENDING:
            self._wake.set()

    async def flush(self) -> None:
        """Wait until all rows so far are committed; returns at once where commits have failed for good."""
        wanted = self._added
        while self.committed < wanted and not self.broken:
            self._wake.set()
            self._progress.clear()
            await self._progress.wait()

    async def __aenter__(self) -> "TraceWriter":
        self._tasks = [asyncio.create_task(self._sync()), asyncio.create_task(self._commits())]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Commit what is left. Raises what the lake raised; the journal then keeps the rows for the next run."""
        self._ending = True
        self._wake.set()
        sync, commits = self._tasks
        try:
            await commits
        finally:
            sync.cancel()
            self._thread.shutdown(wait=True)
            self._journal.close()

    @property
    def broken(self) -> bool:
        """True where commits have failed for good."""
        return self._tasks[1].done() and not self._ending

    async def _sync(self) -> None:
        while True:
            await asyncio.sleep(SYNC_EVERY_S / 2)
            await asyncio.to_thread(self._journal.sync)

    async def _commits(self) -> None:
        loop = asyncio.get_running_loop()
        began = monotonic()
        while True:
            if not self._ending:
                pause_s = max(COMMIT_EVERY_S, COMMIT_SHARE * self._commit_s, (monotonic() - began) / AGE_SHARE)
                try:
                    async with asyncio.timeout(pause_s):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                self._wake.clear()
            rows, self._rows = self._rows, []
            if rows:
                path = self._journal.turn()
                started = monotonic()
                try:
                    await loop.run_in_executor(self._thread, self._commit, rows, path)
                    self._commit_s = monotonic() - started
                    self.committed += len(rows)
                finally:
                    self._progress.set()
            elif self._ending:
                return

    def _commit(self, rows: Rows, path: Path) -> None:
        self._journal.sync()
        write(self._run.corpus, rows, f"annotate: {len(rows)} rows", self._run.run_id)
        path.unlink()
        if self._verifier is not None:
            self._verifier.take([row["trace_id"] for table, row in rows if table == "traces"])
        give_back()


@retry(
    retry=retry_if_exception_type((OneThinkerError, duckdb.Error, OSError)),
    stop=stop_after_attempt(5),
    wait=wait_exponential(multiplier=0.5, max=10),
    reraise=True,
)
def write(corpus: Lake, rows: Rows, message: str, run_id: str | None) -> int:
    """Commit rows of several tables in one transaction; a lost connection or a lock is tried again a few times."""
    of = defaultdict(list)
    for table, row in rows:
        of[table].append(row)
    with corpus.transaction(message, run_id=run_id) as tx:
        return sum(tx.append(table, some) for table, some in sorted(of.items()))


def journal_folder(corpus: Lake) -> Path:
    """Where the journals of a corpus lie: beside its lake."""
    return corpus.root / "journal"


def replay(corpus: Lake) -> int:
    """Commit what killed runs left in their journals; returns the rows that the lake did not have yet.

    A line that no table takes is set aside with its reason, and stops neither the others nor a later run.
    """
    added, folder = 0, journal_folder(corpus)
    for path, rows, others in read_leftovers(folder):
        fit, odd = [], [(line, "no row of a table") for line in others]
        for table, row in rows:
            reason = misfit(table, row)
            if reason is None:
                fit.append((table, row))
            else:
                odd.append((orjson.dumps([table, row], default=str), reason))
        added += write(corpus, fit, f"replay {path.parent.name}/{path.name}", None)
        if odd:
            set_aside(folder, path.parent.name, odd)
            log_warning("set_aside", lines=len(odd), file=str(folder / SET_ASIDE), reason=odd[0][1])
            print(f"set aside {len(odd)} lines of a killed run's journal: see {folder / SET_ASIDE}", file=sys.stderr)
        path.unlink()
    return added


def misfit(table: Any, row: dict[str, Any]) -> str | None:
    """Why a row cannot be one of `table`; None if it can."""
    if table not in JOURNALED:
        return f"no table of annotation: {table!r:.80}"
    try:
        made = to_table(table, [row])
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        return f"{type(error).__name__}: {error}"[:300]
    empty = [name for name in TABLES[table].key if made[name].null_count]
    return f"no {', '.join(empty)}" if empty else None
