"""Rows of a query in a temporary file, to be taken in any order: a sort or a join that holds nothing in memory."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


@dataclass(frozen=True)
class ArrowFile:
    """Rows in a memory-mapped Arrow file; the system keeps as much of it in memory as there is room for."""

    batches: list[pa.RecordBatch]
    starts: NDArray[np.int64]  # (batches + 1,): the first row of each batch, then the number of rows

    def column(self, name: str) -> pa.ChunkedArray:
        """A whole column."""
        return pa.chunked_array([batch[name] for batch in self.batches], pa.string() if not self.batches else None)

    def find(self, key: str, wanted: pa.ChunkedArray) -> pa.Int64Array:
        """For each wanted value of the column `key` the position of its row, or null."""
        positions = pc.index_in(wanted, value_set=self.column(key)).cast(pa.int64())
        return positions.combine_chunks() if isinstance(positions, pa.ChunkedArray) else positions

    def take(self, positions: NDArray[np.int64]) -> pa.Table:
        """The rows at `positions` (at least one), in their order. Arrow's `take` would copy the whole file first."""
        order = np.argsort(positions, kind="stable")
        ordered = positions[order]
        cuts = np.searchsorted(ordered, self.starts)
        found = [
            batch.take(pa.array(ordered[first:last] - start))
            for batch, start, first, last in zip(self.batches, self.starts[:-1], cuts[:-1], cuts[1:], strict=True)
            if first < last
        ]
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return pa.Table.from_batches(found).take(pa.array(back))


def write(rows: pa.RecordBatchReader, path: Path) -> ArrowFile:
    """Write rows to `path` as they arrive; the file must outlive what is returned."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
        for batch in rows:
            writer.write_batch(batch)
    stored = pa.ipc.open_file(pa.memory_map(str(path)))
    batches = [stored.get_batch(i) for i in range(stored.num_record_batches)]
    return ArrowFile(batches, np.cumsum([0, *(len(batch) for batch in batches)]))
