"""Dataset versions: rows frozen once as Parquet, with a manifest, under a name and a version, and never changed.

    snapshots/NAME@V/manifest.json         the files with their SHA-256s, the fingerprint, the counts
    snapshots/NAME@V/recipe.yaml           what chose the rows
    snapshots/NAME@V/rows-00000.parquet …  the rows in order, sample, trace and verdict together

Trainers and the Hub read those files; the tables `snapshots`, `snapshot_rows` and `snapshot_drops` say the same in SQL.
"""

import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.chat import placed
from corpus.errors import OneThinkerError, UsageError, near
from corpus.ids import canonical_json
from corpus.runs import code_version
from corpus.schema import TABLES
from corpus.tasks import tasks

if TYPE_CHECKING:
    import datasets

    from corpus.runs import Run
    from corpus.store import Corpus, Transaction

ROWS_PER_FILE = 100_000
ROWS_PER_GROUP = 4_096
# What a row says, whoever wrote it and whenever: the fingerprint is over these.
CONTENT = ("sample_id", "trace_id", "problem", "options", "answer", "prompt", "response", "profile", "reward")
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
            elif (now := _sha256(path)) != file["sha256"]:
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
            version = 1 + (newest[0] or 0 if newest else 0)
            making = self._root / f".{name}@{version}.making"
            final = self._root / f"{name}@{version}"
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir()
            try:
                manifest = _write_files(tx, picks, profile, making)
                same = version > 1 and self.get(f"{name}@{version - 1}")
                if same and (same.fingerprint, same.recipe) == (manifest["fingerprint"], recipe):
                    return same
                lake_snapshot = tx.sql("select id from lake.current_snapshot()").fetchall()[0][0]
                manifest |= {"name": name, "version": version, "parent": parent, "code_version": code_version()}
                (making / "recipe.yaml").write_text(recipe)
                (making / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
                shutil.rmtree(final, ignore_errors=True)  # left by a run that died between the move and its commit
                making.rename(final)
            finally:
                shutil.rmtree(making, ignore_errors=True)
            row = {
                "name": name,
                "version": version,
                "lake_snapshot": lake_snapshot,
                "recipe": recipe,
                "rows": manifest["rows"],
                "counts": list(manifest["counts"].items()),
                "manifest": orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS).decode(),
                "fingerprint": manifest["fingerprint"],
                "parent": parent,
                "code_version": manifest["code_version"],
            }
            tx.append("snapshots", [row])
            tx.append(
                "snapshot_rows", _keyed(picks, name, version).append_column("position", pa.array(range(len(picks))))
            )
            if drops is not None and len(drops):
                tx.append("snapshot_drops", _keyed(drops.select(["sample_id", "trace_id", "reason"]), name, version))
        return self.get(f"{name}@{version}")

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


def fingerprint(batches: Iterable[pa.RecordBatch]) -> str:
    """SHA-256, as hex, over the rows in order: what they say, not who wrote them when, nor how Parquet packs them.

    A row counts as one line of canonical JSON (sorted keys, no spaces, UTF-8) of the CONTENT columns and `media`, the
    list of its media's SHA-256s.
    """
    digest = hashlib.sha256()
    for batch in batches:
        _hash_rows(digest, batch)
    return digest.hexdigest()


def _hash_rows(digest: "hashlib._Hash", batch: pa.RecordBatch) -> None:
    for row in batch.select([*CONTENT, "media"]).to_pylist():
        row["media"] = [medium["sha256"] for medium in row["media"] or []]
        digest.update(canonical_json(row) + b"\n")


def _write_files(tx: "Transaction", picks: pa.Table, profile: str, folder: Path) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    digest = hashlib.sha256()
    files: list[dict[str, Any]] = []
    writer: pq.ParquetWriter | None = None
    written = 0
    for batch in _rows(tx, picks, profile):
        counts.update(batch["task"].to_pylist())
        if writer is None or written >= ROWS_PER_FILE:
            if writer is not None:
                writer.close()
            files.append({"path": f"rows-{len(files):05d}.parquet"})
            writer = pq.ParquetWriter(folder / files[-1]["path"], batch.schema, compression="zstd")
            written = 0
        writer.write_batch(batch, row_group_size=ROWS_PER_GROUP)
        written += len(batch)
        _hash_rows(digest, batch)
    if writer is not None:
        writer.close()
    for file in files:
        path = folder / file["path"]
        file |= {"sha256": _sha256(path), "bytes": path.stat().st_size, "rows": pq.read_metadata(path).num_rows}
    return {
        "files": files,
        "rows": sum(counts.values()),
        "counts": dict(sorted(counts.items())),
        "profile": profile,
        "fingerprint": digest.hexdigest(),
    }


def _rows(tx: "Transaction", picks: pa.Table, profile: str) -> Iterator[pa.RecordBatch]:
    """The picked rows in order: the sample's columns, then the trace's and the verdict's, then the prompt to train on.

    A trace or verdict column whose word the sample has too is called `trace_…` or `verdict_…`.
    """
    taken = {"position", *TABLES["samples"].schema.names}
    columns = [
        f'p.position, s."{name}"' if not i else f's."{name}"' for i, name in enumerate(TABLES["samples"].schema.names)
    ]
    for alias, table in (("t", "traces"), ("v", "verdicts")):
        for name in TABLES[table].schema.names:
            if name in ("sample_id",) or (alias == "v" and name == "trace_id"):
                continue
            shown = f"{table[:-1]}_{name}" if name in taken else name
            taken.add(shown)
            columns.append(f'{alias}."{name}" as "{shown}"')
    tx.register("picks", picks.append_column("position", pa.array(range(len(picks)))))
    query = """
        with verdict as (from lake.verdicts where profile = $profile
                         qualify row_number() over (partition by trace_id order by created_at desc, verifier desc) = 1)
        select {} from picks p left join lake.samples s using (sample_id)
            left join lake.traces t on t.trace_id = p.trace_id and t.sample_id = p.sample_id
            left join verdict v on v.trace_id = p.trace_id"""
    lost = tx.sql(
        query.format("p.sample_id, p.trace_id, s.sample_id is null, t.trace_id is null")
        + " where s.sample_id is null or t.trace_id is null or v.trace_id is null limit 1",
        {"profile": profile},
    ).fetchone()
    if lost:
        what = "sample" if lost[2] else "trace" if lost[3] else f"verdict under the profile '{profile}'"
        raise OneThinkerError(f"sample {lost[0]}, trace {lost[1]}: there is no such {what}, so it cannot be frozen")
    known = tasks()
    ordered = tx.sql(query.format(", ".join(columns)) + " order by p.position", {"profile": profile})
    for batch in ordered.to_arrow_reader(ROWS_PER_GROUP):
        asked = batch.select(["problem_type", "data_type", "problem", "options"]).to_pylist()
        prompts = [
            placed(known[row["problem_type"]].prompt(row), kinds)
            for row, kinds in zip(asked, _kinds(batch), strict=True)
        ]
        yield batch.append_column("prompt", pa.array(prompts, pa.string()))


def _kinds(batch: pa.RecordBatch) -> list[list[str]]:
    return [[medium["kind"] for medium in media or []] for media in batch["media"].to_pylist()]


def _keyed(rows: pa.Table, name: str, version: int) -> pa.Table:
    count = len(rows)
    return rows.append_column("name", pa.array([name] * count)).append_column(
        "version", pa.array([version] * count, pa.int32())
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
