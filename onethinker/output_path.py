"""Whether a path that a flag names can be written to, checked before any work is done for it.

The functions are validators for cyclopts' `Parameter`: it prints a ValueError beside the flag's name and exits with 2.
"""

import os
from pathlib import Path
from typing import Any


def writable_file(_: Any, path: Path | None) -> None:
    """Raises ValueError, naming the path, if no file can be written there."""
    if path is None:
        return
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a file, as {path / 'page.html'}.")
    _check_parents(path)


def writable_folder(_: Any, path: Path | None) -> None:
    """Raises ValueError, naming the path, if it is a file or no folder can be made there."""
    if path is None:
        return
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file; name a folder.")
    _check_parents(path / "file")


def _check_parents(path: Path) -> None:
    parent = path.absolute().parent
    while not os.path.lexists(parent):
        parent = parent.parent
    if not parent.is_dir():
        raise ValueError(f"{path} cannot be written: {parent} is not a folder.")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise ValueError(f"{path} cannot be written: the folder {parent} may not be written to.")
