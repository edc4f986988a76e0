"""How fast a snapshot reads, and in how much memory, beside bare pyarrow and `datasets` over the same Parquet.

    python -m benchmarks.read --rows 340000

A snapshot of made-up rows (responses of 1.6 kB, one image or video each, out of a pool) is written as freezing writes
it, and with the file that `dataset()` reads. Every reader then gets a process of its own: rows and megabytes (of the
columns read, as Arrow) a second, rows a second of processor time, seconds to the first row, and anonymous memory a
tenth of the way in and at its most. Ratios are of processor time, which other work on the machine disturbs less, to
bare readers in the same run.
"""

import argparse
import contextlib
import hashlib
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from corpus.chat import messages
from corpus.media import MediaStore
from corpus.snapshots import Snapshot, row_format
from corpus.snapshots.dataset import COLUMNS, chat_rows, features

POOL = 400  # different media; one in ten is a video
CHUNK = row_format.ROWS_PER_GROUP


# -- what is read ------------------------------------------------------------------------------------------------------


def make(folder: Path, rows: int) -> Snapshot:
    """A snapshot of `rows` made-up rows in `folder`."""
    pool = media_pool(folder)
    (folder / "snapshots" / "bench@1").mkdir(parents=True)
    schema = row_format.schema()
    random = np.random.default_rng(0)
    words = np.array([f"word{i}" for i in range(5_000)])
    files, writer, written = [], None, 0
    for start in range(0, rows, CHUNK):
        count = min(CHUNK, rows - start)
        if writer is None or written >= row_format.ROWS_PER_FILE:
            if writer is not None:
                writer.close()
            files.append({"path": f"rows-{len(files):05d}.parquet"})
            writer = pq.ParquetWriter(folder / "snapshots" / "bench@1" / files[-1]["path"], schema, compression="zstd")
            written = 0
        writer.write_batch(batch(schema, pool, random, words, start, count))
        written += count
    writer.close()
    return Snapshot(
        "bench", 1, rows, {}, hashlib.sha256(str(rows).encode()).hexdigest(), 0, "", None, {"files": files},
        folder / "snapshots" / "bench@1", folder / "media",
    )  # fmt: skip


def media_pool(folder: Path) -> list[dict[str, Any]]:
    """Photographs' size in pixels (640 × 480 JPEG) and short clips, in a media store."""
    from PIL import Image

    from tests.corpus.making import write_video

    store, random = MediaStore(str(folder / "media")), np.random.default_rng(1)
    pool = []
    for i in range(POOL):
        path = folder / f"medium{i}.{'mp4' if i % 10 == 9 else 'jpg'}"
        if i % 10 == 9:
            write_video(path, 20, shade=i)
        else:
            small = random.integers(0, 255, (30, 40, 3), dtype=np.uint8)
            Image.fromarray(small).resize((640, 480), Image.Resampling.BICUBIC).save(path, quality=90)
        pool.append(store.add(path).row())
        path.unlink()
    return pool


def batch(
    schema: pa.Schema, pool: list[dict[str, Any]], random: np.random.Generator, words: Any, start: int, count: int
) -> pa.RecordBatch:
    """Rows `start` to `start + count`."""
    ids = [f"{i:032x}" for i in range(start, start + count)]
    chosen = [pool[i] for i in random.integers(0, len(pool), count)]
    texts = [" ".join(line) for line in words[random.integers(0, len(words), (count, 200))]]
    made: dict[str, Any] = {
        "position": range(start, start + count),
        "sample_id": ids,
        "trace_id": ids,
        "task": ["image QA"] * count,
        "problem_type": ["multiple choice"] * count,
        "data_type": [medium["kind"] for medium in chosen],
        "media": [[medium] for medium in chosen],
        "prompt": [f"<{medium['kind']}>{text[:400]}" for medium, text in zip(chosen, texts, strict=True)],
        "response": [f"<think>{text}</think><answer>A</answer>" for text in texts],
        "answer": ["A"] * count,
        "options": [["A. yes", "B. no"]] * count,
        "reward": random.random(count),
        "accuracy": random.random(count),
    }
    return pa.RecordBatch.from_arrays(
        [pa.array(made[f.name], f.type) if f.name in made else pa.nulls(count, f.type) for f in schema], schema=schema
    )


# -- the readers -------------------------------------------------------------------------------------------------------


def pyarrow_batches(snapshot: Snapshot) -> Iterator[int]:
    for table in snapshot.batches(COLUMNS, rows=1_000):
        yield len(table)


def pyarrow_chat(snapshot: Snapshot) -> Iterator[int]:
    """What `stream()` does to the batches, without `datasets` around it."""
    for table in snapshot.batches(COLUMNS, rows=1_000):
        yield len(chat_rows(table, str(snapshot.media_root)))


def bare(snapshot: Snapshot, *, streaming: bool) -> Any:
    import datasets

    files = [str(path) for path in snapshot.files]
    cache = str(snapshot.folder.parent.parent / "bare-cache")
    return datasets.load_dataset(
        "parquet", data_files=files, split="train", streaming=streaming, columns=COLUMNS, cache_dir=cache
    )


def same_rows(snapshot: Snapshot) -> Any:
    """The rows that `stream()` gives, made as one would without it: a function mapped over bare rows."""
    import datasets

    root = str(snapshot.media_root)

    def build(row: dict[str, Any]) -> dict[str, Any]:
        kinds = [medium["kind"] for medium in row["media"]]
        paths = {m["sha256"]: f"{root}/{m['sha256'][:2]}/{m['sha256']}" for m in row["media"]}
        of_kind = {k: [paths[m["sha256"]] for m in row["media"] if m["kind"] == k] for k in ("image", "video")}
        images = [{"path": path, "bytes": None} for path in of_kind["image"]]
        return {**row, "messages": messages(row["prompt"], row["response"], kinds), "images": images,
                "videos": of_kind["video"]}  # fmt: skip

    columns = features()
    columns["images"] = datasets.List(datasets.Image(decode=False))
    return bare(snapshot, streaming=True).map(build, features=columns, remove_columns=["media"])


def opened(rows: Iterable[Any]) -> Iterator[int]:
    """Each row with its images decoded as `datasets` decodes them."""
    import datasets

    decoder = datasets.Image()
    for row in rows:
        for image in row["images"]:
            decoder.decode_example(image).load()
        yield 1


def arrow(dataset: Any) -> Iterator[int]:
    return (len(table) for table in dataset.with_format("arrow").iter(1_000))


def each(rows: Iterable[Any]) -> Iterator[int]:
    return (1 for _ in rows)


BY_MAP = "datasets streaming, same rows by map"
READERS: dict[str, tuple[list[str], Callable[[Snapshot], Iterator[int]]]] = {
    # name: (the bare readers that it is measured against, how it reads)
    "pyarrow, batches": ([], pyarrow_batches),
    "pyarrow, batches as chat": ([], pyarrow_chat),
    "datasets, raw rows": ([], lambda s: each(bare(s, streaming=False))),
    "datasets streaming, raw rows": ([], lambda s: each(bare(s, streaming=True))),
    "datasets streaming, same rows by map": ([], lambda s: each(same_rows(s))),
    "datasets streaming, same rows by map, images decoded": ([], lambda s: opened(same_rows(s))),
    "dataset(), batches": (["pyarrow, batches"], lambda s: arrow(s.dataset(decode=False))),
    "dataset(), rows": (["datasets, raw rows", BY_MAP], lambda s: each(s.dataset(decode=False))),
    "dataset(), rows, images decoded": ([f"{BY_MAP}, images decoded"], lambda s: each(s.dataset())),
    "stream(), batches": (["pyarrow, batches", "pyarrow, batches as chat"], lambda s: arrow(s.stream().decode(False))),
    "stream(), rows": (["datasets streaming, raw rows", BY_MAP], lambda s: each(s.stream().decode(False))),
    "stream(seed=1), rows": (["datasets streaming, raw rows", BY_MAP], lambda s: each(s.stream(seed=1).decode(False))),
    "stream(), rows, images decoded": ([f"{BY_MAP}, images decoded"], lambda s: each(s.stream())),
    "stream(seed=1), rows, images decoded": ([f"{BY_MAP}, images decoded"], lambda s: each(s.stream(seed=1))),
    "stream(seed=1), rows, whole epoch": ([], lambda s: each(s.stream(seed=1).decode(False))),
}


# -- measuring ---------------------------------------------------------------------------------------------------------


def anonymous_mb() -> float:
    """This process's anonymous memory: mapped files are the kernel's to give and take."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return float("nan")


def measure(name: str, snapshot: Snapshot, limit: int) -> dict[str, float]:
    """One reader in this process: seconds to the first row, rows a second after it, and memory."""
    import datasets

    datasets.disable_progress_bars()
    with contextlib.suppress(ImportError):
        import torch  # noqa: F401, `datasets` imports it at the first row of a stream, and a trainer has it long since
    started = time.perf_counter()
    counts = READERS[name][1](snapshot)
    rows = next(counts)
    first_s = time.perf_counter() - started
    early_mb = peak_mb = anonymous_mb()
    began, cpu_began, seen_early = time.perf_counter(), time.process_time(), rows
    for count in counts:
        rows += count
        if rows >= limit:
            break
        if rows % 2_000 < count:
            peak_mb = max(peak_mb, anonymous_mb())
            if rows < limit / 10:
                early_mb = peak_mb
    spent, cpu_spent = time.perf_counter() - began, time.process_time() - cpu_began
    return {
        "first_s": first_s,
        "rows_per_s": (rows - seen_early) / spent,
        "rows_per_cpu_s": (rows - seen_early) / cpu_spent,
        "rows": rows,
        "early_mb": early_mb,
        "peak_mb": max(peak_mb, anonymous_mb()),
    }


def apart(name: str, snapshot: Snapshot, limit: int) -> dict[str, float]:
    """`measure` in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (name, snapshot, limit))


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rows", type=int, default=340_000)
    asked.add_argument("--some-rows", type=int, default=40_000, help="read so many where rows are Python's")
    asked.add_argument("--decoded-rows", type=int, default=4_000, help="the same where images are decoded")
    asked.add_argument("--only", nargs="*", help="readers whose name holds one of these words, and their bare ones")
    asked.add_argument("--json", action="store_true")
    given = asked.parse_args()
    chosen = [n for n in READERS if not given.only or any(word in n for word in given.only)]
    chosen = list(dict.fromkeys([b for n in chosen for b in READERS[n][0]] + chosen))
    chosen.sort(key=list(READERS).index)
    with tempfile.TemporaryDirectory() as folder:
        snapshot = make(Path(folder), given.rows)
        mb = sum(table.nbytes for table in snapshot.batches(COLUMNS)) / 1e6
        on_disk = sum(path.stat().st_size for path in snapshot.files) / 1e6
        started = time.perf_counter()
        snapshot.write_cache()
        spent = time.perf_counter() - started
        print(
            f"{given.rows:,} rows, {mb:,.0f} MB of Arrow in {on_disk:,.0f} MB of Parquet; "
            f"the file that dataset() reads took freezing {spent:.1f} s",
            file=sys.stderr,
        )
        found: dict[str, dict[str, float]] = {}
        for name in chosen:
            limit = given.decoded_rows if "decoded" in name else given.some_rows if "rows" in name else given.rows
            found[name] = one = apart(name, snapshot, given.rows if "epoch" in name else min(limit, given.rows))
            one["mb_per_s"] = one["rows_per_s"] * mb / given.rows
            ratios = {base: one["rows_per_cpu_s"] / found[base]["rows_per_cpu_s"] for base in READERS[name][0]}
            if not given.json:
                print(
                    f"{name:54s} {one['rows_per_s']:9,.0f} rows/s {one['mb_per_s']:6,.0f} MB/s  "
                    f"{one['rows_per_cpu_s']:9,.0f} rows/CPU s  first row "
                    f"{one['first_s']:5.2f} s  memory {one['early_mb']:4,.0f} → {one['peak_mb']:4,.0f} MB  "
                    + ", ".join(f"{ratio:.2f}× {base}" for base, ratio in ratios.items()),
                    flush=True,
                )
        if given.json:
            print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
