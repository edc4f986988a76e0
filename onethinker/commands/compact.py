"""`onethinker compact`: merge small data files and expire history that no snapshot needs."""

from typing import Annotated

from cyclopts import Parameter

from corpus import Corpus
from corpus.maintenance import KEEP_HOURS_RANGE
from onethinker.options import DEFAULT_CORPUS, CorpusUrl


def compact(
    *,
    keep_hours: Annotated[float, Parameter(name="--keep-hours", validator=KEEP_HOURS_RANGE)] = 24.0,
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> None:
    """Merge small data files and expire the lake's history; snapshots are never touched.

    Example: `onethinker compact --corpus demo/corpus`

    Parameters
    ----------
    keep_hours
        Keep this many hours of history, for readers that are still open; 0 keeps only what snapshots need.
    """
    from corpus.maintenance import compact as run

    with Corpus.open(corpus) as opened:
        done = run(opened, keep_hours=keep_hours)
    print(f"data files: {done.files_before:,} → {done.files_after:,}")
    print(f"bytes: {done.bytes_before:,} → {done.bytes_after:,}")
    if done.bytes_after > done.bytes_before:
        kept = "the snapshots" if keep_hours == 0 else f"the snapshots and readers of the last {keep_hours:g} hours"
        later = "" if keep_hours == 0 else "; `--keep-hours 0` removes what only those readers need"
        print(
            f"the folder grew by {done.bytes_after - done.bytes_before:,} bytes: "
            f"merged files were written, and the old ones stay for {kept}{later}"
        )
    print(f"lake history: {done.lake_snapshots_expired:,} states expired, {done.lake_snapshots_kept:,} kept")
    if done.leftovers_removed:
        print(f"removed {done.leftovers_removed:,} leftover files of killed runs")
