"""A snapshot as a `datasets.Dataset`: chat messages with their images and videos, memory-mapped, decoded when read.

The Arrow file behind it is made once per snapshot and kept under `cache/` in the corpus; it can be deleted at any time.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.chat import message_column
from corpus.ids import digest

if TYPE_CHECKING:
    import datasets

    from corpus.snapshots import Snapshot

LAYOUT = 2  # of the columns below; raise it when they change, so that an old cache is not taken for a new one
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
    "truth",
    "options",
    "reward",
    "accuracy",
)
COLUMNS = [*KEPT, "media"]
_NUMBERS = {"reward": "float64", "accuracy": "float64"}


def features() -> "datasets.Features":
    """The columns that `dataset()` and `stream()` give.

    `messages` (role, content parts; see corpus.chat), `images` (decoded to PIL when read), `videos` (paths of the
    corpus's media: decoding is the trainer's, who knows the frame rate it wants), and the row's own KEPT columns.
    """
    import datasets

    from corpus.pictures import Picture

    text = datasets.Value("string")
    return datasets.Features(
        {
            "messages": datasets.List({"role": text, "content": datasets.List({"type": text, "text": text})}),
            "images": datasets.List(Picture()),
            "videos": datasets.List(text),
            **{name: datasets.Value(_NUMBERS.get(name, "string")) for name in KEPT if name != "options"},
            "options": datasets.List(text),
        }
    )


def dataset(snapshot: "Snapshot") -> "datasets.Dataset":
    """The rows of a snapshot, in order, as a map-style dataset over a memory-mapped Arrow file.

    Its columns are those of `features()`; its fingerprint is the snapshot's, so two equal snapshots cache alike.
    """
    import datasets
    from datasets.table import MemoryMappedTable

    columns = features()
    key = digest(snapshot.fingerprint, str(snapshot.media_root), LAYOUT)
    path = snapshot.folder.parent.parent / "cache" / f"{snapshot.ref}-{key}.arrow"
    if not path.exists():
        _write(snapshot, path, columns.arrow_schema)
    table = MemoryMappedTable.from_file(str(path))
    return datasets.Dataset(table, info=datasets.DatasetInfo(features=columns), fingerprint=key[:16])


def _write(snapshot: "Snapshot", path: Path, schema: pa.Schema) -> None:
    path.parent.mkdir(exist_ok=True)
    making = path.with_suffix(f".{os.getpid()}.making")
    try:
        with pa.OSFile(str(making), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
            for batch in snapshot.batches(COLUMNS):
                writer.write_batch(chat_rows(batch, str(snapshot.media_root), schema), None)
        making.replace(path)
    finally:
        making.unlink(missing_ok=True)


def chat_rows(batch: pa.RecordBatch, media_root: str, schema: pa.Schema) -> pa.RecordBatch:
    """Frozen rows (their COLUMNS) in the columns of `features()`, whose Arrow schema `schema` is.

    Media are named, not opened: one that is missing raises FileNotFoundError, with its path, when it is decoded.
    """
    media = batch["media"]
    flat, row_of = media.flatten(), pc.list_parent_indices(media)
    sha256s = pc.struct_field(flat, "sha256")
    paths = pc.binary_join_element_wise(media_root, pc.utf8_slice_codeunits(sha256s, 0, 2), sha256s, "/")
    lists = {}
    for kind in ("image", "video"):
        chosen = pc.equal(pc.struct_field(flat, "kind"), kind)
        counts = np.bincount(row_of.filter(chosen).to_numpy(), minlength=len(batch))
        lists[kind] = (pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32()), paths.filter(chosen))
    offsets, found = lists["image"]
    images = pa.StructArray.from_arrays([pa.nulls(len(found), pa.binary()), found], ["bytes", "path"])
    made = {
        "messages": message_column(batch["prompt"], batch["response"]),
        "images": pa.ListArray.from_arrays(offsets, images),
        "videos": pa.ListArray.from_arrays(*lists["video"]),
    }
    arrays = [made[field.name] if field.name in made else batch[field.name].cast(field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
