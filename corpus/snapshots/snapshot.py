"""One dataset version: its frozen files, what they hold, whether they still do, and the ways to read them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.media import sha256_of
from corpus.snapshots.row_format import ROWS_PER_GROUP, fingerprint

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class Snapshot:
    """One frozen dataset version; `folder` holds its files."""

    name: str
    version: int
    rows: int
    counts: dict[str, int]
    fingerprint: str
    lake_snapshot: int
    recipe: str
    parent: str | None
    manifest: dict[str, Any]
    folder: Path
    media_root: Path

    @property
    def ref(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    @property
    def files(self) -> list[Path]:
        """The Parquet files, in row order."""
        return [self.folder / file["path"] for file in self.manifest["files"]]

    def batches(self, columns: list[str] | None = None, rows: int = ROWS_PER_GROUP) -> Iterator[pa.RecordBatch]:
        """The rows in order, in Arrow batches; one file is open at a time."""
        for path in self.files:
            yield from pq.ParquetFile(path).iter_batches(rows, columns=columns)

    def damage(self) -> list[str]:
        """What is wrong with the frozen files, a line each; empty when every byte is as it was made."""
        found = []
        for file in self.manifest["files"]:
            path = self.folder / file["path"]
            if not path.exists():
                found.append(f"{self.ref}: {file['path']} is missing")
            elif (now := sha256_of(path)) != file["sha256"]:
                found.append(
                    f"{self.ref}: {file['path']} has changed (SHA-256 {now[:12]}…, made as {file['sha256'][:12]}…)"
                )
        if not found and (now := fingerprint(self.batches())) != self.fingerprint:
            found.append(f"{self.ref}: the rows' fingerprint is {now[:12]}…, the catalog says {self.fingerprint[:12]}…")
        return found

    def dataset(self, *, decode: bool = True) -> "datasets.Dataset":
        """A memory-mapped `datasets.Dataset` of chat messages with `images` and `videos`: see `dataset.py`.

        With `decode=False` images stay paths. (`cast_column` does that too, and writes all rows anew for it.)
        """
        from corpus.snapshots.dataset import dataset

        return dataset(self, decode=decode)

    def stream(
        self, shard: tuple[int, int] = (0, 1), *, epoch: int = 0, seed: int | None = None
    ) -> "datasets.IterableDataset":
        """The same rows as a `datasets.IterableDataset`, read from the frozen Parquet as it goes: see `streaming.py`.

        `shard=(i, n)` is the i-th of n ranks; without `seed` the order is the snapshot's own.
        """
        from corpus.snapshots.streaming import stream

        return stream(self, shard, epoch=epoch, seed=seed)
