"""EasyR1: a JSON list of questions for RL, with the columns that its config names by default, and media by path.

Train with `data.prompt_key=problem data.answer_key=answer data.image_key=images data.video_key=videos` and
`data.image_dir` set to this folder. `problem` is the prompt with its answer format; `answer` is the answer's body, as
the reward function gets it. One row a sample: the traces are for SFT.
"""

from pathlib import Path

from corpus.exports._media import JsonFiles, iter_rows, pick_present
from corpus.snapshots import Snapshot

KEPT = ("sample_id", "problem_type", "data_type", "task", "source")


def export(snapshot: Snapshot, out: Path) -> dict[str, int]:
    """Write the layout into `out`; returns the number of rows in each JSON file."""
    seen: set[str] = set()
    with JsonFiles(out) as files:
        for kind, row in iter_rows(snapshot, out, [*KEPT, "prompt", "answer", "truth"]):
            if row["sample_id"] in seen:
                continue
            seen.add(row["sample_id"])
            answer = row["answer"] if row["answer"] is not None else row["truth"]
            question = {"problem": row["prompt"], "answer": answer, **pick_present(row, "images", "videos")}
            files.write(f"{snapshot.name}_{kind}.json", {**question, **{key: row[key] for key in KEPT}})
    return dict(files.counts)
