"""Parquet files of `datasets` features that grow row by row, one per modality."""

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    import datasets

ROWS_AT_ONCE = 256


class ParquetFiles:
    """Files by name; `features(name)` gives the columns of one. Closed at the end of the `with` block."""

    def __init__(self, out: Path, features: "Callable[[str], datasets.Features]") -> None:
        self._out, self._features = out, features
        self._schemas: dict[str, pa.Schema] = {}
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._buffers: dict[str, list[dict[str, Any]]] = {}
        self._stack = ExitStack()
        self.counts: Counter[str] = Counter()

    def __enter__(self) -> "ParquetFiles":
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            for name in self._buffers:
                self._flush(name)
        self._stack.close()

    def write(self, name: str, row: dict[str, Any]) -> None:
        """Add a row to the file `name`; images are `{"bytes": …, "path": …}`."""
        if name not in self._writers:
            self._schemas[name] = self._features(name).arrow_schema
            writer = pq.ParquetWriter(self._out / name, self._schemas[name], compression="zstd")
            self._writers[name] = self._stack.enter_context(writer)
        self._buffers.setdefault(name, []).append(row)
        self.counts[name] += 1
        if len(self._buffers[name]) >= ROWS_AT_ONCE:
            self._flush(name)

    def _flush(self, name: str) -> None:
        table = pa.Table.from_pylist(self._buffers[name], schema=self._schemas[name])
        self._writers[name].write_table(table)
        self._buffers[name] = []


def embed(out: Path, paths: list[str]) -> list[dict[str, Any]]:
    """Images of an export as `datasets` stores them inside a row."""
    return [{"bytes": (out / path).read_bytes(), "path": Path(path).name} for path in paths]
