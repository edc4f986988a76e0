"""LLaMA-Factory: sharegpt JSON in the OpenAI style, with dataset_info.json, as its data/README.md describes.

One file for rows with images and one for rows with videos, as the OneThinker release has it. Media lie beside them
under `media/` with their extensions, hard-linked where the file system allows; paths are relative to the folder, which
is what LLaMA-Factory's `dataset_dir` (and `media_dir`) is set to.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

import filetype

from corpus.media import MediaStore
from corpus.snapshots import Snapshot

TAGS = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}


def export(snapshot: Snapshot, out: Path) -> dict[str, int]:
    """Write the layout into `out`; returns the number of rows in each JSON file."""
    media = MediaStore(str(snapshot.media_root))
    (out / "media").mkdir(parents=True)
    counts: dict[str, int] = {}
    with ExitStack() as stack:
        files: dict[str, TextIO] = {}
        for kind, row in _rows(snapshot, media, out):
            name = f"{snapshot.name}_{kind}"
            if name not in files:
                files[name] = stack.enter_context((out / f"{name}.json").open("w", encoding="utf-8"))
            files[name].write(",\n" if name in counts else "[\n")
            json.dump(row, files[name], ensure_ascii=False)
            counts[name] = counts.get(name, 0) + 1
        for file in files.values():
            file.write("\n]\n")
    info = {
        name: {
            "file_name": f"{name}.json",
            "formatting": "sharegpt",
            "columns": {"messages": "messages", **_media_column(name)},
            "tags": TAGS,
        }
        for name in counts
    }
    (out / "dataset_info.json").write_text(json.dumps(info, indent=2) + "\n")
    return {f"{name}.json": n for name, n in counts.items()}


def _media_column(name: str) -> dict[str, str]:
    kind = name.rpartition("_")[2]
    return {"image": {"images": "images"}, "video": {"videos": "videos"}}.get(
        kind, {"images": "images", "videos": "videos"}
    )


def _rows(snapshot: Snapshot, media: MediaStore, out: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for batch in snapshot.batches(["prompt", "response", "media"], rows=1_000):
        for row in batch.to_pylist():
            paths: dict[str, list[str]] = {}
            for medium in row["media"]:
                paths.setdefault(f"{medium['kind']}s", []).append(_linked(media.path(medium["sha256"]), out))
            kinds = sorted(paths)
            turns = [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["response"]}]
            kind = kinds[0][:-1] if len(kinds) == 1 else "mixed"
            yield kind, {"messages": turns, **paths}


def _linked(stored: str | Path, out: Path) -> str:
    """The medium's path in the export, relative to it; LLaMA-Factory tells videos and images by key, users by name."""
    stored = Path(stored)
    kind = filetype.guess(stored)
    name = f"media/{stored.name}" + (f".{kind.extension}" if kind else "")
    target = out / name
    if not target.exists():
        try:
            os.link(stored, target)
        except OSError:
            shutil.copyfile(stored, target)
    return name
