"""A snapshot as a `datasets.Dataset`: chat messages with their images and videos, memory-mapped, decoded when read.

The Arrow file behind it is made when the snapshot is, and kept under `cache/` in the corpus. It can be deleted at any
time: the next `dataset()` makes it again, which takes some seconds for 100k rows and more.
"""

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.chat import MESSAGE, message_column
from corpus.ids import digest

if TYPE_CHECKING:
    import datasets

    from corpus.snapshots import Snapshot

LAYOUT = 3  # of the columns below; raise it when they change, so that an old cache is not taken for a new one
_KEPT: dict[str, pa.DataType] = {
    "sample_id": pa.string(),
    "trace_id": pa.string(),
    "task": pa.string(),
    "problem_type": pa.string(),
    "data_type": pa.string(),
    "prompt": pa.string(),
    "answer": pa.string(),
    "source": pa.string(),
    "teacher": pa.string(),
    "truth": pa.string(),
    "reward": pa.float64(),
    "accuracy": pa.float64(),
    "options": pa.list_(pa.string()),
}
COLUMNS = [*_KEPT, "response", "media"]  # of a frozen row, that chat rows are made of
SCHEMA = pa.schema(
    {
        "messages": pa.list_(MESSAGE),
        "images": pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        "videos": pa.list_(pa.string()),
        **_KEPT,
    }
)


def features(*, decode: bool = True) -> "datasets.Features":
    """The columns that `dataset()` and `stream()` give: those of SCHEMA.

    `messages` (role, content parts; see corpus.chat; the response is the last), `images` (decoded to PIL when read, or
    with `decode=False` structs of `bytes` and `path`), `videos` (paths of the corpus's media: decoding is the
    trainer's, who knows the frame rate it wants), and columns of the frozen row itself.
    """
    import datasets

    from corpus.snapshots.image_feature import Picture

    columns = datasets.Features.from_arrow_schema(SCHEMA)
    columns["images"] = datasets.List(Picture(decode=decode))
    return columns


def dataset(snapshot: "Snapshot", *, decode: bool = True) -> "datasets.Dataset":
    """The rows of a snapshot, in order, as a map-style dataset over a memory-mapped Arrow file.

    Its columns are those of `features(decode=decode)`. Its fingerprint follows from the snapshot's, so what `datasets`
    caches for one serves an equal one.
    """
    import datasets
    from datasets.table import MemoryMappedTable

    path = _path(snapshot)
    if not path.exists():
        _write(snapshot, path)
    table = MemoryMappedTable.from_file(str(path))
    info = datasets.DatasetInfo(features=features(decode=decode))
    return datasets.Dataset(table, info=info, fingerprint=digest(path.stem, decode)[:16])


def prepare(snapshot: "Snapshot") -> None:
    """Make the file that `dataset()` reads, so that its first row comes at once; a full disk leaves that to it."""
    with contextlib.suppress(OSError):
        _write(snapshot, _path(snapshot))


def _path(snapshot: "Snapshot") -> Path:
    key = digest(snapshot.fingerprint, str(snapshot.media_root), LAYOUT)
    return snapshot.folder.parent.parent / "cache" / f"{snapshot.ref}-{key}.arrow"


def _write(snapshot: "Snapshot", path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    making = path.with_suffix(f".{os.getpid()}.making")
    try:
        chats = (chat_rows(batch, str(snapshot.media_root)) for batch in snapshot.batches(COLUMNS))
        with (
            ThreadPoolExecutor(1) as ahead,  # reads and converts the next batch while this one is written
            pa.OSFile(str(making), "wb") as file,
            pa.ipc.new_stream(file, SCHEMA) as writer,
        ):
            coming = ahead.submit(next, chats, None)
            while (batch := coming.result()) is not None:
                coming = ahead.submit(next, chats, None)
                writer.write_batch(batch)
        making.replace(path)
    finally:
        making.unlink(missing_ok=True)


def chat_rows(batch: pa.RecordBatch, media_root: str) -> pa.RecordBatch:
    """Frozen rows (their COLUMNS) in the columns of SCHEMA.

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
    arrays = [made[field.name] if field.name in made else batch[field.name].cast(field.type) for field in SCHEMA]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)
