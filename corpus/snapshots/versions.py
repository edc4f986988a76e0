"""The versions of one corpus: freeze, install from elsewhere, list, get by name, delete."""

import re
import shutil
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.code_version import code_version
from corpus.errors import OneThinkerError, UsageError, near
from corpus.lake import Lake, Transaction
from corpus.notebook import html_table
from corpus.runs import Run, record_run
from corpus.snapshots.commit import draft_folder, register
from corpus.snapshots.freeze import read_rows
from corpus.snapshots.row_format import write_files
from corpus.snapshots.snapshot import Snapshot

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


def require_name(name: str) -> None:
    """Raises UsageError unless `name` can name a snapshot: it becomes a folder's name and stands before an `@`."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' cannot name a snapshot: letters, digits, '.', '_' and '-' (96 at most), letter or digit first"
        )


class Snapshots:
    """The dataset versions of one corpus."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._root = lake.root / "snapshots"

    def __repr__(self) -> str:
        return "Snapshots(" + ", ".join(f"{ref}: {rows:,} rows" for ref, rows, *_ in self._summarize()) + ")"

    def _repr_html_(self) -> str:
        return html_table("snapshots", ("snapshot", "rows", "tasks", "made"), self._summarize())

    def _summarize(self) -> Sequence[tuple[str, int, str, str]]:
        """Name, rows, rows by task and day of each version, without reading its manifest."""
        found = self._lake.sql(
            """select name || '@' || version, "rows", coalesce(array_to_string(
                          [entry.key || ' ' || entry.value for entry in map_entries(counts)], ', '), ''),
                      strftime(created_at, '%Y-%m-%d') from snapshots order by name, version"""
        )
        return found.fetchall()

    def list(self) -> list[Snapshot]:
        """Every version, by name and number."""
        found = self._lake.sql("from snapshots order by name, version")
        return [self._load(dict(zip(found.columns, row, strict=True))) for row in found.fetchall()]

    def get(self, ref: str) -> Snapshot:
        """The snapshot that `name@version` names; without `@version` the newest of that name.

        Raises OneThinkerError, with near names, if there is none, and UsageError if the version is not a number.
        """
        name, _, version = ref.partition("@")
        if version and not version.lstrip("v").isdigit():
            raise UsageError(f"'{ref}' names no snapshot: a number follows the @, as in {name}@1")
        known = [s for s in self.list() if s.name == name]
        for snapshot in reversed(known):
            if not version or snapshot.version == int(version.lstrip("v")):
                return snapshot
        refs = [s.ref for s in (known or self.list())]
        raise OneThinkerError(
            f"no snapshot '{ref}'{near(ref, refs)}" + ("" if refs else "; `onethinker select` makes one")
        )

    def freeze(
        self,
        name: str,
        picks: pa.Table,
        *,
        profile: str,
        recipe: str,
        run: Run,
        drops: pa.Table | None = None,
        parent: str | None = None,
    ) -> Snapshot:
        """Write the picked (sample_id, trace_id) pairs, in their order, as the next version of `name`.

        `drops` holds (sample_id, trace_id, reason) of what was not picked. If the newest version of `name` has the
        same rows and recipe, that one is returned and nothing is written. Raises UsageError for an invalid name and
        OneThinkerError for no rows, or for a pair without a verdict under `profile`.
        """
        require_name(name)
        if not len(picks):
            raise OneThinkerError(f"no row was picked for '{name}': nothing to freeze (the drops say why, by reason)")
        picks = picks.select(["sample_id", "trace_id"])
        with run.transaction(f"freeze {name}") as tx:
            newest = tx.sql("select max(version) from lake.snapshots where name = ?", [name]).fetchone()
            version = 1 + (newest[0] or 0 if newest else 0)  # a deleted version keeps its number
            with draft_folder(self._root, f"{name}@{version}") as made:
                manifest = write_files(read_rows(tx, picks, profile, made.folder), profile, made.folder)
                same = self._newest(name)
                if same and (same.fingerprint, same.recipe) == (manifest["fingerprint"], recipe):
                    return same
                lake_snapshot = tx.sql("select id from lake.current_snapshot()").fetchall()[0][0]
                manifest |= {"name": name, "version": version, "parent": parent, "code_version": code_version()}
                made.finish(manifest, recipe)
            register(tx, manifest, recipe, lake_snapshot, picks, drops)
        return self.cache(f"{name}@{version}")

    def check_free(self, name: str, version: int) -> None:
        """Raise OneThinkerError if the corpus has, or had, this version, UsageError if the name cannot be one."""
        require_name(name)
        query = "select 1 from lake.snapshots where name = ? and version = ?"
        if self._lake.sql(query, [name, version]).fetchone():
            raise OneThinkerError(f"this corpus has, or had, another {name}@{version}; pull into a corpus of its own")

    def install(
        self,
        batches: Iterable[pa.RecordBatch],
        *,
        metadata: dict[str, Any],
        recipe: str,
        tx: Transaction,
        drops: pa.Table,
    ) -> None:
        """Write rows frozen elsewhere, a pulled dataset, as the version that `metadata` names, within `tx`.

        `metadata` holds name, version, profile, parent, fingerprint, code_version, run_id and created_at (ISO 8601).
        The same transaction adds the rows' samples, traces and verdicts, and its lake snapshot is the version's. Raises
        OneThinkerError if the rows' fingerprint differs from the one in `metadata`, or the corpus has another version
        of that name and number.
        """
        require_name(metadata["name"])
        ref = f"{metadata['name']}@{metadata['version']:d}"
        with draft_folder(self._root, ref) as made:
            manifest = write_files(batches, metadata["profile"], made.folder)
            if manifest["fingerprint"] != metadata["fingerprint"]:
                raise OneThinkerError(
                    f"{ref}: the rows' fingerprint is {manifest['fingerprint'][:12]}…, it was published as "
                    f"{metadata['fingerprint'][:12]}…: they are not the rows that were frozen"
                )
            query = "select fingerprint from lake.snapshots where name = ? and version = ?"
            if tx.sql(query, [metadata["name"], metadata["version"]]).fetchone():
                raise OneThinkerError(f"this corpus has, or had, another {ref}; pull into a corpus of its own")
            # The one that this commit makes: the writer holds the lock, so nothing comes between.
            lake_snapshot = 1 + tx.sql("select id from lake.current_snapshot()").fetchall()[0][0]
            manifest |= {key: metadata[key] for key in ("name", "version", "parent", "code_version")}
            made.finish(manifest, recipe)
        picks = pa.concat_tables(
            pa.table(pq.read_table(self._root / ref / file["path"], columns=["sample_id", "trace_id"]))
            for file in manifest["files"]
        )
        provenance = {"run_id": metadata["run_id"], "created_at": datetime.fromisoformat(metadata["created_at"])}
        register(tx, manifest, recipe, lake_snapshot, picks, drops, **provenance)

    def delete(self, ref: str) -> Snapshot:
        """Delete a version and its frozen files; its number is not used again. Returns the deleted version.

        The catalog only grows: the run of kind `delete` hides the version from the views `snapshots`, `snapshot_rows`
        and `snapshot_drops`. After a kill midway the version is gone, and `compact` removes its files.
        """
        snapshot = self.get(ref)
        with record_run(self._lake, "delete", {"snapshot": snapshot.ref}):
            shutil.rmtree(snapshot.folder, ignore_errors=True)
            for path in (self._lake.root / "cache").glob(f"{snapshot.ref}-*"):
                path.unlink(missing_ok=True)
        return snapshot

    def referrers(self, snapshot: Snapshot) -> Sequence[str]:
        """One line for each version made from `snapshot` and each run whose configuration names it."""
        ref = snapshot.ref
        children = [f"snapshot {s.ref} names it as its parent" for s in self.list() if s.parent == ref]
        runs = self._lake.sql(
            """select run_id, kind from runs where kind <> 'delete'
               and regexp_matches(config, '[^A-Za-z0-9._-]' || regexp_escape(?) || '[^0-9]') order by started_at""",
            [ref],
        ).fetchall()
        return children + [f"run {run_id} ({kind}) used it" for run_id, kind in runs]

    def cache(self, ref: str) -> Snapshot:
        """The version, with the file written that its `dataset` reads."""
        snapshot = self.get(ref)
        snapshot.write_cache()
        return snapshot

    def _newest(self, name: str) -> Snapshot | None:
        return next((s for s in reversed(self.list()) if s.name == name), None)

    def _load(self, row: dict[str, Any]) -> Snapshot:
        return Snapshot(
            name=row["name"],
            version=row["version"],
            rows=row["rows"],
            counts=row["counts"] or {},
            fingerprint=row["fingerprint"],
            lake_snapshot=row["lake_snapshot"],
            recipe=row["recipe"],
            parent=row["parent"],
            manifest=orjson.loads(row["manifest"]),
            folder=self._root / f"{row['name']}@{row['version']}",
            media_root=self._lake.root / "media",
        )
