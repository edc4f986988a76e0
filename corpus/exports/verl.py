"""verl: Parquet with `prompt` (chat messages), `images`, `videos`, `data_source`, `reward_model` and `extra_info`.

As `verl.utils.dataset.RLHFDataset` reads it (0.9): `<image>` and `<video>` stay in the prompt's text; images are inside
the file; videos are `{"video": path}` with an absolute path under this folder, since verl has no media root. Images and
videos have separate files. `reward_model.ground_truth` is JSON of all that onethinker's reward reads.
One row a sample: the traces are for SFT.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from corpus.exports._media import iter_rows
from corpus.exports._parquet import ParquetFiles, embed
from corpus.snapshots import Snapshot

if TYPE_CHECKING:
    import datasets

EXTRA = ("sample_id", "problem_type", "data_type", "task", "split")
COLUMNS = (*EXTRA, "prompt", "source", "answer", "truth", "options")


def export(snapshot: Snapshot, out: Path) -> dict[str, int]:
    """Write the layout into `out`; returns the number of rows in each Parquet file."""
    seen: set[str] = set()
    with ParquetFiles(out, _features) as files:
        for kind, row in iter_rows(snapshot, out, COLUMNS):
            if row["sample_id"] in seen:
                continue
            seen.add(row["sample_id"])
            record = {
                "data_source": row["source"],
                "prompt": [{"role": "user", "content": row["prompt"]}],
                "ability": row["task"],
                "reward_model": {"style": "rule", "ground_truth": _encode_truth(row)},
                "extra_info": {**{key: row[key] for key in EXTRA}, "index": len(seen) - 1},
            }
            if row["images"]:
                record["images"] = embed(out, row["images"])
            if row["videos"]:
                record["videos"] = [{"video": str((out / path).resolve())} for path in row["videos"]]
            files.write(f"{snapshot.name}_{kind}.parquet", record)
    return dict(files.counts)


def _encode_truth(row: dict[str, object]) -> str:
    keys = ("answer", "truth", "problem_type", "data_type", "options")
    return orjson.dumps({key: row[key] for key in keys}).decode()


def _features(name: str) -> "datasets.Features":
    import datasets

    text = datasets.Value("string")
    columns = {
        "data_source": text,
        "prompt": datasets.List({"role": text, "content": text}),
        "ability": text,
        "reward_model": {"style": text, "ground_truth": text},
        "extra_info": {**dict.fromkeys(EXTRA, text), "index": datasets.Value("int64")},
    }
    kind = name.removesuffix(".parquet").rpartition("_")[2]
    if kind in ("image", "mixed"):
        columns["images"] = datasets.List(datasets.Image())
    if kind in ("video", "mixed"):
        columns["videos"] = datasets.List({"video": text})
    return datasets.Features(columns)
