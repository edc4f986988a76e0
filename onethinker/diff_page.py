"""The difference of two snapshots as one HTML page: what changed, why, and the old and new trace side by side."""

from itertools import groupby
from pathlib import Path

from corpus.snapshots.diff import Diff
from onethinker.demo.page import environment


def write(diff: Diff, path: Path, *, limit: int) -> None:
    """Write the page, with at most `limit` rows of each kind of change."""
    shown = {}
    for change, rows in groupby(diff.changes.to_pylist(), key=lambda row: row["change"]):
        every = list(rows)
        shown[change] = (len(every), every[:limit])
    html = (
        environment()
        .get_template("diff.html")
        .render(
            old=diff.old, new=diff.new, shown=shown, summary=diff.summary().to_pylist(), shifts=diff.shifts.to_pylist()
        )
    )
    path.write_text(html, encoding="utf-8")
