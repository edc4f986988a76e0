"""What wrote and chose the rows of a snapshot: prompts, runs, drops and every verdict, as Parquet beside the rows.

Read from the lake as it stood when the snapshot was made, so that publishing later tells the same.
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
_OF_THIS_MACHINE = ("host", "lake_snapshot")  # of a run; nobody else can use them
_SECRET = re.compile(r"(^|_)(key|token|secret|password|authorization)$", re.I)
_QUERIES = {
    "prompts": "select * from prompts where prompt_id in (select prompt_id from kept) order by prompt_id",
    "verdicts": """select * from verdicts where trace_id in (select trace_id from kept)
                   order by trace_id, profile, verifier""",
}
# Runs go on after the snapshot was made (the one that made it, at least), and are read as they are now.
_RUNS = "select * from run_events where run_id in (select unnest(?)) order by created_at, run_id, event"
_DROPS = """select sample_id, trace_id, reason from snapshot_drops where name = ? and version = ?
            order by sample_id, trace_id"""


def write(corpus: Corpus, snapshot: "Snapshot", folder: Path, run_id: str) -> None:
    """Write the four files; `run_id` is the run that made the snapshot."""
    place = folder / FOLDER
    place.mkdir(parents=True)
    files = ", ".join("'{}'".format(str(path).replace("'", "''")) for path in snapshot.files)
    kept = f"with kept as (select * from read_parquet([{files}]))"
    with Corpus.open(corpus.root, at=snapshot.ref) as then:
        for name, query in _QUERIES.items():
            _write(name, then.sql(f"{kept} {query}").to_arrow_table(), place)
        wrote = f"""{kept} select distinct unnest([run_id, trace_run_id, verdict_run_id]) from kept
                    union select run_id from verdicts where trace_id in (select trace_id from kept)"""
        runs = {run_id, *(found for (found,) in then.sql(wrote).fetchall() if found)}
    events = corpus.sql(_RUNS, [sorted(runs)]).to_arrow_table().to_pylist()
    _write("run_events", pa.Table.from_pylist([_public(e) for e in events], TABLES["run_events"].schema), place)
    drops = corpus.sql(_DROPS, [snapshot.name, snapshot.version]).to_arrow_table()
    pq.write_table(drops, place / "drops.parquet", compression="zstd")


def _write(name: str, rows: pa.Table, place: Path) -> None:
    schema = TABLES[name].schema
    rows = pa.table({field.name: rows[field.name].cast(field.type) for field in schema})
    pq.write_table(rows, place / f"{'runs' if name == 'run_events' else name}.parquet", compression="zstd")


def read(name: str, folder: Path) -> pa.Table:
    """One of the files (prompts, runs, drops, verdicts); raises OneThinkerError where it is not there."""
    try:
        return pq.read_table(folder / FOLDER / f"{name}.parquet")
    except FileNotFoundError:
        raise OneThinkerError(f"the publication has lost {FOLDER}/{name}.parquet") from None


def _public(event: dict[str, Any]) -> dict[str, Any]:
    """A run's event without what only its machine knows; paths in its configuration keep their last word."""
    public = {**event, **dict.fromkeys(_OF_THIS_MACHINE)}
    if event["config"]:
        config = _shortened(orjson.loads(event["config"]))
        public["config"] = orjson.dumps(config, option=orjson.OPT_SORT_KEYS).decode()
    if event["error"]:
        public["error"] = _paths_shortened(event["error"])
    return public


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: "(removed)" if _SECRET.search(k) and inner else _shortened(inner) for k, inner in value.items()}
    if isinstance(value, list):
        return [_shortened(inner) for inner in value]
    return _last_word(value) if isinstance(value, str) else value


def _last_word(text: str) -> str:
    if "\n" in text:
        return text
    if text.startswith(("/", "~/", "file://")):
        return PurePosixPath(text).name
    return PureWindowsPath(text).name if re.match(r"[A-Za-z]:[\\/]", text) else text


def _paths_shortened(text: str) -> str:
    return re.sub(r"(?:/[\w.@+-]+){2,}", lambda found: PurePosixPath(found[0]).name, text)
