"""Pull a published snapshot into a corpus, with its ids, traces, verdicts, media and fingerprint."""

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.errors import OneThinkerError, UsageError
from corpus.hub import provenance
from corpus.hub.layout import LAYOUT, features, to_frozen_rows
from corpus.hub.media_policy import EMBEDDED, WITHHELD
from corpus.hub.publish import SNAPSHOT
from corpus.hub.remote import Remote
from corpus.media import MediaError, MediaStore, sha256_of
from corpus.progress import progress
from corpus.scratch import scratch_folder
from corpus.snapshots import row_format

if TYPE_CHECKING:
    from corpus.runs import Run
    from corpus.snapshots import Snapshot
    from corpus.store import Corpus

_ROWS_AT_ONCE = 50_000  # into the tables: each time is a data file
_ROWS_WITH_MEDIA = 64


def pull(corpus: "Corpus", source: str) -> "Snapshot":
    """Bring a publication into `corpus`: `user/repo@V` from the Hub, or the folder of a dry run.

    Pulling twice adds nothing. Withheld media stay away; their samples name them all the same. Raises OneThinkerError
    if the publication does not exist, is not onethinker's, a file has changed, or the rows' fingerprint differs.
    """
    folder = Path(source).expanduser()
    if not (folder.is_dir() and (folder / SNAPSHOT).is_file()):
        folder = _download(source)
    metadata = _read_metadata(folder)
    ref = f"{metadata['name']}@{metadata['version']}"
    known = {snapshot.ref: snapshot for snapshot in corpus.snapshots.list()}.get(ref)
    if known and known.fingerprint == metadata["fingerprint"]:
        return known
    _check_files(folder, metadata)
    with corpus.run("pull", {"source": source, "snapshot": ref, "fingerprint": metadata["fingerprint"]}) as run:
        _add_media(folder, MediaStore(str(corpus.root / "media")), metadata["rows"], run)
        _add_rows(folder, run)
        snapshot = corpus.snapshots.install(
            _read_rows(folder),
            metadata=metadata,
            recipe=(folder / "recipe.yaml").read_text(encoding="utf-8"),
            run=run,
            drops=provenance.read("drops", folder),
        )
        run.counts["rows"] = snapshot.rows
    return snapshot


def _download(source: str) -> Path:
    repo, at, version = source.partition("@")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise UsageError(f"'{source}' is neither a Hub dataset (user/repo@V) nor the folder of a publication")
    if not at or not re.fullmatch(r"v?\d+", version):
        raise UsageError(f"'{source}' names no version: use {repo}@1")
    return Remote(repo, f"v{version.lstrip('v')}").download()


def _read_metadata(folder: Path) -> dict[str, Any]:
    try:
        metadata: dict[str, Any] = json.loads((folder / SNAPSHOT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OneThinkerError(f"no readable {SNAPSHOT}: not a publication of onethinker ({error})") from error
    if metadata.get("layout", 0) > LAYOUT:
        raise OneThinkerError(
            f"it was published in layout {metadata['layout']}, this version reads up to {LAYOUT}; upgrade onethinker"
        )
    return metadata


def _check_files(folder: Path, metadata: dict[str, Any]) -> None:
    for name, file in metadata["files"].items():
        path = folder / name
        if not path.is_file():
            raise OneThinkerError(f"{name} is missing from the publication")
        if name.endswith(".parquet") and sha256_of(path) != file["sha256"]:
            raise OneThinkerError(f"{name} has changed since it was published (its SHA-256 differs)")


def _list_shards(folder: Path) -> list[Path]:
    return sorted((folder / "data").glob("*/*/*.parquet"))


def _add_media(folder: Path, store: MediaStore, rows: int, run: "Run") -> None:
    """Put every medium of the publication into the store, checked against the SHA-256 that its row names."""
    with progress("media", rows) as bar, tempfile.TemporaryDirectory(dir=scratch_folder()) as scratch:
        for shard in _list_shards(folder):
            columns = ["images", "videos", "media", "media_at"]
            for batch in pq.ParquetFile(shard).iter_batches(_ROWS_WITH_MEDIA, columns=columns):
                for row in batch.to_pylist():
                    for medium, path in _find_media(row, folder, Path(scratch)):
                        if path is None:
                            run.counts["media withheld"] += 1
                        elif medium["sha256"] not in store:
                            _keep(store, path, medium["sha256"], shard)
                            run.counts["media"] += 1
                bar.advance(len(batch))


def _find_media(row: dict[str, Any], folder: Path, scratch: Path) -> Iterator[tuple[dict[str, Any], Path | None]]:
    embedded = {kind: iter(row[f"{kind}s"] or []) for kind in ("image", "video")}
    for medium, where in zip(row["media"] or [], row["media_at"] or [], strict=True):
        if where == WITHHELD:
            yield medium, None
        elif where == EMBEDDED:
            path = scratch / "medium"
            path.write_bytes(next(embedded[medium["kind"]])["bytes"])
            yield medium, path
        else:
            path = (folder / where).resolve() if where.startswith("media/") and ".." not in where else folder
            yield medium, path


def _keep(store: MediaStore, path: Path, sha256: str, shard: Path) -> None:
    try:
        store.keep(path, sha256)
    except (MediaError, OSError) as error:
        raise OneThinkerError(f"a medium of {shard.name} does not match its row: {error}") from error


def _read_rows(folder: Path, rows: int = row_format.ROWS_PER_GROUP) -> Iterator[pa.RecordBatch]:
    """The published rows as frozen rows, in their frozen order."""
    columns = [name for name in features() if name not in ("images", "videos", "media_at")]
    named = ", ".join(f'"{name}"' for name in columns)
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        files = [str(path) for path in _list_shards(folder)]
        found = connection.execute(f"select {named} from read_parquet(?) order by position", [files])
        for batch in found.to_arrow_reader(rows):
            yield to_frozen_rows(pa.Table.from_batches([batch]))


def _add_rows(folder: Path, run: "Run") -> None:
    with run.transaction("pull") as tx:
        for batch in _read_rows(folder, _ROWS_AT_ONCE):
            for table in ("samples", "traces", "verdicts"):
                run.counts[table] += tx.append(table, row_format.extract_table(table, batch))
        run.counts["verdicts"] += tx.append("verdicts", provenance.read("verdicts", folder))
        run.counts["prompts"] += tx.append("prompts", provenance.read("prompts", folder))
        tx.append("run_events", provenance.read("runs", folder))
