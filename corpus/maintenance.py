"""Housekeeping that can never break a snapshot: small files merged, lake history that nobody needs let go.

Frozen snapshots have files of their own, which nothing here writes to. What keeps `Corpus.open(…, at="name@1")` working
is the lake's history at the moment each was made: those lake snapshots are never expired, and expiry is what frees a
data file. `rewrite_data_files` is never called: it can corrupt older lake snapshots (ducklake issue 1406).
"""

import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from corpus.errors import UsageError

if TYPE_CHECKING:
    from corpus.store import Corpus

MERGE_BELOW_BYTES = 32 << 20  # merging large files again and again costs much and gains nothing (measured)
KEEP_HOURS = 24.0


@dataclass(frozen=True)
class Compacted:
    """What a compaction did: data files and their bytes before and after, and how much of what was let go."""

    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    lake_snapshots_expired: int
    lake_snapshots_kept: int
    leftovers_removed: int


def compact(corpus: "Corpus", *, keep_hours: float = KEEP_HOURS) -> Compacted:
    """Merge the data files under 32 MiB, expire the lake's history, and remove the files that nothing needs then.

    Kept are the current state, the state at every snapshot, and all of the last `keep_hours` hours: readers that
    began within that time go on undisturbed. Also removed: folders that a killed freeze, deletion or publication
    left. Raises UsageError for negative hours.
    """
    if keep_hours < 0:
        raise UsageError(f"--keep-hours cannot be {keep_hours:g}: 0 keeps only what snapshots need")
    with corpus.run("compact", {"keep_hours": keep_hours}) as run:
        before = _size(corpus)
        since = datetime.now(UTC) - timedelta(hours=keep_hours)
        with corpus.exclusive_connection() as connection:
            merge = "call ducklake_merge_adjacent_files('lake', max_file_size => ?)"
            connection.execute(merge, [MERGE_BELOW_BYTES]).fetchall()
            needed = [snapshot.lake_snapshot for snapshot in corpus.snapshots.list()]
            history = connection.execute(
                """select snapshot_id, snapshot_time < $since and snapshot_id not in (select unnest($needed::bigint[]))
                          and snapshot_id <> max(snapshot_id) over () as goes from lake.snapshots()""",
                {"since": since, "needed": needed},
            ).fetchall()
            expired = [number for number, goes in history if goes]
            if expired:
                connection.execute("call ducklake_expire_snapshots('lake', versions => ?::ubigint[])", [expired])
            if keep_hours:
                # In a SQLite catalog times are text and compare by their day alone (DuckDB 1.5.5): name the day before.
                day_before = datetime.combine(since.date() - timedelta(days=1), time(12), UTC)
                connection.execute("call ducklake_cleanup_old_files('lake', older_than => ?)", [day_before])
            else:
                connection.execute("call ducklake_cleanup_old_files('lake', cleanup_all => true)")
            # Files of writers that were killed; one that is writing now is younger than a day.
            stray = min(since, datetime.now(UTC) - timedelta(hours=KEEP_HOURS))
            connection.execute("call ducklake_delete_orphaned_files('lake', older_than => ?)", [stray])
            leftovers = _remove_leftovers(corpus)
        after = _size(corpus)
        done = Compacted(*_paired(before, after), len(expired), len(history) - len(expired), leftovers)
        run.counts.update({"files before": before[0], "files after": after[0], "lake snapshots expired": len(expired)})
    return done


def _paired(before: tuple[int, int], after: tuple[int, int]) -> tuple[int, int, int, int]:
    return before[0], after[0], before[1], after[1]


def _size(corpus: "Corpus") -> tuple[int, int]:
    sizes = [path.stat().st_size for path in (corpus.root / "data").rglob("*.parquet")]
    return len(sizes), sum(sizes)


def _remove_leftovers(corpus: "Corpus") -> int:
    """Frozen folders and cached files of versions that there are not; the writer's lock is held."""
    refs = {snapshot.ref for snapshot in corpus.snapshots.list()}
    removed = 0
    for folder in (corpus.root / "snapshots").iterdir():
        if folder.name not in refs:
            shutil.rmtree(folder)
            removed += 1
    for path in (corpus.root / "cache").glob("*"):
        found = re.match(r"(?:publish-)?(.+@\d+)-[0-9a-f]+", path.name)
        if found and found[1] not in refs:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            removed += 1
    return removed
