"""A snapshot as a `datasets.Dataset`: chat messages with their images and videos, memory-mapped, decoded when read.

The Arrow file behind it is made once per snapshot and kept under `cache/` in the corpus; it can be deleted at any time.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from corpus.chat import messages
from corpus.ids import digest
from corpus.media import MediaStore

if TYPE_CHECKING:
    import datasets

    from corpus.snapshots import Snapshot

LAYOUT = 1  # of the columns below; raise it when they change, so that an old cache is not taken for a new one
KEPT = (
    "sample_id",
    "trace_id",
    "task",
    "problem_type",
    "data_type",
    "prompt",
    "response",
    "answer",
    "source",
    "teacher",
)
COLUMNS = [*KEPT, "options", "media", "truth", "reward", "accuracy"]


def dataset(snapshot: "Snapshot") -> "datasets.Dataset":
    """The rows of a snapshot, in order, as a map-style dataset over a memory-mapped Arrow file.

    Columns: `messages` (role, content parts; see corpus.chat), `images` (decoded to PIL when read), `videos` (paths of
    the corpus's media: decoding is the trainer's, who knows the frame rate it wants), and the row's `sample_id`,
    `trace_id`, `task`, `problem_type`, `data_type`, `prompt`, `response`, `answer`, `options`, `truth`, `source`,
    `teacher`, `reward`, `accuracy`. Its fingerprint is the snapshot's, so two equal snapshots cache alike.
    """
    import datasets
    from datasets.table import MemoryMappedTable

    part = {"type": datasets.Value("string"), "text": datasets.Value("string")}
    features = datasets.Features(
        {
            "messages": datasets.List({"role": datasets.Value("string"), "content": datasets.List(part)}),
            "images": datasets.List(datasets.Image()),
            "videos": datasets.List(datasets.Value("string")),
            **{name: datasets.Value("string") for name in (*KEPT, "truth")},
            "options": datasets.List(datasets.Value("string")),
            "reward": datasets.Value("float64"),
            "accuracy": datasets.Value("float64"),
        }
    )
    key = digest(snapshot.fingerprint, str(snapshot.media_root), LAYOUT)
    path = snapshot.folder.parent.parent / "cache" / f"{snapshot.ref}-{key}.arrow"
    if not path.exists():
        _write(snapshot, path, features.arrow_schema)
    table = MemoryMappedTable.from_file(str(path))
    return datasets.Dataset(table, info=datasets.DatasetInfo(features=features), fingerprint=key[:16])


def _write(snapshot: "Snapshot", path: Path, schema: pa.Schema) -> None:
    path.parent.mkdir(exist_ok=True)
    making = path.with_suffix(f".{os.getpid()}.making")
    media = MediaStore(str(snapshot.media_root))
    try:
        with pa.OSFile(str(making), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
            for batch in snapshot.batches(COLUMNS, rows=1_000):
                rows = [_row(row, media) for row in batch.to_pylist()]
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
        making.replace(path)
    finally:
        making.unlink(missing_ok=True)


def _row(row: dict[str, Any], media: MediaStore) -> dict[str, Any]:
    kinds = [medium["kind"] for medium in row["media"]]
    paths = [str(media.path(medium["sha256"])) for medium in row["media"]]
    return {
        **{name: row[name] for name in (*KEPT, "options", "truth", "reward", "accuracy")},
        "messages": messages(row["prompt"], row["response"], kinds),
        "images": [{"path": p, "bytes": None} for p, kind in zip(paths, kinds, strict=True) if kind == "image"],
        "videos": [p for p, kind in zip(paths, kinds, strict=True) if kind == "video"],
    }
