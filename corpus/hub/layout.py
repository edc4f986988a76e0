"""The rows of a snapshot as a dataset repository's Parquet: configs by task family, splits, files by source.

Every row keeps all its frozen columns, so that nothing of its provenance is lost on the way; its media come first, as
the Hub's viewer and `load_dataset` like them. The same snapshot gives the same bytes, on any machine.
"""

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filetype
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset
import pyarrow.parquet as pq

from corpus.errors import OneThinkerError, UsageError
from corpus.ids import digest
from corpus.media import MediaError, MediaStore
from corpus.progress import progress
from corpus.snapshots import row_format

if TYPE_CHECKING:
    import datasets

    from corpus.snapshots import Snapshot

LAYOUT = 1  # of the repository; raise it with any change that older code cannot pull
SHARD_BYTES = 500_000_000
GROUP_BYTES, GROUP_ROWS = 32_000_000, 1_000  # of a row group: what the viewer reads to show one page
EMBEDDED, WITHHELD = "embedded", "withheld"
FIRST = ("images", "videos", "problem", "response", "answer", "options", "teacher", "reward", "accuracy", "prompt")
NO_SPLIT = "train"
# Terms that let nobody pass the files on; the row then names them by SHA-256 and origin only.
_NOT_OURS_TO_GIVE = re.compile(
    r"no.?redistribut|not.?redistribut|proprietary|all.rights.reserved|on.request|request.form|do.not.distribute", re.I
)


@dataclass(frozen=True)
class Policy:
    """Which media go along: files over `embed_bytes` lie beside the rows, those under a withheld licence stay home."""

    embed_bytes: int = 16_000_000
    withheld_licences: frozenset[str] = frozenset()  # besides those whose words forbid it; `unknown` is none stated

    def __post_init__(self) -> None:
        if self.embed_bytes < 0:
            raise UsageError(f"media of up to {self.embed_bytes} bytes cannot be embedded; 0 embeds none")

    def withholds(self, licence: str | None) -> bool:
        """Whether media under this licence are left out."""
        return (licence or "unknown") in self.withheld_licences or bool(_NOT_OURS_TO_GIVE.search(licence or ""))


@dataclass
class Written:
    """What was written: per config and split its files, and how many media went where."""

    files: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    media: Counter[str] = field(default_factory=Counter)
    licences_withheld: Counter[str] = field(default_factory=Counter)


def slug(text: str | None) -> str:
    """A word for a path or a config's name: `spatial grounding` is `spatial_grounding`."""
    return re.sub(r"[^a-z0-9]+", "_", (text or "").lower()).strip("_") or "unknown"


def features() -> "datasets.Features":
    """The columns of a published row: its media, the frozen columns, and where each medium lies."""
    import datasets

    named: dict[str, Any] = {
        "images": datasets.List(datasets.Image()),
        # Not decoded unless one asks, with `cast_column("videos", List(Video()))`: that takes torchcodec.
        "videos": datasets.List(datasets.Video(decode=False)),
        "media_at": datasets.List(datasets.Value("string")),
    }
    for column in row_format.schema():
        named[column.name] = datasets.features.features.generate_from_arrow_type(column.type)
    return datasets.Features({name: named[name] for name in (*FIRST, *(n for n in named if n not in FIRST))})


def write_rows(snapshot: "Snapshot", folder: Path, policy: Policy) -> Written:
    """Write the snapshot's rows under `folder/data`, and media that lie beside them under `folder/media`."""
    written = Written()
    store = MediaStore(str(snapshot.media_root))
    rows = pyarrow.dataset.dataset([str(path) for path in snapshot.files], schema=row_format.schema())
    with progress("writing rows", snapshot.rows) as bar:
        for (task, split, source), stem in _groups(rows).items():
            config, split_name = slug(task), slug(split or NO_SPLIT)
            place = folder / "data" / config / split_name
            place.mkdir(parents=True, exist_ok=True)
            chosen = _equal("task", task) & _equal("split", split) & _equal("source", source)
            shards = _Shards(place, stem)
            media = _Media(store, folder, policy, written)
            for batch in _row_groups(rows.to_batches(filter=chosen, batch_size=GROUP_ROWS), media):
                shards.write(batch)
                bar.advance(len(batch))
            names = [f"data/{config}/{split_name}/{name}" for name in shards.close()]
            written.files.setdefault(config, {}).setdefault(split_name, []).extend(names)
    return written


def _equal(column: str, value: str | None) -> pc.Expression:
    return pc.field(column).is_null() if value is None else pc.field(column) == value


def _groups(rows: pyarrow.dataset.Dataset) -> dict[tuple[str, str | None, str | None], str]:
    """Every (task, split, source) with the stem of its files; two sources of one slug are told apart."""
    found = rows.to_table(columns=["task", "split", "source"]).group_by(["task", "split", "source"]).aggregate([])
    groups = sorted(map(tuple, zip(*(found[c].to_pylist() for c in ("task", "split", "source")), strict=True)), key=str)
    stems = Counter((slug(task), slug(split or NO_SPLIT), slug(source)) for task, split, source in groups)
    named = {}
    for task, split, source in groups:
        alone = stems[slug(task), slug(split or NO_SPLIT), slug(source)] == 1
        named[task, split, source] = slug(source) if alone else f"{slug(source)}_{digest(split, source)[:6]}"
    return named


@dataclass
class _Media:
    store: MediaStore
    folder: Path
    policy: Policy
    written: Written

    def place(self, medium: dict[str, Any], licence: str | None) -> tuple[str, Path | None, int]:
        """Where one medium goes, the file to embed, and its bytes in the row."""
        where, path = WITHHELD, None
        if self.policy.withholds(licence):
            self.written.licences_withheld[licence or "unknown"] += 1
        else:
            try:
                path = self.store.path(medium["sha256"])
            except MediaError:
                self.written.licences_withheld["(not in the corpus)"] += 1
        size = path.stat().st_size if path else 0
        if path and size <= self.policy.embed_bytes:
            self.written.media[EMBEDDED] += 1
            return EMBEDDED, path, size
        if path:
            where = f"media/{medium['sha256'][:2]}/{with_suffix(path)}"
            link(path, self.folder / where)
        self.written.media["beside" if path else WITHHELD] += 1
        return where, None, 0


def with_suffix(path: Path) -> str:
    """A stored medium's name with the suffix that its bytes call for."""
    kind = filetype.guess(path)
    return path.name + (f".{kind.extension}" if kind else "")


def link(stored: Path, target: Path) -> None:
    """Put a stored file at `target`, as a hard link where the file system allows."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        try:
            os.link(stored, target)
        except OSError:
            shutil.copyfile(stored, target)


def _row_groups(batches: Iterator[pa.RecordBatch], media: _Media) -> Iterator[pa.Table]:
    """The rows with their media, cut by rows and bytes alone, whatever batches they come in."""
    schema = features().arrow_schema
    held: list[pa.RecordBatch] = []
    placed: list[list[tuple[str, str, Path | None]]] = []
    size = 0
    for batch in batches:
        told = zip(batch["media"].to_pylist(), batch["licence"].to_pylist(), strict=True)
        start = 0
        for i, (row, licence) in enumerate(told):
            places = [(medium["kind"], *media.place(medium, licence)) for medium in row or []]
            more = sum(bytes_ for *_, bytes_ in places)
            if placed and (len(placed) >= GROUP_ROWS or size + more > GROUP_BYTES):
                yield _table([*held, batch.slice(start, i - start)], placed, schema)
                held, placed, size, start = [], [], 0, i
            placed.append([(kind, where, path) for kind, where, path, _ in places])
            size += more
        held.append(batch.slice(start))
    if placed:
        yield _table(held, placed, schema)


def _table(held: list[pa.RecordBatch], placed: list[list[tuple[str, str, Path | None]]], schema: pa.Schema) -> pa.Table:
    rows = pa.Table.from_batches(held)
    made: dict[str, list[Any]] = {"media_at": [[where for _, where, _ in row] for row in placed]}
    for kind in ("image", "video"):
        made[f"{kind}s"] = [
            [{"bytes": path.read_bytes(), "path": with_suffix(path)} for k, _, path in row if k == kind and path]
            for row in placed
        ]
    columns = [pa.array(made[f.name], f.type) if f.name in made else rows[f.name].cast(f.type) for f in schema]
    return pa.Table.from_arrays(columns, schema=schema)


class _Shards:
    """Parquet files of one source, each of up to SHARD_BYTES; their names tell how many there are."""

    def __init__(self, place: Path, stem: str) -> None:
        self._place, self._stem = place, stem
        self._paths: list[Path] = []
        self._writer: pq.ParquetWriter | None = None
        self._size = 0

    def write(self, table: pa.Table) -> None:
        if self._writer is None or self._size + table.nbytes > SHARD_BYTES:
            self._finish()
            self._paths.append(self._place / f".{self._stem}-{len(self._paths):05d}")
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


def frozen_rows(table: pa.Table) -> pa.RecordBatch:
    """Published rows (without their media) as frozen rows again. Raises OneThinkerError for other columns."""
    schema = row_format.schema()
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise OneThinkerError(f"the published rows have no column {', '.join(missing)}: not a publication of ours")
    columns = [table[column.name].combine_chunks().cast(column.type) for column in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
