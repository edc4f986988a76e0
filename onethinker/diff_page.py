"""The difference of two snapshots as one HTML page: what changed, why, and old and new traces side by side."""

from itertools import groupby
from pathlib import Path

from corpus.snapshots.diff import Diff
from onethinker.html_page import write_page


def write(diff: Diff, path: Path, *, limit: int) -> None:
    """Write the page, with at most `limit` rows of each kind of change."""
    shown = {}
    for change, rows in groupby(diff.changes.to_pylist(), key=lambda row: row["change"]):
        every = list(rows)
        shown[change] = (len(every), every[:limit])
    write_page(
        path,
        "diff.html",
        old=diff.old,
        new=diff.new,
        shown=shown,
        summary=diff.summary().to_pylist(),
        shifts=diff.shifts.to_pylist(),
    )
