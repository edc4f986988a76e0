"""Shared by the layouts: rows with their media linked into the export's folder, and JSON files written row by row."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from corpus.media import MediaStore
from corpus.media.link import link, name_with_suffix
from corpus.snapshots import Snapshot


def iter_rows(snapshot: Snapshot, out: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each row with its modality (`image`, `video`, `mixed` or `text`).

    Besides `columns` and `media`, a row has `paths`, the media's paths relative to `out` in their order, and `images`
    and `videos`, the same by kind. Media lie under `out/media` with the suffix that their bytes call for, hard-linked
    if the file system allows.
    """
    store = MediaStore(str(snapshot.media_root))
    (out / "media").mkdir(parents=True)
    names: dict[str, str] = {}
    for batch in snapshot.batches([*columns, "media"], rows=1_000):
        for row in batch.to_pylist():
            for sha256 in (medium["sha256"] for medium in row["media"]):
                if sha256 not in names:
                    names[sha256] = _link(store.path(sha256), out)
            row["paths"] = [names[medium["sha256"]] for medium in row["media"]]
            for kind in ("image", "video"):
                row[f"{kind}s"] = [names[medium["sha256"]] for medium in row["media"] if medium["kind"] == kind]
            yield modality(row), row


def modality(row: dict[str, Any]) -> str:
    """`image` or `video` if all its media are of that kind, else `mixed`; `text` without media."""
    kinds = {medium["kind"] for medium in row["media"]}
    return kinds.pop() if len(kinds) == 1 else "mixed" if kinds else "text"


def _link(stored: Path, out: Path) -> str:
    name = f"media/{name_with_suffix(stored)}"
    link(stored, out / name)
    return name


class JsonFiles:
    """JSON lists (or, with `lines`, JSONL) that grow row by row, closed at the end of the `with` block."""

    def __init__(self, out: Path, *, lines: bool = False) -> None:
        self._out, self._lines = out, lines
        self._files: dict[str, TextIO] = {}
        self._stack = ExitStack()
        self.counts: Counter[str] = Counter()

    def __enter__(self) -> "JsonFiles":
        return self

    def __exit__(self, *_: object) -> None:
        if not self._lines:
            for file in self._files.values():
                file.write("\n]\n")
        self._stack.close()

    def write(self, name: str, row: dict[str, Any]) -> None:
        """Add a row to the file `name`."""
        if name not in self._files:
            self._files[name] = self._stack.enter_context((self._out / name).open("w", encoding="utf-8"))
        file = self._files[name]
        if not self._lines:
            file.write(",\n" if self.counts[name] else "[\n")
        json.dump(row, file, ensure_ascii=False)
        if self._lines:
            file.write("\n")
        self.counts[name] += 1


def pick_present(row: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The `keys` of a row that are not empty: loaders take an empty list of videos for a video to load."""
    return {key: row[key] for key in keys if row[key]}
