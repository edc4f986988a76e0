"""Exports to other trainers' layouts: one file each, found by its name; `export(snapshot, out) -> counts` writes it."""

import shutil
from collections.abc import Callable
from pathlib import Path

from corpus import discovery
from corpus.errors import OneThinkerError, UsageError, near
from corpus.snapshots import Snapshot


def formats() -> list[str]:
    """The names of the layouts that a snapshot can be exported to."""
    return discovery.names(__name__)


def export(snapshot: Snapshot, format: str, out: Path) -> dict[str, int]:
    """Write `snapshot` in another trainer's layout into the folder `out`; returns rows per file written.

    Raises UsageError, with near names, for an unknown layout, OneThinkerError if `out` holds files.
    """
    if format not in formats():
        raise UsageError(f"no export format '{format}'{near(format, formats())}")
    mark = out.absolute().with_name(f".{out.absolute().name}.making")
    if mark.exists():  # an export was killed: what lies there is ours, and half
        shutil.rmtree(out, ignore_errors=True)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OneThinkerError(f"{out} is not an empty folder; name another, or empty it first")
    write: Callable[[Snapshot, Path], dict[str, int]] = discovery.modules(__name__)[format].export
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    try:  # in its place: some layouts hold absolute paths
        return write(snapshot, out)
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise
    finally:
        mark.unlink(missing_ok=True)
