"""LLaMA-Factory: sharegpt JSON in the OpenAI style, with dataset_info.json, as its data/README.md describes.

One file for rows with images and one for rows with videos, as in the OneThinker release. Media lie beside them
under `media/`; paths are relative to the folder, to which `dataset_dir` and `media_dir` are set.
"""

import json
from pathlib import Path

from corpus.exports._media import JsonFiles, iter_rows, pick_present
from corpus.snapshots import Snapshot

TAGS = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
COLUMNS = {"image": ["images"], "video": ["videos"], "mixed": ["images", "videos"], "text": []}


def export(snapshot: Snapshot, out: Path) -> dict[str, int]:
    """Write the layout into `out`; returns the number of rows in each JSON file."""
    info = {}
    with JsonFiles(out) as files:
        for kind, row in iter_rows(snapshot, out, ["prompt", "response"]):
            name = f"{snapshot.name}_{kind}"
            turns = [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["response"]}]
            files.write(f"{name}.json", {"messages": turns, **pick_present(row, "images", "videos")})
            info[name] = {
                "file_name": f"{name}.json",
                "formatting": "sharegpt",
                "columns": {"messages": "messages", **{column: column for column in COLUMNS[kind]}},
                "tags": TAGS,
            }
    (out / "dataset_info.json").write_text(json.dumps(info, indent=2) + "\n")
    return dict(files.counts)
