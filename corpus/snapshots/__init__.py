"""Dataset versions: rows frozen once as Parquet with a manifest, under a name and a version, and never changed.

    snapshots/NAME@V/manifest.json         the files with their SHA-256s, the fingerprint, the counts
    snapshots/NAME@V/recipe.yaml           what chose the rows
    snapshots/NAME@V/rows-00000.parquet …  the rows in order, sample, trace and verdict together

Trainers and the Hub read those files; the tables `snapshots`, `snapshot_rows` and `snapshot_drops` say the same in SQL.
"""

from corpus.snapshots.snapshot import Snapshot
from corpus.snapshots.versions import Snapshots

__all__ = ["Snapshot", "Snapshots"]
