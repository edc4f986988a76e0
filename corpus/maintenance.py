"""Compaction that never breaks a snapshot: merge small data files, expire lake history that no snapshot needs.

Frozen snapshots have their own files, which nothing here writes to. `Corpus.open(…, at="name@1")` needs the lake's
history of the moment each was made: those lake snapshots are never expired, and only expiry frees a data file.
`rewrite_data_files` is never called: it can corrupt older lake snapshots (ducklake issue 1406).
"""

import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from corpus import checksums
from corpus.errors import OneThinkerError, UsageError
from corpus.integrity import lake_file_damage, list_lake_files
from corpus.ranges import Range

if TYPE_CHECKING:
    from corpus.store import Corpus

MERGE_BELOW_BYTES = 32 << 20  # merging large files again and again costs much and gains nothing (measured)
KEEP_HOURS = 24.0
KEEP_HOURS_RANGE = Range(0, 100 * 365 * 24)


@dataclass(frozen=True)
class CompactResult:
    """Data files and their bytes before and after a compaction, and how much was expired, kept and removed."""

    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    lake_snapshots_expired: int
    lake_snapshots_kept: int
    leftovers_removed: int


def compact(corpus: "Corpus", *, keep_hours: float = KEEP_HOURS) -> CompactResult:
    """Merge the data files under 32 MiB, expire the lake's history, and remove the files that nothing needs any more.

    Kept are the current state, the state at every snapshot, and all states of the last `keep_hours` hours, so readers
    that started within that time are not disturbed. Folders left by a killed freeze, deletion or publication are
    removed. Raises UsageError for hours out of range.
    """
    if problem := KEEP_HOURS_RANGE.problem(keep_hours):
        raise UsageError(f"--keep-hours {problem}; 0 keeps only what snapshots need")
    with corpus.run("compact", {"keep_hours": keep_hours}) as run:
        before = _measure_files(corpus)
        since = datetime.now(UTC) - timedelta(hours=keep_hours)
        with corpus.exclusive_connection() as connection:
            _require_whole_files(corpus)
            merge = "call ducklake_merge_adjacent_files('lake', max_file_size => ?)"
            connection.execute(merge, [MERGE_BELOW_BYTES]).fetchall()
            needed = [snapshot.lake_snapshot for snapshot in corpus.snapshots.list()]
            history = connection.execute(
                """select snapshot_id, snapshot_time < $since and snapshot_id not in (select unnest($needed::bigint[]))
                          and snapshot_id <> max(snapshot_id) over () as is_expired from lake.snapshots()""",
                {"since": since, "needed": needed},
            ).fetchall()
            expired = [number for number, is_expired in history if is_expired]
            if expired:
                connection.execute("call ducklake_expire_snapshots('lake', versions => ?::ubigint[])", [expired])
            if keep_hours:
                # In a SQLite catalog times are text and compare by day alone (DuckDB 1.5.5): use the day before.
                day_before = datetime.combine(since.date() - timedelta(days=1), time(12), UTC)
                connection.execute("call ducklake_cleanup_old_files('lake', older_than => ?)", [day_before])
            else:
                connection.execute("call ducklake_cleanup_old_files('lake', cleanup_all => true)")
            # Files of killed writers; those of a live one are younger than a day.
            stray = min(since, datetime.now(UTC) - timedelta(hours=KEEP_HOURS))
            connection.execute("call ducklake_delete_orphaned_files('lake', older_than => ?)", [stray])
            checksums.forget_missing(corpus.root)
            leftovers = _remove_leftovers(corpus)
        after = _measure_files(corpus)
        done = CompactResult(
            files_before=before[0],
            files_after=after[0],
            bytes_before=before[1],
            bytes_after=after[1],
            lake_snapshots_expired=len(expired),
            lake_snapshots_kept=len(history) - len(expired),
            leftovers_removed=leftovers,
        )
        run.counts.update({"files before": before[0], "files after": after[0], "lake snapshots expired": len(expired)})
    return done


def _require_whole_files(corpus: "Corpus") -> None:
    """Raise OneThinkerError if a file to merge is damaged: merged, it would get a new SHA-256."""
    sums = checksums.load(corpus.root)
    for file in list_lake_files(corpus):
        if file.size_bytes <= MERGE_BELOW_BYTES and (why := lake_file_damage(corpus.root, file, sums.get(file.path))):
            raise OneThinkerError(
                f"{file.path} (table {file.table}, {file.rows:,} rows) is damaged: {why}; nothing was merged. "
                "`onethinker check` names all damage; bring the file back from a copy"
            )


def _measure_files(corpus: "Corpus") -> tuple[int, int]:
    """The number of data files and their bytes."""
    sizes = [path.stat().st_size for path in (corpus.root / "data").rglob("*.parquet")]
    return len(sizes), sum(sizes)


def _remove_leftovers(corpus: "Corpus") -> int:
    """Remove folders and cached files of versions that do not exist; the caller holds the write lock."""
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
