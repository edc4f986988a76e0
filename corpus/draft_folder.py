"""A folder that appears whole or not at all: written beside its place, moved there at the end."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def write_whole(folder: Path) -> Iterator[Path]:
    """An empty folder to write into, which becomes `folder` at the end of the block; removed if the block fails.

    `folder` must be empty or not exist. What a killed process left of an earlier attempt is removed first.
    """
    draft = folder.absolute().with_name(f".{folder.absolute().name}.making")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
        if folder.exists():
            folder.rmdir()
        draft.rename(folder.absolute())
    finally:
        shutil.rmtree(draft, ignore_errors=True)
