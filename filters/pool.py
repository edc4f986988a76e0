"""A pool of worker processes over Arrow tables that no single row can stop.

Tables go in, tables of as many rows come out, in the same order. The work is cut into units of like rows sized to take
a fraction of a second. A unit that uses up its processor time or kills its worker is done again row by row, so that one
bad row costs itself and not its neighbours.

The kernel counts the limit in processor seconds (ITIMER_PROF, whose signal ends the process even inside C code), so
that what a row may cost does not depend on the machine's load. Workers run the function on their main thread, so
that code which uses SIGALRM (math-verify) works in them.
"""

import atexit
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pebble import ProcessExpired, ProcessPool

from corpus.errors import OneThinkerError, UsageError
from corpus.ranges import Range

WORKERS = Range(1, 1024)  # processes
UNIT_CPU_S = 1.0  # processor time of a unit of many rows, after which its rows are done one by one
ROW_CPU_S = 2.0  # and of a row on its own; with the unit's, a bad row costs less than 5 s of one worker
WALL_S = 30.0  # for work that sleeps without using the processor
UNIT_AIM_S = 0.15  # units are sized to take about this long
UNIT_ROWS = 1024  # and hold at most this many rows, which may all have to be done one by one
MEMORY_BYTES = 4 << 30  # of address space for one worker, above what it has when it starts

TIMEOUT, DIED, MEMORY, DEPTH = "timeout", "worker_died", "out_of_memory", "nested_too_deep"

Work = Callable[..., pa.Table]
Future: TypeAlias = futures.Future[tuple[bytes, float]]


@dataclass
class Pool:
    """Worker processes that are kept warm between calls; `get_pool()` returns the one of this process.

    `workers` processes are started with the first piece of work. `preload` names modules that the processes' common
    parent imports once, so that replacing a dead worker costs milliseconds.
    """

    workers: int
    preload: tuple[str, ...] = ()
    _pebble: ProcessPool | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def map(
        self,
        work: Work,
        tables: Iterable[pa.Table],
        lost: Callable[[str], dict[str, Any]],
        by: str | None = None,
        prepare: Callable[[Any], None] | None = None,
        rate: float = 200.0,
    ) -> Iterator[pa.Table]:
        """`work(table)` for every table, in order, a few tables at a time.

        `work` is an importable function (or a partial of one) that returns one row for each row, independent of the
        others. Rows are grouped by the column `by`; before a worker takes rows of one of its values it calls
        `prepare(value)`, not counted against the limit (for imports that only they need). For a row that fails,
        `lost(reason)` returns the values of the result's columns; reasons are timeout, worker_died, out_of_memory and
        nested_too_deep. Raises any other exception of `work`. `rate` is the first estimate of a worker's rows a second.
        """
        job = _Job(self, work, lost, by, prepare, rate)
        under_way: deque[tuple[pa.Table, list[_Unit]]] = deque()
        try:
            for table in tables:
                under_way.append((table, job.begin(table)))
                if len(under_way) > 2:
                    yield job.finish(*under_way.popleft())
            while under_way:
                yield job.finish(*under_way.popleft())
        finally:
            for _, units in under_way:
                for unit in units:
                    unit.future.cancel()

    def start(self) -> None:
        """Start the workers' common parent now, so that its imports run while the caller does its own."""
        if sys.platform == "win32":
            raise OneThinkerError(
                "scoring in worker processes needs a fork server and processor-time limits, which Windows lacks; "
                "use WSL, or `filters.score(…, workers=0)`"
            )
        from multiprocessing import forkserver

        from corpus.workers import ForkServed

        context = ForkServed()
        context.set_forkserver_preload([__name__, *self.preload])
        forkserver.ensure_running()

    def submit(self, *work: Any) -> Future:
        """Let a worker call `_run_limited(*work)`."""
        try:
            return self._start_workers().schedule(_run_limited, args=work, timeout=WALL_S)
        except RuntimeError:  # the pool broke since its last use; if it breaks again, the future has the reason
            self.close()
            return self._start_workers().schedule(_run_limited, args=work, timeout=WALL_S)

    def close(self) -> None:
        """End the workers; the next piece of work starts new ones."""
        with self._lock:
            pebble, self._pebble = self._pebble, None
        if pebble is not None:
            pebble.stop()  # type: ignore[no-untyped-call]
            pebble.join()

    def _start_workers(self) -> ProcessPool:
        with self._lock:
            if self._pebble is None:
                self.start()
                from corpus.workers import ForkServed

                self._pebble = ProcessPool(self.workers, initializer=_initialise, context=ForkServed())
            return self._pebble


@dataclass
class _Unit:
    """Rows of one incoming table that one worker takes together."""

    rows: np.ndarray  # their positions in the incoming table
    key: object
    table: pa.Table
    future: Future


@dataclass
class _Job:
    """One `Pool.map`: cuts tables into units and joins their results."""

    pool: Pool
    work: Work
    lost: Callable[[str], dict[str, Any]]
    by: str | None
    prepare: Callable[[Any], None] | None
    rate: float
    rates: dict[object, float] = field(default_factory=dict)  # rows a second of each key, as measured so far

    def begin(self, table: pa.Table) -> list[_Unit]:
        units = []
        for key, rows in _group_rows(table, self.by):
            size = int(np.clip(self.rates.get(key, self.rate) * UNIT_AIM_S, 8, UNIT_ROWS))
            for start in range(0, len(rows), size):
                part = rows[start : start + size]
                units.append(self.unit(part, key, table.take(pa.array(part)) if len(part) < len(table) else table))
        return units

    def unit(self, rows: np.ndarray, key: object, table: pa.Table) -> _Unit:
        cpu_s = UNIT_CPU_S if len(table) > 1 else ROW_CPU_S
        return _Unit(rows, key, table, self.pool.submit(self.work, self.prepare, key, _encode(table), cpu_s))

    def finish(self, table: pa.Table, units: list[_Unit]) -> pa.Table:
        if not units:
            return self.work(table)  # no rows: the function says which columns there are
        done = []
        for unit in units:
            outcome = self.outcome(unit)
            if isinstance(outcome, str):
                done.append(self.row_by_row(unit, outcome))
                continue
            rate = len(unit.table) / max(outcome[1], 1e-6)
            self.rates[unit.key] = 0.5 * (self.rates.get(unit.key, rate) + rate)
            done.append(outcome[0])
        together = pa.concat_tables(done, promote_options="permissive")
        order = np.concatenate([unit.rows for unit in units])
        if (order[:-1] < order[1:]).all():
            return together
        return together.take(pa.array(np.argsort(order, kind="stable")))

    def row_by_row(self, unit: _Unit, why: str) -> pa.Table:
        """The unit again, a row at a time, keeping the rows that succeed; `why` is the reason the whole unit failed."""
        outcomes: list[tuple[pa.Table, float] | str] = [why]
        if len(unit.table) > 1:
            rows = [self.unit(unit.rows[i : i + 1], unit.key, unit.table.slice(i, 1)) for i in range(len(unit.rows))]
            outcomes = [self.outcome(row) for row in rows]
        good = next((outcome[0] for outcome in outcomes if not isinstance(outcome, str)), None)
        schema = (good if good is not None else self.work(unit.table.slice(0, 0))).schema
        return pa.concat_tables(
            pa.Table.from_pylist([self.lost(outcome)], schema=schema) if isinstance(outcome, str) else outcome[0]
            for outcome in outcomes
        )

    def outcome(self, unit: _Unit) -> tuple[pa.Table, float] | str:
        """The result and the seconds it took, or the reason why there is none."""
        for _ in range(3):
            try:
                payload, seconds = unit.future.result()
                return _decode(payload), seconds
            except ProcessExpired as died:
                return TIMEOUT if died.exitcode == -signal.SIGPROF else DIED
            except futures.TimeoutError:
                return TIMEOUT
            except MemoryError:
                return MEMORY
            except RecursionError:
                return DEPTH
            except BrokenProcessPool:  # a worker was killed while idle, and pebble gives up: submit again
                self.pool.close()
                unit = self.unit(unit.rows, unit.key, unit.table)
        raise OneThinkerError(
            "the worker processes die as soon as they start; `dmesg` shows whether the system ran out of memory "
            "(--workers 1 needs less of it)"
        )


def get_pool(workers: int | None = None, preload: tuple[str, ...] = ()) -> Pool:
    """This process's warm pool of `workers` processes (one for each processor if None).

    Raises UsageError for a number outside `WORKERS`.
    """
    if problem := WORKERS.problem(workers):
        raise UsageError(f"--workers {problem}")
    return _get_pool(workers or os.cpu_count() or 1, preload, os.getpid())


@cache
def _get_pool(workers: int, preload: tuple[str, ...], pid: int) -> Pool:
    pool = Pool(workers, preload)
    atexit.register(pool.close)
    return pool


def _group_rows(table: pa.Table, by: str | None) -> list[tuple[object, np.ndarray]]:
    """The row positions of each value of the column `by`, in the order in which the values first appear."""
    rows = np.arange(table.num_rows)
    if by is None or not len(rows):
        return [(None, rows)] if len(rows) else []
    codes = pc.dictionary_encode(table[by].combine_chunks(), null_encoding="encode")
    codes = codes.combine_chunks() if isinstance(codes, pa.ChunkedArray) else codes
    index = codes.indices.to_numpy()
    return [(value, rows[index == i]) for i, value in enumerate(codes.dictionary.to_pylist())]


def _encode(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def _decode(payload: bytes) -> pa.Table:
    return pa.ipc.open_stream(payload).read_all()


def _run_limited(
    work: Work, prepare: Callable[[Any], None] | None, key: object, payload: bytes, cpu_s: float
) -> tuple[bytes, float]:
    """Runs in the worker: the kernel ends the process when the work has used `cpu_s` of processor time."""
    table = _decode(payload)
    if prepare is not None:
        prepare(key)
    start = time.perf_counter()
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    try:
        result = work(table)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if result.num_rows != table.num_rows:
        name = getattr(work.func if isinstance(work, partial) else work, "__qualname__", work)
        raise ValueError(f"{name} gave {result.num_rows} rows for {table.num_rows}")
    return _encode(result), time.perf_counter() - start


def _initialise() -> None:
    """Runs once in each new worker: one thread each, a bound on memory, and SIGPROF ends the process."""
    pa.set_cpu_count(1)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    if sys.platform == "linux":
        import resource

        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = mapped + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
