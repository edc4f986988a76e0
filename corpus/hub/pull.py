"""Pull a published snapshot into a corpus, with its ids, traces, verdicts, media and fingerprint.

Everything is checked before anything is written: a refused pull leaves no row and no file. The rows then arrive in one
commit, together with the snapshot that they make up.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus.errors import MediaError, OneThinkerError
from corpus.hub.layout import features, to_frozen_rows
from corpus.hub.manifest import as_metadata
from corpus.hub.media_policy import EMBEDDED, WITHHELD
from corpus.hub.parquet_file import MEDIA_ROWS
from corpus.hub.publication import CheckedPublication, Publication, find_publication
from corpus.media import MediaStore
from corpus.progress import progress
from corpus.scratch import scratch_folder
from corpus.snapshots import row_format

if TYPE_CHECKING:
    from corpus.lake import Transaction
    from corpus.runs import Run
    from corpus.snapshots import Snapshot
    from corpus.store import Corpus

_ROWS_AT_ONCE = 50_000  # into the tables: each time is a data file


def pull(corpus: "Corpus", source: "str | Publication | CheckedPublication") -> "Snapshot":
    """Bring a publication into `corpus`: `user/repo@V` from the Hub, or the folder of a dry run.

    Pulling twice adds nothing. Withheld media stay away; their samples name them all the same. A trace that the corpus
    holds keeps its own verdicts. Raises OneThinkerError, naming file, row and column, for a publication that does not
    exist, is not onethinker's, has changed, or holds a value, name or id that it may not; nothing is written then.
    """
    found = find_publication(source) if isinstance(source, str) else source
    manifest = found.manifest
    known = {snapshot.ref: snapshot for snapshot in corpus.snapshots.list()}.get(manifest.ref)
    if known and known.fingerprint == manifest.fingerprint:
        return known
    checked = found.check() if isinstance(found, Publication) else found
    corpus.snapshots.check_free(manifest.name, manifest.version)
    _check_fingerprint(checked)
    own_traces = _find_own_traces(corpus, checked)
    config = {"source": checked.source, "snapshot": manifest.ref, "fingerprint": manifest.fingerprint}
    with corpus.run("pull", config) as run:
        _add_media(checked, MediaStore(str(corpus.root / "media")), run)
        with run.transaction(f"pull {manifest.ref}") as tx:
            _add_rows(tx, checked, own_traces, run)
            corpus.snapshots.install(
                _read_rows(checked),
                metadata=as_metadata(manifest),
                recipe=checked.recipe,
                tx=tx,
                drops=checked.provenance.drops,
            )
        run.counts["rows"] = manifest.rows
        if checked.provenance.runs_left_out:
            run.counts["run events left out"] = checked.provenance.runs_left_out
    return corpus.snapshots.cache(manifest.ref)


def _check_fingerprint(checked: CheckedPublication) -> None:
    now = row_format.fingerprint(_read_rows(checked))
    if now != checked.manifest.fingerprint:
        raise OneThinkerError(
            f"snapshot.json: fingerprint: the rows have {now[:12]}…, it says {checked.manifest.fingerprint[:12]}…: "
            "they are not the rows that were frozen"
        )


def _find_own_traces(corpus: "Corpus", checked: CheckedPublication) -> set[str]:
    """The publication's traces that the corpus holds. Raises OneThinkerError if one has another response there."""
    ids = pa.table({"trace_id": pa.array(list(checked.rows.traces), pa.string())})
    own: set[str] = set()
    for batch in corpus.rows_by_id("traces", ids, "trace_id, response"):
        for trace_id, response in zip(batch["trace_id"].to_pylist(), batch["response"].to_pylist(), strict=True):
            if hashlib.sha256((response or "").encode()).digest() != checked.rows.traces[trace_id]:
                raise OneThinkerError(
                    f"trace {trace_id}: this corpus holds another response under that id (the same request was made "
                    "here, too); pull into a corpus of its own"
                )
            own.add(trace_id)
    return own


def _add_media(checked: CheckedPublication, store: MediaStore, run: "Run") -> None:
    """Put every medium of the publication into the store; its bytes were checked, and are again as they are copied."""
    with progress("media", checked.manifest.rows) as bar, tempfile.TemporaryDirectory(dir=scratch_folder()) as scratch:
        for shard in checked.manifest.shards:
            columns = ["images", "videos", "media", "media_at"]
            for batch in pq.ParquetFile(checked.folder / shard).iter_batches(MEDIA_ROWS, columns=columns):
                for row in batch.to_pylist():
                    for medium, path in _find_media(row, checked.folder, Path(scratch)):
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
            yield medium, folder / where


def _keep(store: MediaStore, path: Path, sha256: str, shard: str) -> None:
    try:
        store.keep(path, sha256)
    except MediaError as error:
        raise OneThinkerError(f"a medium of {shard} does not match its row: {error}") from error


def _read_rows(checked: CheckedPublication, rows: int = row_format.ROWS_PER_GROUP) -> Iterator[pa.RecordBatch]:
    """The published rows as frozen rows, in their frozen order."""
    columns = [name for name in features() if name not in ("images", "videos", "media_at")]
    named = ", ".join(f'"{name}"' for name in columns)
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        files = [str(checked.folder / name) for name in checked.manifest.shards]
        found = connection.execute(f"select {named} from read_parquet(?) order by position", [files])
        for batch in found.to_arrow_reader(rows):
            yield to_frozen_rows(pa.Table.from_batches([batch]))


def _add_rows(tx: "Transaction", checked: CheckedPublication, own_traces: set[str], run: "Run") -> None:
    own = pa.array(sorted(own_traces), pa.string())
    for batch in _read_rows(checked, _ROWS_AT_ONCE):
        for table in ("samples", "traces"):
            run.counts[table] += tx.append(table, row_format.extract_table(table, batch))
        run.counts["verdicts"] += tx.append("verdicts", _without(row_format.extract_table("verdicts", batch), own))
    run.counts["verdicts"] += tx.append("verdicts", _without(checked.provenance.verdicts, own))
    run.counts["prompts"] += tx.append("prompts", checked.provenance.prompts)
    known = "select distinct run_id from lake.run_events where run_id in (select unnest(?))"
    named = [sorted(set(checked.provenance.runs["run_id"].to_pylist()))]
    here = pa.array([run_id for (run_id,) in tx.sql(known, named).fetchall()], pa.string())
    tx.append("run_events", _without(checked.provenance.runs, here, "run_id"))


def _without(rows: pa.Table, ids: pa.StringArray, column: str = "trace_id") -> pa.Table:
    return rows.filter(pc.invert(pc.is_in(rows[column], value_set=ids)))
