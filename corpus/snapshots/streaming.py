"""A snapshot as a `datasets.IterableDataset`: read from the frozen Parquet as it goes, in a shuffled order that is
the same on every machine, split over ranks and workers, and resumable at the very row.

Rows are shuffled over *windows*: row groups in a random order, some at a time held in memory, their rows in a random
order. So memory stays at one window however many rows there are, and a position in the epoch is two small numbers:
`stream.state_dict()` holds them, `stream.load_state_dict(...)` goes on from there without the rows before.
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

    from corpus.snapshots import Snapshot

GROUPS_PER_WINDOW = 4  # of up to 4,096 rows: some tens of megabytes of text
ROWS_AT_ONCE = 2048  # in an Arrow table: with 128 three quarters of the time went into putting tables together
PIECES = 64  # at least so many for workers to share, where there are rows enough


@dataclass(frozen=True)
class _Window:
    """Row groups, as (file, group) pairs, whose rows are mixed; `start` is the first one's place in the epoch."""

    number: int
    groups: tuple[tuple[int, int], ...]
    start: int
    rows: int


@dataclass(frozen=True)
class _Plan:
    """One epoch of one rank."""

    files: tuple[str, ...]
    media_root: str
    rank: int
    ranks: int
    order: tuple[int, int] | None  # seed and epoch; None: as frozen
    parts: int  # that each window's rows of this rank are cut into


def stream(
    snapshot: "Snapshot", shard: tuple[int, int] = (0, 1), *, epoch: int = 0, seed: int | None = None
) -> "datasets.IterableDataset":
    """The rows of rank `shard[0]` of `shard[1]` in one epoch, with the columns of `Snapshot.dataset()`.

    The ranks' rows are disjoint, make up the snapshot, and differ in number by one at most. With `seed` the order is
    shuffled, by `seed` and `epoch` alone; without it rows come as they were frozen. A PyTorch DataLoader's workers
    share a rank's rows. Raises UsageError for a shard that cannot be.
    """
    import datasets
    from datasets.iterable_dataset import ArrowExamplesIterable

    rank, ranks = shard
    if ranks < 1 or not 0 <= rank < ranks:
        raise UsageError(f"shard ({rank}, {ranks}) cannot be: the first of n is (0, n), the last (n - 1, n)")
    order = None if seed is None else (seed, epoch)
    files = tuple(map(str, snapshot.files))
    windows = _windows(files, order)
    parts = max(1, min(ceil(PIECES / len(windows)), ceil(snapshot.rows / ranks / len(windows))))
    plan = _Plan(files, str(snapshot.media_root), rank, ranks, order, parts)
    pieces = [(window, part) for window in windows for part in range(parts)]
    rows = ArrowExamplesIterable(_tables, {"plan": plan, "pieces": pieces})
    return datasets.IterableDataset(rows, info=datasets.DatasetInfo(features=features()))


def _windows(files: tuple[str, ...], order: tuple[int, int] | None) -> list[_Window]:
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


def _tables(plan: _Plan, pieces: list[tuple[_Window, int]]) -> Iterator[tuple[str, pa.Table]]:
    for window, part in pieces:
        rows = np.array_split(_places(plan, window), plan.parts)[part]
        if not len(rows):
            continue
        held = _read(plan.files, window.groups)
        for at in range(0, len(rows), ROWS_AT_ONCE):
            batch = held.take(pa.array(rows[at : at + ROWS_AT_ONCE]))
            yield f"{window.number}-{part}-{at}", pa.Table.from_batches([chat_rows(batch, plan.media_root)])


def _places(plan: _Plan, window: _Window) -> NDArray[np.int64]:
    """Where in the window this rank's rows lie, in the order of the epoch."""
    first = (plan.rank - window.start) % plan.ranks  # ranks take turns over the whole epoch, not in each window
    if plan.order is None:
        return np.arange(first, window.rows, plan.ranks)
    shuffled: NDArray[np.int64] = np.random.default_rng([*plan.order, 1, window.number]).permutation(window.rows)
    return shuffled[first :: plan.ranks]


@lru_cache(maxsize=1)  # a window's pieces come one after the other
def _read(files: tuple[str, ...], groups: tuple[tuple[int, int], ...]) -> pa.RecordBatch:
    tables = []
    for file, group in groups:
        with pq.ParquetFile(files[file]) as parquet:
            tables.append(parquet.read_row_group(group, columns=COLUMNS))
    return pa.concat_tables(tables).combine_chunks().to_batches()[0]
