"""The provenance of a snapshot's rows: prompts, runs, drops and every verdict, as Parquet beside the rows.

Read from the lake as it stood when the snapshot was made, so that a later publication holds the same.
"""

import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.errors import OneThinkerError
from corpus.schema import TABLES
from corpus.store import Corpus

if TYPE_CHECKING:
    from corpus.snapshots import Snapshot

FOLDER = "provenance"
_LOCAL = ("host", "lake_snapshot")  # columns of a run event that mean nothing elsewhere
_SECRET = re.compile(r"(^|_)(key|token|secret|password|authorization)$", re.I)
_QUERIES = {
    "prompts": "select * from prompts where prompt_id in (select prompt_id from kept) order by prompt_id",
    "verdicts": """select * from verdicts where trace_id in (select trace_id from kept)
                   order by trace_id, profile, verifier""",
}
# Runs may end after the snapshot (the one that made it does), so their events are read as of now.
_RUNS = "select * from run_events where run_id in (select unnest(?)) order by created_at, run_id, event"
_DROPS = """select sample_id, trace_id, reason from snapshot_drops where name = ? and version = ?
            order by sample_id, trace_id"""


def write(corpus: Corpus, snapshot: "Snapshot", folder: Path, run_id: str) -> None:
    """Write the four files; `run_id` is the run that made the snapshot."""
    target = folder / FOLDER
    target.mkdir(parents=True)
    files = ", ".join("'{}'".format(str(path).replace("'", "''")) for path in snapshot.files)
    kept = f"with kept as (select * from read_parquet([{files}]))"
    with Corpus.open(corpus.root, at=snapshot.ref) as past:
        for name, query in _QUERIES.items():
            _write(name, past.sql(f"{kept} {query}").to_arrow_table(), target)
        writers = f"""{kept} select distinct unnest([run_id, trace_run_id, verdict_run_id]) from kept
                    union select run_id from verdicts where trace_id in (select trace_id from kept)"""
        runs = {run_id, *(found for (found,) in past.sql(writers).fetchall() if found)}
    events = corpus.sql(_RUNS, [sorted(runs)]).to_arrow_table().to_pylist()
    _write("run_events", pa.Table.from_pylist([_make_public(e) for e in events], TABLES["run_events"].schema), target)
    drops = corpus.sql(_DROPS, [snapshot.name, snapshot.version]).to_arrow_table()
    pq.write_table(drops, target / "drops.parquet", compression="zstd")


def _write(name: str, rows: pa.Table, place: Path) -> None:
    schema = TABLES[name].schema
    rows = pa.table({field.name: rows[field.name].cast(field.type) for field in schema})
    pq.write_table(rows, place / f"{'runs' if name == 'run_events' else name}.parquet", compression="zstd")


def read(name: str, folder: Path) -> pa.Table:
    """One of the files (prompts, runs, drops, verdicts); raises OneThinkerError if it is missing."""
    try:
        return pq.read_table(folder / FOLDER / f"{name}.parquet")
    except FileNotFoundError:
        raise OneThinkerError(f"the publication has lost {FOLDER}/{name}.parquet") from None


def _make_public(event: dict[str, Any]) -> dict[str, Any]:
    """A run's event without its local columns and secrets; paths in its configuration keep their last part."""
    public = {**event, **dict.fromkeys(_LOCAL)}
    if event["config"]:
        config = _shorten(orjson.loads(event["config"]))
        public["config"] = orjson.dumps(config, option=orjson.OPT_SORT_KEYS).decode()
    if event["error"]:
        public["error"] = _shorten_paths(event["error"])
    return public


def _shorten(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: "(removed)" if _SECRET.search(k) and inner else _shorten(inner) for k, inner in value.items()}
    if isinstance(value, list):
        return [_shorten(inner) for inner in value]
    return _last_part(value) if isinstance(value, str) else value


def _last_part(text: str) -> str:
    if "\n" in text:
        return text
    if text.startswith(("/", "~/", "file://")):
        return PurePosixPath(text).name
    return PureWindowsPath(text).name if re.match(r"[A-Za-z]:[\\/]", text) else text


def _shorten_paths(text: str) -> str:
    return re.sub(r"(?:/[\w.@+-]+){2,}", lambda found: PurePosixPath(found[0]).name, text)
