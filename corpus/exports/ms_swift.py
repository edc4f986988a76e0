"""ms-swift: JSONL of messages with `images` and `videos`, and `solution` for its GRPO rewards.

`swift sft --dataset NAME_image.jsonl` run in this folder, or with ROOT_IMAGE_DIR set to it, finds the media. Extra
columns reach an ORM plug-in as they are: `solution` is the answer's body, `options` and `truth` are there if a row
has them, since onethinker's reward reads them.
"""

from pathlib import Path

from corpus.exports._media import JsonFiles, iter_rows, pick_present
from corpus.snapshots import Snapshot

KEPT = ("sample_id", "problem_type", "data_type", "task")


def export(snapshot: Snapshot, out: Path) -> dict[str, int]:
    """Write the layout into `out`; returns the number of rows in each file."""
    with JsonFiles(out, lines=True) as files:
        for kind, row in iter_rows(snapshot, out, [*KEPT, "prompt", "response", "answer", "truth", "options"]):
            turns = [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["response"]}]
            solution = row["answer"] if row["answer"] is not None else row["truth"]
            record = {"messages": turns, **pick_present(row, "images", "videos"), "solution": solution}
            record |= {key: row[key] for key in KEPT} | pick_present(row, "options", "truth")
            files.write(f"{snapshot.name}_{kind}.jsonl", record)
    return dict(files.counts)
