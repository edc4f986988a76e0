"""Rows of a query kept in a file, to be taken from it in any order: a sort or a join that holds nothing in memory."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


@dataclass(frozen=True)
class Gathered:
    """Rows in a memory-mapped Arrow file, for the system to hold as much of as it has room for."""

    parts: list[pa.RecordBatch]
    starts: NDArray[np.int64]  # the first row of each part, and behind the last

    def column(self, name: str) -> pa.ChunkedArray:
        """A whole column."""
        return pa.chunked_array([part[name] for part in self.parts], pa.string() if not self.parts else None)

    def places(self, key: str, wanted: pa.ChunkedArray) -> pa.Int64Array:
        """For each wanted value of the column `key` the row that has it, or null."""
        places = pc.index_in(wanted, value_set=self.column(key)).cast(pa.int64())
        return places.combine_chunks() if isinstance(places, pa.ChunkedArray) else places

    def take(self, places: NDArray[np.int64]) -> pa.Table:
        """The rows at `places`, at least one, in their order. (Arrow's own `take` puts all parts together first.)"""
        order = np.argsort(places, kind="stable")
        ordered = places[order]
        cuts = np.searchsorted(ordered, self.starts)
        found = [
            part.take(pa.array(ordered[first:last] - start))
            for part, start, first, last in zip(self.parts, self.starts[:-1], cuts[:-1], cuts[1:], strict=True)
            if first < last
        ]
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return pa.Table.from_batches(found).take(pa.array(back))


def gathered(rows: pa.RecordBatchReader, path: Path) -> Gathered:
    """Write rows to `path`, which must outlive what is returned, as they arrive."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
        for batch in rows:
            writer.write_batch(batch)
    stored = pa.ipc.open_file(pa.memory_map(str(path)))
    parts = [stored.get_batch(i) for i in range(stored.num_record_batches)]
    return Gathered(parts, np.cumsum([0, *(len(part) for part in parts)]))
