"""The prompts, runs, verdicts and drops of a publication, checked, and cut down to what stands behind its rows."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from corpus.errors import OneThinkerError
from corpus.hub.manifest import RUN_ID, Manifest
from corpus.hub.parquet_file import GROUP_ROWS, check_parquet, read_batches
from corpus.hub.pulled_rows import PulledRows
from corpus.ids import digest
from corpus.schema import TABLES

# Kinds of runs that write rows. Others, such as `delete`, act on a corpus: no row comes from one.
KINDS = frozenset({"ingest", "annotate", "verify", "select", "pull", "train"})
_EVENTS = frozenset({"started", "done", "failed", "interrupted", "crashed"})
_ID = re.compile(r"[0-9a-f]{32}")
_RUN_ID = re.compile(RUN_ID)
_DROPS = pa.schema([("sample_id", pa.string()), ("trace_id", pa.string()), ("reason", pa.string())])
_MAX_JSON, _MAX_WORD = 4_000_000, 1_000


@dataclass(frozen=True)
class Provenance:
    """What a pull adds besides the rows; `runs_left_out` counts events of runs that no row names."""

    prompts: pa.Table
    runs: pa.Table
    verdicts: pa.Table
    drops: pa.Table
    runs_left_out: int


def check_provenance(folder: Path, manifest: Manifest, rows: PulledRows) -> Provenance:
    """Read and check the four files. Raises OneThinkerError naming file, row and column."""
    verdicts = _read(folder, "verdicts", TABLES["verdicts"].schema)
    for number, verdict in enumerate(verdicts.to_pylist(), 1):
        _refuse("verdicts", number, _wrong_verdict(verdict, rows))
    prompts = _read(folder, "prompts", TABLES["prompts"].schema)
    for number, prompt in enumerate(prompts.to_pylist(), 1):
        _refuse("prompts", number, _wrong_prompt(prompt, rows))
    drops = _read(folder, "drops", _DROPS)
    for number, drop in enumerate(drops.to_pylist(), 1):
        _refuse("drops", number, _wrong_drop(drop))
    events = _read(folder, "runs", TABLES["run_events"].schema)
    named = rows.runs | {manifest.run_id} | set(verdicts["run_id"].to_pylist())
    kept = []
    for number, event in enumerate(listed := events.to_pylist(), 1):
        _refuse("runs", number, _wrong_event(event))
        if event["run_id"] in named:
            kept.append({**event, "host": None, "lake_snapshot": None})  # they mean nothing here
    runs = pa.Table.from_pylist(kept, TABLES["run_events"].schema)
    return Provenance(prompts, runs, verdicts, drops, len(listed) - len(kept))


def _read(folder: Path, name: str, schema: pa.Schema) -> pa.Table:
    path = f"provenance/{name}.parquet"
    check_parquet(folder, path, schema)
    return pa.Table.from_batches([b for _, b in read_batches(folder, path, schema.names, GROUP_ROWS)], schema)


Wrong = tuple[str, str] | None


def _refuse(name: str, number: int, wrong: Wrong) -> None:
    if wrong:
        raise OneThinkerError(f"provenance/{name}.parquet, row {number}, {wrong[0]}: {wrong[1]}")


def _wrong_verdict(verdict: dict[str, Any], rows: PulledRows) -> Wrong:
    if verdict["trace_id"] not in rows.traces:
        return "trace_id", f"{str(verdict['trace_id'])[:40]!r} is no trace of this publication"
    for name in ("profile", "verifier"):
        if not verdict[name] or len(verdict[name]) > _MAX_WORD:
            return name, "it is empty, null or too long"
    for name, (least, most) in {
        "format": (0, 1),
        "accuracy": (0, 1),
        "structure": (-10, 10),
        "reward": (-10, 10),
    }.items():
        if (value := verdict[name]) is not None and not (math.isfinite(value) and least <= value <= most):
            return name, f"{value} is not a number from {least} to {most}"
    if any(value is not None and not math.isfinite(value) for _, value in verdict["components"] or []):
        return "components", "a value is not finite"
    return _wrong_run_id(verdict)


def _wrong_prompt(prompt: dict[str, Any], rows: PulledRows) -> Wrong:
    if prompt["text"] is None or prompt["prompt_id"] != digest(prompt["text"]):
        return "prompt_id", f"{str(prompt['prompt_id'])[:40]!r} is not the id of its text"
    if prompt["prompt_id"] not in rows.prompts:
        return "prompt_id", "no row of this publication was asked with it"
    for name in ("problem_type", "mode"):
        if len(prompt[name] or "") > _MAX_WORD:
            return name, f"it has over {_MAX_WORD:,} characters"
    return _wrong_run_id(prompt)


def _wrong_drop(drop: dict[str, Any]) -> Wrong:
    if not _ID.fullmatch(drop["sample_id"] or ""):
        return "sample_id", f"{str(drop['sample_id'])[:40]!r} is not the id of a sample"
    if drop["trace_id"] is not None and not _ID.fullmatch(drop["trace_id"]):
        return "trace_id", f"{drop['trace_id'][:40]!r} is not the id of a trace"
    if not drop["reason"] or len(drop["reason"]) > _MAX_WORD:
        return "reason", "it is empty, null or too long"
    return None


def _wrong_event(event: dict[str, Any]) -> Wrong:
    if event["run_id"] is None:
        return "run_id", "it is null"
    if wrong := _wrong_run_id(event):
        return wrong
    if event["event"] not in _EVENTS:
        return "event", f"{str(event['event'])[:40]!r}; a run has {', '.join(sorted(_EVENTS))}"
    if (event["event"] == "started") != (event["kind"] is not None):
        return "kind", "a run has a kind where it starts, and only there"
    if event["kind"] is not None and event["kind"] not in KINDS:
        return "kind", f"a run of kind {event['kind'][:40]!r} writes no row, so it has no place in a publication"
    if event["config"] is not None:
        try:
            if len(event["config"]) > _MAX_JSON or not isinstance(orjson.loads(event["config"]), dict):
                return "config", f"it is not a JSON object of up to {_MAX_JSON:,} characters"
        except orjson.JSONDecodeError as error:
            return "config", f"it is not JSON ({error})"
    for name, most in (("error", 10_000), ("code_version", _MAX_WORD)):
        if len(event[name] or "") > most:
            return name, f"it has over {most:,} characters"
    if event["cost_usd"] is not None and event["cost_usd"] < 0:
        return "cost_usd", f"{event['cost_usd']} is negative"
    if event["created_at"] is None:
        return "created_at", "it is null"
    return None


def _wrong_run_id(row: dict[str, Any]) -> Wrong:
    if row["run_id"] is not None and not _RUN_ID.fullmatch(row["run_id"]):
        return "run_id", f"{row['run_id'][:60]!r} is not the id of a run"
    return None
