"""The format of frozen rows: the columns of a snapshot's Parquet files, writing them, and their fingerprint.

A row is a sample's columns, then its trace's, its verdict's, and the prompt to train on. A trace or verdict column
whose name is taken is called `trace_…` or `verdict_…`.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.ids import canonical_json
from corpus.media import sha256_of
from corpus.schema import TABLES

PAIRS = pa.list_(pa.struct([("key", pa.string()), ("value", pa.float64())]))
ROWS_PER_FILE = 100_000
ROWS_PER_GROUP = 4_096
# The columns that the fingerprint covers: content, not who wrote it or when.
CONTENT = ("sample_id", "trace_id", "problem", "options", "answer", "prompt", "response", "profile", "reward")
_SHARED = {"samples": (), "traces": ("sample_id",), "verdicts": ("trace_id",)}


def _name_columns() -> dict[str, dict[str, str]]:
    taken = {"position"}
    shown: dict[str, dict[str, str]] = {}
    for table, shared in _SHARED.items():
        shown[table] = {}
        for name in TABLES[table].schema.names:
            if name in shared:
                shown[table][name] = name
                continue
            word = f"{table[:-1]}_{name}" if name in taken else name
            taken.add(word)
            shown[table][name] = word
    return shown


COLUMNS = _name_columns()  # of each table, its columns' names in a frozen row


def schema() -> pa.Schema:
    """The Arrow schema of frozen rows; a map (a verdict's components) is a list of pairs, as `datasets` can load it."""
    fields = {"position": pa.field("position", pa.int64())}
    for table, names in COLUMNS.items():
        for name, shown in names.items():
            kind = TABLES[table].schema.field(name).type
            fields.setdefault(shown, pa.field(shown, PAIRS if pa.types.is_map(kind) else kind))
    return pa.schema([*fields.values(), pa.field("prompt", pa.string())])


def extract_table(table: str, batch: pa.RecordBatch | pa.Table) -> pa.Table:
    """The rows of one table (samples, traces or verdicts) within frozen rows, under that table's own column names.

    A sample with several traces is repeated.
    """
    columns = {}
    for name, shown in COLUMNS[table].items():
        kind = TABLES[table].schema.field(name).type
        columns[name] = batch[shown]
        if pa.types.is_map(kind):
            pairs = [row and [(pair["key"], pair["value"]) for pair in row] for row in batch[shown].to_pylist()]
            columns[name] = pa.array(pairs, kind)
    return pa.table(columns, schema=TABLES[table].schema)


def fingerprint(batches: Iterable[pa.RecordBatch]) -> str:
    """SHA-256, as hex, over the content of the rows in order, not over their provenance or Parquet encoding.

    A row counts as one line of canonical JSON (sorted keys, no spaces, UTF-8) of the CONTENT columns and `media`, the
    list of its media's SHA-256s.
    """
    digest = hashlib.sha256()
    for batch in batches:
        _hash_rows(digest, batch)
    return digest.hexdigest()


def _hash_rows(digest: "hashlib._Hash", batch: pa.RecordBatch) -> None:
    for row in batch.select([*CONTENT, "media"]).to_pylist():
        row["media"] = [medium["sha256"] for medium in row["media"] or []]
        digest.update(canonical_json(row) + b"\n")


def write_files(batches: Iterable[pa.RecordBatch], profile: str, folder: Path) -> dict[str, Any]:
    """Write frozen rows into `folder` as `rows-00000.parquet` and so on; returns the manifest.

    The manifest holds the files with SHA-256, bytes and rows, the row count, the counts by task, the profile and the
    fingerprint.
    """
    counts: Counter[str] = Counter()
    digest = hashlib.sha256()
    files: list[dict[str, Any]] = []
    writer: pq.ParquetWriter | None = None
    written = 0
    try:
        for batch in batches:
            counts.update(batch["task"].to_pylist())
            if writer is None or written >= ROWS_PER_FILE:
                if writer is not None:
                    writer.close()
                files.append({"path": f"rows-{len(files):05d}.parquet"})
                writer = pq.ParquetWriter(folder / files[-1]["path"], batch.schema, compression="zstd")
                written = 0
            writer.write_batch(batch, row_group_size=ROWS_PER_GROUP)
            written += len(batch)
            _hash_rows(digest, batch)
    finally:
        if writer is not None:
            writer.close()
    for file in files:
        path = folder / file["path"]
        file |= {"sha256": sha256_of(path), "bytes": path.stat().st_size, "rows": pq.read_metadata(path).num_rows}
    return {
        "files": files,
        "rows": sum(counts.values()),
        "counts": dict(sorted(counts.items())),
        "profile": profile,
        "fingerprint": digest.hexdigest(),
    }
