"""The rows of a snapshot as a dataset repository's Parquet: configs by task family, splits, files by source.

Every row keeps all its frozen columns, so its provenance is complete; its media come first, for the Hub's viewer and
`load_dataset`. The same snapshot gives the same bytes on every machine.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset
import pyarrow.parquet as pq

from corpus.errors import OneThinkerError
from corpus.hub.media_policy import MediaPlacer, Policy
from corpus.ids import digest
from corpus.media import MediaStore
from corpus.media.link import name_with_suffix
from corpus.progress import progress
from corpus.snapshots import row_format

if TYPE_CHECKING:
    import datasets

    from corpus.snapshots import Snapshot

LAYOUT = 1  # of the repository; raise it with any change that older code cannot pull
SHARD_BYTES = 500_000_000
GROUP_BYTES, GROUP_ROWS = 32_000_000, 1_000  # of a row group: what the viewer reads to show one page
FIRST = ("images", "videos", "problem", "response", "answer", "options", "teacher", "reward", "accuracy", "prompt")
NO_SPLIT = "train"
Files = dict[str, dict[str, list[str]]]  # of each config and split, the paths of its Parquet files


def slug(text: str | None) -> str:
    """A word for a path or a config's name: `spatial grounding` is `spatial_grounding`."""
    return re.sub(r"[^a-z0-9]+", "_", (text or "").lower()).strip("_") or "unknown"


def features() -> "datasets.Features":
    """The columns of a published row: its media, the frozen columns, and where each medium lies."""
    import datasets

    named: dict[str, Any] = {
        "images": datasets.List(datasets.Image()),
        # Decoded only after `cast_column("videos", List(Video()))`, which needs torchcodec.
        "videos": datasets.List(datasets.Video(decode=False)),
        "media_at": datasets.List(datasets.Value("string")),
    }
    for column in row_format.schema():
        named[column.name] = datasets.features.features.generate_from_arrow_type(column.type)
    return datasets.Features({name: named[name] for name in (*FIRST, *(n for n in named if n not in FIRST))})


def write_rows(snapshot: "Snapshot", folder: Path, policy: Policy) -> Files:
    """Write the snapshot's rows under `folder/data`, and media that lie beside them under `folder/media`."""
    files: Files = {}
    placer = MediaPlacer(MediaStore(str(snapshot.media_root)), folder, policy)
    rows = pyarrow.dataset.dataset([str(path) for path in snapshot.files], schema=row_format.schema())
    with progress("writing rows", snapshot.rows) as bar:
        for (task, split, source), stem in _find_groups(rows).items():
            config, split_name = slug(task), slug(split or NO_SPLIT)
            target = folder / "data" / config / split_name
            target.mkdir(parents=True, exist_ok=True)
            condition = _equal("task", task) & _equal("split", split) & _equal("source", source)
            shards = _ShardWriter(target, stem)
            for batch in _row_groups(rows.to_batches(filter=condition, batch_size=GROUP_ROWS), placer):
                shards.write(batch)
                bar.advance(len(batch))
            names = [f"data/{config}/{split_name}/{name}" for name in shards.close()]
            files.setdefault(config, {}).setdefault(split_name, []).extend(names)
    return files


def _equal(column: str, value: str | None) -> pc.Expression:
    return pc.field(column).is_null() if value is None else pc.field(column) == value


def _find_groups(rows: pyarrow.dataset.Dataset) -> dict[tuple[str, str | None, str | None], str]:
    """Every (task, split, source) with the stem of its files; two sources with one slug get different stems."""
    found = rows.to_table(columns=["task", "split", "source"]).group_by(["task", "split", "source"]).aggregate([])
    groups = sorted(map(tuple, zip(*(found[c].to_pylist() for c in ("task", "split", "source")), strict=True)), key=str)
    stems = Counter((slug(task), slug(split or NO_SPLIT), slug(source)) for task, split, source in groups)
    named = {}
    for task, split, source in groups:
        alone = stems[slug(task), slug(split or NO_SPLIT), slug(source)] == 1
        named[task, split, source] = slug(source) if alone else f"{slug(source)}_{digest(split, source)[:6]}"
    return named


def _row_groups(batches: Iterator[pa.RecordBatch], placer: MediaPlacer) -> Iterator[pa.Table]:
    """The rows with their media in row groups, whose sizes follow from rows and bytes alone, not from the batches."""
    schema = features().arrow_schema
    held: list[pa.RecordBatch] = []
    placed: list[list[tuple[str, str, Path | None]]] = []
    size = 0
    for batch in batches:
        media = zip(batch["media"].to_pylist(), batch["licence"].to_pylist(), strict=True)
        start = 0
        for i, (row, licence) in enumerate(media):
            places = [(medium["kind"], *placer.place(medium, licence)) for medium in row or []]
            more = sum(bytes_ for *_, bytes_ in places)
            if placed and (len(placed) >= GROUP_ROWS or size + more > GROUP_BYTES):
                yield _build_group([*held, batch.slice(start, i - start)], placed, schema)
                held, placed, size, start = [], [], 0, i
            placed.append([(kind, where, path) for kind, where, path, _ in places])
            size += more
        held.append(batch.slice(start))
    if placed:
        yield _build_group(held, placed, schema)


def _build_group(
    held: list[pa.RecordBatch], placed: list[list[tuple[str, str, Path | None]]], schema: pa.Schema
) -> pa.Table:
    rows = pa.Table.from_batches(held)
    made: dict[str, list[Any]] = {"media_at": [[where for _, where, _ in row] for row in placed]}
    for kind in ("image", "video"):
        made[f"{kind}s"] = [
            [{"bytes": path.read_bytes(), "path": name_with_suffix(path)} for k, _, path in row if k == kind and path]
            for row in placed
        ]
    columns = [pa.array(made[f.name], f.type) if f.name in made else rows[f.name].cast(f.type) for f in schema]
    return pa.Table.from_arrays(columns, schema=schema)


class _ShardWriter:
    """Parquet files of one source, each of up to SHARD_BYTES; their names end in number and count."""

    def __init__(self, folder: Path, stem: str) -> None:
        self._folder, self._stem = folder, stem
        self._paths: list[Path] = []
        self._writer: pq.ParquetWriter | None = None
        self._size = 0

    def write(self, table: pa.Table) -> None:
        if self._writer is None or self._size + table.nbytes > SHARD_BYTES:
            self._finish()
            self._paths.append(self._folder / f".{self._stem}-{len(self._paths):05d}")
            self._writer = pq.ParquetWriter(
                self._paths[-1], table.schema, compression="zstd", write_page_index=True,
                use_content_defined_chunking=True,  # a new version's shards share most chunks with the old one's
            )  # fmt: skip
            self._size = 0
        self._writer.write_table(table, row_group_size=len(table))
        self._size += table.nbytes

    def _finish(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def close(self) -> list[str]:
        self._finish()
        names = []
        for i, path in enumerate(self._paths):
            names.append(f"{self._stem}-{i:05d}-of-{len(self._paths):05d}.parquet")
            path.rename(path.with_name(names[-1]))
        return names


def to_frozen_rows(table: pa.Table) -> pa.RecordBatch:
    """Published rows (without their media) as frozen rows again. Raises OneThinkerError if a column is missing."""
    schema = row_format.schema()
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise OneThinkerError(
            f"the published rows have no column {', '.join(missing)}: not a publication of onethinker"
        )
    columns = [table[column.name].combine_chunks().cast(column.type) for column in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
