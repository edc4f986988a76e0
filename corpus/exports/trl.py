"""TRL: Parquet for SFTTrainer (`messages`, `images`) and for GRPOTrainer (`prompt`, `images` and reward columns).

    load_dataset("parquet", data_files="NAME_sft_image.parquet", split="train")

Messages have content parts, as TRL's multimodal collators want them. Images are inside the files. Of videos the files
give paths: TRL 1.16 ignores a `videos` column, so `trainers/` of this project, or a collator of your own,
decodes them. A GRPO file has one row a sample; its extra columns reach the reward functions as lists.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpus.chat import messages
from corpus.exports._media import iter_rows
from corpus.exports._parquet import ParquetFiles, embed
from corpus.snapshots import Snapshot

if TYPE_CHECKING:
    import datasets

KEPT = ("sample_id", "problem_type", "data_type", "answer", "truth")


def export(snapshot: Snapshot, out: Path) -> dict[str, int]:
    """Write the layout into `out`; returns the number of rows in each Parquet file."""
    seen: set[str] = set()
    with ParquetFiles(out, _features) as files:
        for kind, row in iter_rows(snapshot, out, [*KEPT, "options", "prompt", "response"]):
            chat = messages(row["prompt"], row["response"], [medium["kind"] for medium in row["media"]])
            media: dict[str, Any] = {}
            if row["images"]:
                media["images"] = embed(out, row["images"])
            if row["videos"]:
                media["videos"] = row["videos"]
            files.write(f"{snapshot.name}_sft_{kind}.parquet", {"messages": chat, **media})
            if row["sample_id"] not in seen:
                seen.add(row["sample_id"])
                columns = {key: row[key] for key in (*KEPT, "options")}
                files.write(f"{snapshot.name}_grpo_{kind}.parquet", {"prompt": chat[:1], **media, **columns})
    return dict(files.counts)


def _features(name: str) -> "datasets.Features":
    import datasets

    text = datasets.Value("string")
    chat = datasets.List({"role": text, "content": datasets.List({"type": text, "text": text})})
    rest, _, kind = name.removesuffix(".parquet").rpartition("_")
    media: dict[str, Any] = {}
    if kind in ("image", "mixed"):
        media["images"] = datasets.List(datasets.Image())
    if kind in ("video", "mixed"):
        media["videos"] = datasets.List(text)
    if rest.endswith("_sft"):
        return datasets.Features({"messages": chat, **media})
    columns = {**dict.fromkeys(KEPT, text), "options": datasets.List(text)}
    return datasets.Features({"prompt": chat, **media, **columns})
