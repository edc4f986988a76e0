"""Dataset versions: rows frozen once as Parquet, with a manifest, under a name and a version, and never changed.

    snapshots/NAME@V/manifest.json         the files with their SHA-256s, the fingerprint, the counts
    snapshots/NAME@V/recipe.yaml           what chose the rows
    snapshots/NAME@V/rows-00000.parquet …  the rows in order, sample, trace and verdict together

Trainers and the Hub read those files; the tables `snapshots`, `snapshot_rows` and `snapshot_drops` say the same in SQL.
"""

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NoReturn

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.chat import placed
from corpus.errors import OneThinkerError, UsageError, near
from corpus.frozen import COLUMNS, ROWS_PER_GROUP, fingerprint, schema, write_files
from corpus.gathered import gathered
from corpus.loading import prepare
from corpus.media import sha256_of
from corpus.runs import code_version
from corpus.schema import TABLES
from corpus.tasks import tasks

if TYPE_CHECKING:
    import datasets

    from corpus.runs import Run
    from corpus.store import Corpus, Transaction

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


@dataclass(frozen=True)
class Snapshot:
    """One frozen dataset version; `folder` holds its files."""

    name: str
    version: int
    rows: int
    counts: dict[str, int]
    fingerprint: str
    lake_snapshot: int
    recipe: str
    parent: str | None
    manifest: dict[str, Any]
    folder: Path
    media_root: Path

    @property
    def ref(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    @property
    def files(self) -> list[Path]:
        """The Parquet files, in row order."""
        return [self.folder / file["path"] for file in self.manifest["files"]]

    def batches(self, columns: list[str] | None = None, rows: int = ROWS_PER_GROUP) -> Iterator[pa.RecordBatch]:
        """The rows in order, in Arrow batches; one file is open at a time."""
        for path in self.files:
            yield from pq.ParquetFile(path).iter_batches(rows, columns=columns)

    def damage(self) -> list[str]:
        """What is wrong with the frozen files, a line each; empty when every byte is as it was made."""
        found = []
        for file in self.manifest["files"]:
            path = self.folder / file["path"]
            if not path.exists():
                found.append(f"{self.ref}: {file['path']} is missing")
            elif (now := sha256_of(path)) != file["sha256"]:
                found.append(
                    f"{self.ref}: {file['path']} has changed (SHA-256 {now[:12]}…, made as {file['sha256'][:12]}…)"
                )
        if not found and (now := fingerprint(self.batches())) != self.fingerprint:
            found.append(f"{self.ref}: the rows' fingerprint is {now[:12]}…, the catalog says {self.fingerprint[:12]}…")
        return found

    def dataset(self) -> "datasets.Dataset":
        """A memory-mapped `datasets.Dataset` of chat messages with `images` and `videos`: see `corpus.loading`."""
        from corpus.loading import dataset

        return dataset(self)

    def stream(
        self, shard: tuple[int, int] = (0, 1), *, epoch: int = 0, seed: int | None = None
    ) -> "datasets.IterableDataset":
        """The same rows as a `datasets.IterableDataset`, read from the frozen Parquet as it goes: `corpus.streaming`.

        `shard=(i, n)` is the i-th of n ranks; without `seed` the order is the snapshot's own.
        """
        from corpus.streaming import stream

        return stream(self, shard, epoch=epoch, seed=seed)


class Snapshots:
    """The dataset versions of one corpus."""

    def __init__(self, corpus: "Corpus") -> None:
        self._corpus = corpus
        self._root = corpus.root / "snapshots"

    def list(self) -> list[Snapshot]:
        """Every version, by name and number."""
        found = self._corpus.sql("from snapshots order by name, version")
        return [self._of(dict(zip(found.columns, row, strict=True))) for row in found.fetchall()]

    def get(self, ref: str) -> Snapshot:
        """The snapshot that `name@version` names; without `@version` the newest of that name.

        Raises OneThinkerError, with near names, where there is none, and UsageError for a version that is no number.
        """
        name, _, version = ref.partition("@")
        if version and not version.lstrip("v").isdigit():
            raise UsageError(f"'{ref}' names no snapshot: after the @ comes a number, as in {name}@1")
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
        run: "Run",
        drops: pa.Table | None = None,
        parent: str | None = None,
    ) -> Snapshot:
        """Write the picked (sample_id, trace_id) pairs, in their order, as the next version of `name`.

        `drops` holds (sample_id, trace_id, reason) of what was not picked. Files first, in a folder of their own that
        is moved into place; then the catalog rows, in one commit: killed at any moment, there is either no version or
        a whole one. When the newest version of `name` has these very rows and this recipe, that one is returned and
        nothing is written. Raises UsageError for an impossible name and OneThinkerError for no rows, or for a pair
        without a verdict under `profile`.
        """
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"'{name}' cannot name a snapshot: letters, digits, '.', '_' and '-', letter or digit first"
            )
        if not len(picks):
            raise OneThinkerError(f"no row was picked for '{name}': nothing to freeze (the drops say why, by reason)")
        picks = picks.select(["sample_id", "trace_id"])
        with run.transaction(f"freeze {name}") as tx:
            newest = tx.sql("select max(version) from lake.snapshots where name = ?", [name]).fetchone()
            version = 1 + (newest[0] or 0 if newest else 0)  # a deleted version keeps its number
            with self._made(f"{name}@{version}") as making:
                manifest = write_files(_rows(tx, picks, profile, making.folder), profile, making.folder)
                same = self._newest(name)
                if same and (same.fingerprint, same.recipe) == (manifest["fingerprint"], recipe):
                    return same
                lake_snapshot = tx.sql("select id from lake.current_snapshot()").fetchall()[0][0]
                manifest |= {"name": name, "version": version, "parent": parent, "code_version": code_version()}
                making.finish(manifest, recipe)
            _register(tx, manifest, recipe, lake_snapshot, picks, drops)
        return self._prepared(f"{name}@{version}")

    def install(
        self,
        batches: Iterable[pa.RecordBatch],
        *,
        told: dict[str, Any],
        recipe: str,
        run: "Run",
        drops: pa.Table,
    ) -> Snapshot:
        """Write rows frozen elsewhere as the version that `told` says they are: a pulled dataset.

        `told` holds name, version, profile, parent, fingerprint, code_version, run_id and created_at (ISO 8601). The
        corpus must hold the rows' samples, traces and verdicts. Raises OneThinkerError where the rows' fingerprint is
        not the one told, or the corpus has another version of that name and number.
        """
        ref = f"{told['name']}@{told['version']}"
        with run.transaction(f"install {ref}") as tx, self._made(ref) as making:
            manifest = write_files(batches, told["profile"], making.folder)
            if manifest["fingerprint"] != told["fingerprint"]:
                raise OneThinkerError(
                    f"{ref}: the rows' fingerprint is {manifest['fingerprint'][:12]}…, it was published as "
                    f"{told['fingerprint'][:12]}…: they are not the rows that were frozen"
                )
            clash = tx.sql("select fingerprint from lake.snapshots where name = ? and version = ?",
                           [told["name"], told["version"]]).fetchone()  # fmt: skip
            if clash:
                raise OneThinkerError(f"this corpus has, or had, another {ref}; pull into a corpus of its own")
            lake_snapshot = tx.sql("select id from lake.current_snapshot()").fetchall()[0][0]
            manifest |= {key: told[key] for key in ("name", "version", "parent", "code_version")}
            making.finish(manifest, recipe)
            picks = pa.concat_tables(
                pa.table(pq.read_table(self._root / ref / file["path"], columns=["sample_id", "trace_id"]))
                for file in manifest["files"]
            )
            by = {"run_id": told["run_id"], "created_at": datetime.fromisoformat(told["created_at"])}
            _register(tx, manifest, recipe, lake_snapshot, picks, drops, **by)
        return self._prepared(ref)

    def delete(self, ref: str) -> Snapshot:
        """Forget a version and remove its frozen files; its number is not given again. Returns what it was.

        The catalog is only added to: the run that deletes is what hides the version from the views `snapshots`,
        `snapshot_rows` and `snapshot_drops`. Killed midway, the version is gone and `compact` removes its files.
        """
        snapshot = self.get(ref)
        with self._corpus.run("delete", {"snapshot": snapshot.ref}):
            shutil.rmtree(snapshot.folder, ignore_errors=True)
            for path in (self._corpus.root / "cache").glob(f"{snapshot.ref}-*"):
                path.unlink(missing_ok=True)
        return snapshot

    def referrers(self, snapshot: Snapshot) -> Sequence[str]:
        """What names a version: the versions made from it and the runs whose configuration holds it, a line each."""
        ref = snapshot.ref
        children = [f"snapshot {s.ref} names it as its parent" for s in self.list() if s.parent == ref]
        runs = self._corpus.sql(
            """select run_id, kind from runs where kind <> 'delete'
               and regexp_matches(config, '[^A-Za-z0-9._-]' || regexp_escape(?) || '[^0-9]') order by started_at""",
            [ref],
        ).fetchall()
        return children + [f"run {run_id} ({kind}) used it" for run_id, kind in runs]

    def _prepared(self, ref: str) -> Snapshot:
        snapshot = self.get(ref)
        prepare(snapshot)
        return snapshot

    def _newest(self, name: str) -> Snapshot | None:
        return next((s for s in reversed(self.list()) if s.name == name), None)

    @contextmanager
    def _made(self, ref: str) -> "Iterator[_Making]":
        making = _Making(self._root / f".{ref}.making", self._root / ref)
        shutil.rmtree(making.folder, ignore_errors=True)
        making.folder.mkdir()
        try:
            yield making
        finally:
            shutil.rmtree(making.folder, ignore_errors=True)

    def _of(self, row: dict[str, Any]) -> Snapshot:
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
            media_root=self._corpus.root / "media",
        )


@dataclass(frozen=True)
class _Making:
    folder: Path
    final: Path

    def finish(self, manifest: dict[str, Any], recipe: str) -> None:
        (self.folder / "recipe.yaml").write_text(recipe)
        (self.folder / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
        shutil.rmtree(self.final, ignore_errors=True)  # left by a run that died between the move and its commit
        self.folder.rename(self.final)


def _register(
    tx: "Transaction",
    manifest: dict[str, Any],
    recipe: str,
    lake_snapshot: int,
    picks: pa.Table,
    drops: pa.Table | None,
    **by: Any,
) -> None:
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
        **by,
    }
    tx.append("snapshots", [row])
    tx.append("snapshot_rows", _keyed(picks, name, version).append_column("position", pa.array(range(len(picks)))))
    if drops is not None and len(drops):
        tx.append("snapshot_drops", _keyed(drops.select(["sample_id", "trace_id", "reason"]), name, version))


def _rows(tx: "Transaction", picks: pa.Table, profile: str, folder: Path) -> Iterator[pa.RecordBatch]:
    """The picked rows in order, in the columns of `corpus.frozen`; what is in work meanwhile lies in `folder`."""
    tx.register("picks", picks)
    newest = "qualify row_number() over (partition by trace_id order by created_at desc, verifier desc) = 1"
    queries = {
        "samples": "from lake.samples semi join picks using (sample_id)",
        "traces": "from lake.traces semi join picks using (sample_id, trace_id)",
        "verdicts": f"from lake.verdicts semi join picks using (trace_id) where profile = $profile {newest}",
    }
    known = tasks()
    with TemporaryDirectory(dir=folder, prefix=".rows-") as scratch:
        tables, places = {}, {}
        for table, query in queries.items():
            found = tx.sql(query, {"profile": profile} if "$" in query else None).to_arrow_reader(ROWS_PER_GROUP)
            tables[table] = gathered(found, Path(scratch) / table)
            key = TABLES[table].key[0]
            places[table] = tables[table].places(key, picks[key])
            if missing := places[table].null_count:
                _raise_missing(picks, places[table], missing, table, profile)
        for start in range(0, len(picks), ROWS_PER_GROUP):
            columns: dict[str, Any] = {"position": pa.array(range(start, min(start + ROWS_PER_GROUP, len(picks))))}
            for table, shown in COLUMNS.items():
                part = tables[table].take(places[table][start : start + ROWS_PER_GROUP].to_numpy())
                columns = {word: part[name] for name, word in shown.items()} | columns
            rows = pa.table(columns)
            asked = rows.select(["problem_type", "data_type", "problem", "options"]).to_pylist()
            prompts = [
                placed(known[row["problem_type"]].prompt(row), kinds)
                for row, kinds in zip(asked, _kinds(rows), strict=True)
            ]
            whole = rows.append_column("prompt", pa.array(prompts, pa.string())).combine_chunks().to_batches()[0]
            yield pa.RecordBatch.from_arrays([whole[f.name].cast(f.type) for f in schema()], schema=schema())


def _raise_missing(picks: pa.Table, places: pa.Int64Array, missing: int, table: str, profile: str) -> NoReturn:
    first = picks.filter(places.is_null()).slice(0, 1).to_pylist()[0]
    what = {"samples": "sample", "traces": "trace"}.get(table, f"verdict under the profile '{profile}'")
    raise OneThinkerError(
        f"sample {first['sample_id']}, trace {first['trace_id']}: there is no such {what}, so it cannot be frozen "
        f"({missing:,} of {len(picks):,} picks)"
    )


def _kinds(batch: pa.Table) -> list[list[str]]:
    return [[medium["kind"] for medium in media or []] for media in batch["media"].to_pylist()]


def _keyed(rows: pa.Table, name: str, version: int) -> pa.Table:
    count = len(rows)
    return rows.append_column("name", pa.array([name] * count)).append_column(
        "version", pa.array([version] * count, pa.int32())
    )
