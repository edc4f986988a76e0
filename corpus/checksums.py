"""SHA-256s of the lake's data files, in the file SHA256SUMS of the corpus, which `sha256sum -c` reads too.

A file's line is on disk before the commit that makes the file part of the lake: a process killed in between leaves a
line too many, never a file without one. It is a file and not a table, whose own data files would need lines as well.
Files of corpora that are older than this get their line when `check` first reads them.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from corpus.media.store import sha256_of

SUMS_FILE = "SHA256SUMS"


def list_data_files(root: Path) -> set[str]:
    """The paths, relative to the corpus at `root`, of all Parquet files in the lake's folder."""
    return {
        str(Path(folder, name).relative_to(root))
        for folder, _, names in os.walk(root / "data")
        for name in names
        if name.endswith(".parquet")
    }


def load(root: Path) -> dict[str, str]:
    """The recorded SHA-256 by path; of several lines for a path the first counts, and broken lines are left out."""
    try:
        lines = (root / SUMS_FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    sums: dict[str, str] = {}
    for line in lines:
        sha256, _, path = line.partition("  ")
        if len(sha256) == 64 and path:
            sums.setdefault(path, sha256)
    return sums


def record(root: Path, paths: Iterable[str]) -> None:
    """Add the lines of files that were just written; the caller holds the write lock."""
    present = [path for path in sorted(paths) if (root / path).exists()]
    lines = "".join(f"{sha256_of(root / path)}  {path}\n" for path in present)
    if not lines:
        return
    with open(root / SUMS_FILE, "ab+") as file:
        if file.tell() and not _ends_line(root / SUMS_FILE):  # a writer was killed within its line
            lines = "\n" + lines
        file.write(lines.encode())
        file.flush()
        os.fsync(file.fileno())


def forget_missing(root: Path) -> None:
    """Drop the lines of files that are gone; the caller holds the write lock."""
    lines = [f"{sha256}  {path}\n" for path, sha256 in load(root).items() if (root / path).exists()]
    draft = root / f".{SUMS_FILE}.making"
    draft.write_text("".join(lines), encoding="utf-8")
    draft.replace(root / SUMS_FILE)


def _ends_line(path: Path) -> bool:
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
