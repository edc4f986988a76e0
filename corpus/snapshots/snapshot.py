"""One dataset version: its frozen files, what they hold, whether they are intact, and the ways to read them."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.ids import digest
from corpus.media import sha256_of
from corpus.notebook import html_table
from corpus.snapshots.dataset import COLUMNS, LAYOUT, open_dataset, write_dataset
from corpus.snapshots.row_format import ROWS_PER_GROUP, fingerprint
from corpus.snapshots.streaming import stream

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
        """What differs from the files as they were frozen, a line each; empty if every byte is the same."""
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
            found.append(f"{self.ref}: the rows' fingerprint is {now[:12]}…, the catalog has {self.fingerprint[:12]}…")
        return found

    def dataset(self, *, decode: bool = True) -> "datasets.Dataset":
        """A memory-mapped `datasets.Dataset` of chat messages with `images` and `videos`: see `features`.

        With `decode=False` images stay paths. (`cast_column` does that too, and rewrites all rows for it.) The Arrow
        file behind it is under `cache/` in the corpus; it may be deleted at any time, and this method writes it again,
        which takes some seconds for 100k rows.
        """
        if not self.cache_file.exists():
            write_dataset(self.batches(COLUMNS), str(self.media_root), self.cache_file)
        return open_dataset(self.cache_file, decode=decode)

    def write_cache(self) -> None:
        """Write the file that `dataset()` reads, so that its first row comes at once; a full disk is no error here."""
        with suppress(OSError):
            write_dataset(self.batches(COLUMNS), str(self.media_root), self.cache_file)

    def stream(
        self, shard: tuple[int, int] = (0, 1), *, epoch: int = 0, seed: int | None = None
    ) -> "datasets.IterableDataset":
        """The same rows as a `datasets.IterableDataset`, read from Parquet: see `corpus.snapshots.streaming`.

        `shard=(i, n)` is the i-th of n ranks; without `seed` the order is the snapshot's own.
        """
        files = tuple(map(str, self.files))
        return stream(files, self.rows, str(self.media_root), shard, epoch=epoch, seed=seed)

    @property
    def cache_file(self) -> Path:
        """The Arrow file behind `dataset()`."""
        key = digest(self.fingerprint, str(self.media_root), LAYOUT)
        return self.folder.parent.parent / "cache" / f"{self.ref}-{key}.arrow"

    def __repr__(self) -> str:
        counts = ", ".join(f"{count:,} {task}" for task, count in sorted(self.counts.items()))
        return f"Snapshot('{self.ref}': {self.rows:,} rows: {counts}; fingerprint {self.fingerprint[:12]}…)"

    def _repr_html_(self) -> str:
        title = f"{self.ref}: {self.rows:,} rows, fingerprint {self.fingerprint[:12]}…"
        return html_table(title, ("task", "rows"), sorted(self.counts.items()))
