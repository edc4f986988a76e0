"""Frozen rows as a `datasets.IterableDataset`: read from Parquet in a shuffled order that is the same on every machine,
split over ranks and workers, and resumable at the exact row.

Rows are shuffled over *windows*: row groups in a random order, a few at a time in memory, their rows in a random order.
So memory is bounded by one window, and a position in the epoch is two small numbers: `stream.state_dict()` holds them,
and `stream.load_state_dict(...)` continues there without reading the rows before.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corpus.errors import UsageError
from corpus.snapshots.dataset import COLUMNS, chat_rows, features

if TYPE_CHECKING:
    import datasets

GROUPS_PER_WINDOW = 4  # of up to 4,096 rows: some tens of megabytes of text
ROWS_AT_ONCE = 2048  # in an Arrow table: with 128, three quarters of the time is concatenating tables
PIECES = 64  # at least so many for workers to share, if there are enough rows


@dataclass(frozen=True)
class _Window:
    """Row groups, as (file, group) pairs, whose rows are shuffled together; `start` is the first row's position."""

    number: int
    groups: tuple[tuple[int, int], ...]
    start: int
    rows: int


@dataclass(frozen=True)
class _EpochPlan:
    """One epoch of one rank."""

    files: tuple[str, ...]
    media_root: str
    rank: int
    ranks: int
    order: tuple[int, int] | None  # seed and epoch; None is the frozen order
    parts: int  # into which this rank's rows of a window are split


def stream(
    files: tuple[str, ...], rows: int, media_root: str, shard: tuple[int, int], *, epoch: int, seed: int | None
) -> "datasets.IterableDataset":
    """The rows of rank `shard[0]` of `shard[1]` in one epoch of the Parquet `files`, which hold `rows` rows.

    The columns are those of `Snapshot.dataset()`.

    The ranks' rows are disjoint, make up the whole, and differ in number by one at most. With `seed` the order is
    shuffled, by `seed` and `epoch` alone; without it rows come in their frozen order. A PyTorch DataLoader's workers
    share a rank's rows. Raises UsageError for an impossible shard.
    """
    import datasets
    from datasets.iterable_dataset import ArrowExamplesIterable

    rank, ranks = shard
    if ranks < 1 or not 0 <= rank < ranks:
        raise UsageError(f"shard ({rank}, {ranks}) cannot be: the first of n is (0, n), the last (n - 1, n)")
    order = None if seed is None else (seed, epoch)
    windows = _plan_windows(files, order)
    parts = max(1, min(ceil(PIECES / len(windows)), ceil(rows / ranks / len(windows))))
    plan = _EpochPlan(files, media_root, rank, ranks, order, parts)
    pieces = [(window, part) for window in windows for part in range(parts)]
    examples = ArrowExamplesIterable(_read_tables, {"plan": plan, "pieces": pieces})
    return datasets.IterableDataset(examples, info=datasets.DatasetInfo(features=features()))


def _plan_windows(files: tuple[str, ...], order: tuple[int, int] | None) -> list[_Window]:
    sizes = {
        (file, group): footer.row_group(group).num_rows
        for file, footer in enumerate(map(pq.read_metadata, files))
        for group in range(footer.num_row_groups)
    }
    groups = list(sizes)
    if order:
        groups = [groups[i] for i in np.random.default_rng([*order, 0]).permutation(len(groups))]
    windows: list[_Window] = []
    start = 0
    for first in range(0, len(groups), GROUPS_PER_WINDOW):
        chosen = tuple(groups[first : first + GROUPS_PER_WINDOW])
        rows = sum(sizes[group] for group in chosen)
        windows.append(_Window(len(windows), chosen, start, rows))
        start += rows
    return windows


def _read_tables(plan: _EpochPlan, pieces: list[tuple[_Window, int]]) -> Iterator[tuple[str, pa.Table]]:
    for window, part in pieces:
        rows = np.array_split(_positions(plan, window), plan.parts)[part]
        if not len(rows):
            continue
        held = _read_window(plan.files, window.groups)
        for at in range(0, len(rows), ROWS_AT_ONCE):
            batch = held.take(pa.array(rows[at : at + ROWS_AT_ONCE]))
            yield f"{window.number}-{part}-{at}", pa.Table.from_batches([chat_rows(batch, plan.media_root)])


def _positions(plan: _EpochPlan, window: _Window) -> NDArray[np.int64]:
    """The positions of this rank's rows in the window, int64, in the order of the epoch."""
    first = (plan.rank - window.start) % plan.ranks  # ranks take turns over the whole epoch, not in each window
    if plan.order is None:
        return np.arange(first, window.rows, plan.ranks)
    shuffled: NDArray[np.int64] = np.random.default_rng([*plan.order, 1, window.number]).permutation(window.rows)
    return shuffled[first :: plan.ranks]


@lru_cache(maxsize=1)  # a window's pieces come one after the other
def _read_window(files: tuple[str, ...], groups: tuple[tuple[int, int], ...]) -> pa.RecordBatch:
    tables = []
    for file, group in groups:
        with pq.ParquetFile(files[file]) as parquet:
            tables.append(parquet.read_row_group(group, columns=COLUMNS))
    return pa.concat_tables(tables).combine_chunks().to_batches()[0]
