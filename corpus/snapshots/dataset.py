"""Frozen rows as a `datasets.Dataset`: chat messages with their images and videos, memory-mapped, decoded when read.

The Arrow file behind it is a cache: see `Snapshot.dataset`.
"""

import os
from collections.abc import Iterable
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
COLUMNS = [*_KEPT, "response", "media"]  # of a frozen row: what a chat row is made of
SCHEMA = pa.schema(
    {
        "messages": pa.list_(MESSAGE),
        "images": pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        "videos": pa.list_(pa.string()),
        **_KEPT,
    }
)


def features(*, decode: bool = True) -> "datasets.Features":
    """The columns of `Snapshot.dataset()` and `Snapshot.stream()`: those of SCHEMA.

    `messages` (role, content parts; see corpus.chat; the response is the last), `images` (decoded to PIL when read, or
    with `decode=False` structs of `bytes` and `path`), `videos` (paths of the corpus's media: the trainer decodes them
    at its own frame rate), and columns of the frozen row itself.
    """
    import datasets

    from corpus.snapshots.image_feature import CachedImage

    columns = datasets.Features.from_arrow_schema(SCHEMA)
    columns["images"] = datasets.List(CachedImage(decode=decode))
    return columns


def open_dataset(path: Path, *, decode: bool = True) -> "datasets.Dataset":
    """The chat rows of the Arrow file at `path`, in order, as a memory-mapped map-style dataset.

    Its columns are those of `features(decode=decode)`. Its fingerprint follows from the file's name, which holds that
    of the rows, so what `datasets` caches for one serves an equal one.
    """
    import datasets
    from datasets.table import MemoryMappedTable

    table = MemoryMappedTable.from_file(str(path))
    info = datasets.DatasetInfo(features=features(decode=decode))
    return datasets.Dataset(table, info=info, fingerprint=digest(path.stem, decode)[:16])


def write_dataset(batches: Iterable[pa.RecordBatch], media_root: str, path: Path) -> None:
    """Write frozen rows (their COLUMNS) as chat rows into the Arrow file at `path`, or nothing."""
    path.parent.mkdir(exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.making")
    try:
        chats = (chat_rows(batch, media_root) for batch in batches)
        with (
            ThreadPoolExecutor(1) as executor,  # reads and converts the next batch while this one is written
            pa.OSFile(str(draft), "wb") as file,
            pa.ipc.new_stream(file, SCHEMA) as writer,
        ):
            following = executor.submit(next, chats, None)
            while (batch := following.result()) is not None:
                following = executor.submit(next, chats, None)
                writer.write_batch(batch)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def chat_rows(batch: pa.RecordBatch, media_root: str) -> pa.RecordBatch:
    """Frozen rows (their COLUMNS) in the columns of SCHEMA.

    Media are named, not opened: decoding a missing one raises FileNotFoundError with its path.
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
