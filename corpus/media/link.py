"""Stored media under names and in folders that other programs expect."""

import os
import shutil
from pathlib import Path

import filetype


def name_with_suffix(stored: Path) -> str:
    """A stored medium's name with the suffix that its bytes call for."""
    kind = filetype.guess(stored)
    return stored.name + (f".{kind.extension}" if kind else "")


def link(stored: Path, target: Path) -> None:
    """Put a stored file at `target`, as a hard link if the file system allows, else as a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        try:
            os.link(stored, target)
        except OSError:
            shutil.copyfile(stored, target)
