"""`onethinker compact`: merge small files and let go of history that no snapshot needs."""

from typing import Annotated

from cyclopts import Parameter

from corpus import Corpus
from onethinker.options import DEFAULT_CORPUS, CorpusUrl


def compact(
    *,
    keep_hours: Annotated[float, Parameter(name="--keep-hours")] = 24.0,
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> None:
    """Merge small data files and expire the lake's history; no snapshot is ever touched by it.

    Example: `onethinker compact`

    Parameters
    ----------
    keep_hours
        Keep all history of the last so many hours, for readers that are at work; 0 keeps only what snapshots need.
    """
    from corpus.maintenance import compact as run

    with Corpus.open(corpus) as opened:
        done = run(opened, keep_hours=keep_hours)
    print(f"data files: {done.files_before:,} → {done.files_after:,}")
    print(f"bytes: {done.bytes_before:,} → {done.bytes_after:,}")
    print(f"lake history: {done.lake_snapshots_expired:,} states expired, {done.lake_snapshots_kept:,} kept")
    if done.leftovers_removed:
        print(f"removed {done.leftovers_removed:,} leftovers of work that was killed")
