"""Whether the stored bytes are those that were written: the lake's data files, media and frozen snapshots.

Each file is read once and its SHA-256 compared: a data file's with the one recorded at its commit, a medium's with its
name, a frozen file's with its manifest.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from corpus import checksums
from corpus.errors import OneThinkerError
from corpus.media import sha256_of
from corpus.progress import progress
from corpus.snapshots import Snapshot
from corpus.snapshots.dataset import COLUMNS, chat_rows

if TYPE_CHECKING:
    from corpus.store import Corpus

_LAKE_FILES = """
    with tables as (select distinct t.table_id, t.table_name, s.path || t.path as folder
                    from {meta}.ducklake_table t join {meta}.ducklake_schema s using (schema_id)),
         files as (select table_id, path, path_is_relative, record_count as n, file_size_bytes as bytes,
                          begin_snapshot as b, end_snapshot as e from {meta}.ducklake_data_file
                   union all
                   select table_id, path, path_is_relative, delete_count, file_size_bytes, begin_snapshot, end_snapshot
                   from {meta}.ducklake_delete_file)
    select table_name, case when path_is_relative::bool then 'data/' || folder || path else path end, n, bytes, b, e
    from files join tables using (table_id) order by 2"""


@dataclass(frozen=True)
class LakeFile:
    """One data file of the lake, relative to the corpus: its table, rows and bytes, and the states that read it."""

    table: str
    path: str
    rows: int
    size_bytes: int
    first_state: int
    end_state: int | None  # the first state that no longer reads it

    def is_read_at(self, state: int) -> bool:
        """Whether the lake as of `state` reads this file."""
        return self.first_state <= state and (self.end_state is None or state < self.end_state)


@dataclass(frozen=True)
class Damage:
    """One stored file that is not what was written."""

    kind: str  # lake file | medium | snapshot file | snapshot cache | catalog
    path: str
    reason: str
    detail: str


@dataclass
class Integrity:
    """What was read and what of it is damaged; `snapshots` has the reasons by version, empty if it is whole."""

    files: int = 0
    size_bytes: int = 0
    newly_recorded: int = 0
    damages: list[Damage] = field(default_factory=list)
    snapshots: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_lake_whole(self) -> bool:
        """Whether SQL over the lake reads what was written."""
        return not any(damage.kind in ("lake file", "catalog") for damage in self.damages)


def check_integrity(corpus: "Corpus") -> Integrity:
    """Read every stored file of the corpus and compare.

    Data files without a recorded SHA-256 (of a corpus that is older than the records) get theirs now. A file that a
    compaction removes meanwhile is no damage.
    """
    found = Integrity()
    found.damages += check_catalog(corpus.location.sqlite) if corpus.location.postgres is None else []
    lake, sums = list_lake_files(corpus), checksums.load(corpus.root)
    media = sorted(p for p in (corpus.root / "media").glob("??/*") if p.is_file())
    folders = sorted(p for p in (corpus.root / "snapshots").glob("*@*/*") if p.is_file())
    total = sum(path.stat().st_size for path in (*media, *folders)) + sum(file.size_bytes for file in lake)
    with progress("stored MB", total >> 20) as bar:

        def count(size: int) -> None:
            found.files += 1
            found.size_bytes += size
            bar.advance((found.size_bytes >> 20) - bar.done, files=1)

        broken = _check_lake(corpus, lake, sums, found, count)
        bad_media = _check_media(media, corpus.root, found, count)
        for snapshot in _list_snapshots(corpus, broken):
            found.snapshots[snapshot.ref] = _check_snapshot(snapshot, bad_media, found, count)
            at = [file.path for file in broken if file.is_read_at(snapshot.lake_snapshot)]
            found.snapshots[snapshot.ref] += [f"the tables --at {snapshot.ref} read {path}" for path in at]
    return found


def list_lake_files(corpus: "Corpus") -> list[LakeFile]:
    """Every data file that the catalog names, of the current state and of the history that is kept."""
    rows = corpus.sql(_LAKE_FILES.format(meta="__ducklake_metadata_lake")).fetchall()
    return [LakeFile(*row) for row in rows]


def lake_file_damage(root: Path, file: LakeFile, sha256: str | None) -> str | None:
    """Why a data file is not what was committed, or None; without a recorded `sha256` only its size is known."""
    path = root / file.path
    if not path.exists():
        return "it is missing"
    if (size := path.stat().st_size) != file.size_bytes:
        return f"it has {size:,} bytes, the catalog has {file.size_bytes:,}"
    if sha256 is not None and (now := sha256_of(path)) != sha256:
        return f"its SHA-256 is {now[:12]}…, {checksums.SUMS_FILE} has {sha256[:12]}…"
    return None


def medium_damage(path: Path) -> str | None:
    """Why a stored medium is not the file that its name stands for, or None."""
    return None if (now := sha256_of(path)) == path.name else f"its SHA-256 is {now[:12]}…, its name has another"


def snapshot_file_damage(snapshot: Snapshot, path: Path) -> str | None:
    """Why a file in a version's folder is not what was frozen, or None."""
    if not path.exists():
        return "it is missing"
    recorded = {file["path"]: file["sha256"] for file in snapshot.manifest["files"]}
    if path.name in recorded:
        now = sha256_of(path)
        return None if now == recorded[path.name] else f"its SHA-256 is {now[:12]}…, the manifest has another"
    if path.name == "recipe.yaml":
        return None if path.read_bytes() == snapshot.recipe.encode() else "it is not the recipe in the catalog"
    if path.name == "manifest.json":
        try:
            same = json.loads(path.read_bytes()) == snapshot.manifest
        except ValueError:
            same = False
        return None if same else "it is not the manifest in the catalog"
    return None


def cache_damage(snapshot: Snapshot) -> str | None:
    """Why the Arrow file behind `Snapshot.dataset()` does not hold the frozen rows, or None."""
    wanted = (chat_rows(batch, str(snapshot.media_root)) for batch in snapshot.batches(COLUMNS))
    try:
        with pa.memory_map(str(snapshot.cache_file)) as file, pa.ipc.open_stream(file) as cached:
            for mine, stored in zip(wanted, cached, strict=True):
                stored.validate(full=True)
                if not stored.equals(mine):
                    return "its rows are not the frozen ones"
    except (pa.ArrowException, ValueError, OSError, UnicodeError) as error:
        return f"it cannot be read: {error}"
    return None


def check_catalog(path: Path) -> list[Damage]:
    """What SQLite's own check of its pages and indexes finds in the catalog."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as catalog:
            lines = [line for (line,) in catalog.execute("pragma integrity_check")]
    except sqlite3.Error as error:
        lines = [str(error)]
    return [] if lines == ["ok"] else [Damage("catalog", path.name, "catalog_damaged", "; ".join(lines)[:300])]


def _check_lake(
    corpus: "Corpus", lake: list[LakeFile], sums: dict[str, str], found: Integrity, count: Callable[[int], None]
) -> list[LakeFile]:
    broken = []
    for file in lake:
        count(file.size_bytes)
        if why := lake_file_damage(corpus.root, file, sums.get(file.path)):
            broken.append((file, why))
    if broken:
        listed = {file.path for file in list_lake_files(corpus)}
        broken = [(file, why) for file, why in broken if file.path in listed]
    for file, why in broken:
        rows = f"table {file.table}, {file.rows:,} rows"
        found.damages.append(Damage("lake file", file.path, "file_changed", f"{rows}: {why}"))
    new = {file.path for file in lake} - sums.keys() - {file.path for file, _ in broken}
    found.newly_recorded = len(new)
    with corpus.write_lock():
        checksums.record(corpus.root, new)
    return [file for file, _ in broken]


def _check_media(media: Iterable[Path], root: Path, found: Integrity, count: Callable[[int], None]) -> set[str]:
    bad = set()
    for path in media:
        count(path.stat().st_size)
        if why := medium_damage(path):
            bad.add(path.name)
            found.damages.append(Damage("medium", str(path.relative_to(root)), "media_changed", why))
    return bad


def _check_snapshot(
    snapshot: Snapshot, bad_media: set[str], found: Integrity, count: Callable[[int], None]
) -> list[str]:
    reasons = []
    for path in (*snapshot.files, snapshot.folder / "manifest.json", snapshot.folder / "recipe.yaml"):
        count(path.stat().st_size if path.exists() else 0)
        if why := snapshot_file_damage(snapshot, path):
            name = f"snapshots/{snapshot.ref}/{path.name}"
            rows = f"{snapshot.rows:,} rows of {snapshot.ref}: " if path.suffix == ".parquet" else ""
            found.damages.append(Damage("snapshot file", name, "file_changed", rows + why))
            reasons.append(path.name)
    if not reasons and snapshot.cache_file.exists() and (why := cache_damage(snapshot)):
        name = f"cache/{snapshot.cache_file.name}"
        found.damages.append(Damage("snapshot cache", name, "cache_changed", f"{why}; delete it, it is written again"))
    if not reasons and bad_media:
        used = {m["sha256"] for batch in snapshot.batches(["media"]) for row in batch["media"].to_pylist() for m in row}
        reasons += [f"medium {sha256}" for sha256 in sorted(used & bad_media)]
    return reasons


def _list_snapshots(corpus: "Corpus", broken: list[LakeFile]) -> Iterator[Snapshot]:
    """The versions, from the lake; if its table of them is damaged, from the manifests in the folders."""
    if not {"snapshots", "run_events"} & {file.table for file in broken}:
        yield from corpus.snapshots.list()
        return
    for path in sorted((corpus.root / "snapshots").glob("*@*/manifest.json")):
        try:
            manifest = json.loads(path.read_bytes())
            recipe = (path.parent / "recipe.yaml").read_text()
            yield Snapshot(
                name=manifest["name"],
                version=manifest["version"],
                rows=manifest["rows"],
                counts=manifest["counts"],
                fingerprint=manifest["fingerprint"],
                lake_snapshot=-1,
                recipe=recipe,
                parent=manifest["parent"],
                manifest=manifest,
                folder=path.parent,
                media_root=corpus.root / "media",
            )
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise OneThinkerError(
                f"{path} cannot be read: {error}; the lake's table of snapshots is damaged"
            ) from error
