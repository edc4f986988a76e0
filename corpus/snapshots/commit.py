"""How a version comes into being: files in a draft folder, the folder moved into place, then one commit of its rows.

Killed at any moment, there is either no version or a whole one.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from corpus.lake import Transaction


@dataclass(frozen=True)
class DraftFolder:
    """A version's folder while its files are written; `finish` moves it to where the version will be."""

    folder: Path
    final: Path

    def finish(self, manifest: dict[str, Any], recipe: str) -> None:
        """Add the recipe and the manifest, and move the folder into place."""
        (self.folder / "recipe.yaml").write_text(recipe)
        (self.folder / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
        shutil.rmtree(self.final, ignore_errors=True)  # left by a run that died between the move and its commit
        self.folder.rename(self.final)


@contextmanager
def draft_folder(root: Path, ref: str) -> Iterator[DraftFolder]:
    """An empty folder for the files of the version `ref` (`name@version`), removed if the block does not finish it."""
    made = DraftFolder(root / f".{ref}.making", root / ref)
    shutil.rmtree(made.folder, ignore_errors=True)
    made.folder.mkdir()
    try:
        yield made
    finally:
        shutil.rmtree(made.folder, ignore_errors=True)


def register(
    tx: Transaction,
    manifest: dict[str, Any],
    recipe: str,
    lake_snapshot: int,
    picks: pa.Table,
    drops: pa.Table | None,
    **provenance: Any,
) -> None:
    """Add a version to the tables `snapshots`, `snapshot_rows` and `snapshot_drops`.

    `provenance` overrides `run_id` and `created_at`, which are otherwise the transaction's.
    """
    name, version = manifest["name"], manifest["version"]
    row = {
        "name": name,
        "version": version,
        "lake_snapshot": lake_snapshot,
        "recipe": recipe,
        "rows": manifest["rows"],
        "counts": list(manifest["counts"].items()),
        "manifest": orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS).decode(),
        "fingerprint": manifest["fingerprint"],
        "parent": manifest["parent"],
        "code_version": manifest["code_version"],
        **provenance,
    }
    tx.append("snapshots", [row])
    rows = _add_version(picks, name, version).append_column("position", pa.array(range(len(picks))))
    tx.append("snapshot_rows", rows)
    if drops is not None and len(drops):
        tx.append("snapshot_drops", _add_version(drops.select(["sample_id", "trace_id", "reason"]), name, version))


def _add_version(rows: pa.Table, name: str, version: int) -> pa.Table:
    count = len(rows)
    return rows.append_column("name", pa.array([name] * count)).append_column(
        "version", pa.array([version] * count, pa.int32())
    )
