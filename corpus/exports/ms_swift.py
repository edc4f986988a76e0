"""ms-swift: JSONL of messages with `images` and `videos`, and `solution` for its GRPO rewards.

`swift sft --dataset NAME_image.jsonl` run in this folder, or with ROOT_IMAGE_DIR set to it, finds the media. Extra
columns reach an ORM plug-in as they are: `solution` is the answer's body, `options` and `truth` are there where a row
has them, since our reward wants to know them.
"""

from pathlib import Path

from corpus.exports._media import JsonFiles, held, rows
from corpus.snapshots import Snapshot

KEPT = ("sample_id", "problem_type", "data_type", "task")


def export(snapshot: Snapshot, out: Path) -> dict[str, int]:
    """Write the layout into `out`; returns the number of rows in each file."""
    with JsonFiles(out, lines=True) as files:
        for kind, row in rows(snapshot, out, [*KEPT, "prompt", "response", "answer", "truth", "options"]):
            turns = [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["response"]}]
            solution = row["answer"] if row["answer"] is not None else row["truth"]
            told = {"messages": turns, **held(row, "images", "videos"), "solution": solution}
            told |= {key: row[key] for key in KEPT} | held(row, "options", "truth")
            files.write(f"{snapshot.name}_{kind}.jsonl", told)
    return dict(files.counts)
