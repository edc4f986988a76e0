"""The views that people query: every table under its own name, and the joins that they would write anyway.

They live in the reading connection, not in the catalog, so a corpus made by an older version has the newest views.
"""

from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from corpus.run_locks import list_live_runs
from corpus.schema import TABLES

_NOT_DELETED = """semi join (from lake.snapshots s where not exists (
    select 1 from lake.run_events r where r.kind = 'delete' and r.event = 'started'
    and json_extract_string(r.config, '$.snapshot') = s.name || '@' || s.version)) using (name, version)"""
# Tables that are shown in part: a deleted snapshot's rows stay in the lake, and a run of kind `delete` hides them.
_FILTERED = {name: f"from lake.{name} {_NOT_DELETED}" for name in ("snapshots", "snapshot_rows", "snapshot_drops")}

VIEWS: dict[str, str] = {
    # A run is its first event and its last; one that started, never ended and holds no lock has crashed.
    "runs": """
        select s.run_id, s.kind,
               case when e.event is not null then e.event
                    when is_live(s.run_id) then 'running' else 'crashed' end as status,
               s.config, s.code_version, e.counts, coalesce(e.cost_usd, 0) as cost_usd,
               s.created_at as started_at, e.created_at as finished_at,
               s.lake_snapshot as lake_before, e.lake_snapshot as lake_after, s.host, e.error
        from run_events s
             left join (from run_events where event <> 'started'
                        qualify row_number() over (partition by run_id order by created_at desc) = 1) e
                    on e.run_id = s.run_id
        where s.event = 'started'""",
    # The newest verdict of each trace under each profile: a newer verifier speaks over an older one.
    "latest_verdicts": """
        from verdicts
        qualify row_number() over (partition by trace_id, profile order by created_at desc, verifier desc) = 1""",
    # A trace with its sample's columns and its newest verdict under each profile that has one.
    "scored_traces": """
        select t.*, s.task, s.problem_type, s.data_type, s.source, s.split, s.problem, s.answer as truth_answer,
               v.profile, v.verifier, v.format, v.structure, v.accuracy, v.reward, v.components, v.reason
        from traces t join samples s using (sample_id) left join latest_verdicts v using (trace_id)""",
    # Judges' replies on each trace: whether its reasoning is sound, and an open-ended answer's score from 0 to 1.
    "judgements": """
        with replies as (
            select params->>'about' as trace_id, teacher as judge, trace_id as judgement_id, created_at,
                   case when json_valid(answer) then answer end as reply
            from traces where mode = 'judge')
        select trace_id, judge, judgement_id, try_cast(reply->>'$.reasoning' as int) as first_unsound,
               case when reply->>'$.reasoning' ilike 'sound' then true
                    when first_unsound is not null then false end as sound,
               case when try_cast(reply->>'$.score' as double) between 0 and 10
                    then try_cast(reply->>'$.score' as double) / 10 end as score, created_at
        from replies where trace_id is not null and reply is not null""",
    # How hard a sample was for a teacher: passing is an accuracy of at least one half.
    "pass_rates": """
        select sample_id, task, problem_type, source, teacher, profile, count(*) as traces,
               count(accuracy) as scored, avg(accuracy) as mean_accuracy, max(reward) as best_reward,
               avg(case when accuracy is not null then (accuracy >= 0.5)::int end) as pass_rate
        from scored_traces where profile is not null
        group by all""",
    # From a sample to its source, its traces, their cost and verdicts, and the snapshots that hold them.
    "provenance": """
        select s.sample_id, s.task, s.source, s.licence, s.origin.file as file, s.origin."row" as "row",
               t.trace_id, t.teacher, t.mode, t.prompt_id, p.text as prompt, t.cost_usd,
               v.profile, v.reward, v.accuracy, v.reason,
               (select list(distinct r.name || '@' || r.version order by r.name || '@' || r.version)
                from snapshot_rows r where r.trace_id = t.trace_id) as snapshots
        from samples s left join traces t using (sample_id) left join prompts p using (prompt_id)
             left join latest_verdicts v using (trace_id)""",
}


def define_views(reader: duckdb.DuckDBPyConnection, root: Path, absent: Collection[str]) -> None:
    """Define all tables and VIEWS in the reading connection of the corpus at `root`.

    The tables named in `absent` are empty: the lake does not have them. SQL gains `is_live(run_id)`, whether that
    run's process holds its lock, evaluated when the query is fetched.
    """
    kinds: dict[str, Any] = {"parameters": ["VARCHAR"], "return_type": "BOOLEAN", "type": "arrow"}
    reader.create_function("is_live", _is_live(root), **kinds, side_effects=True)  # not constant: evaluated every time
    for name in TABLES:
        define_table(reader, name, is_absent=name in absent)
    for name, query in VIEWS.items():
        reader.execute(f"create view {name} as {query}")


@cache  # DuckDB does not keep the function alive: a relation that outlives its connection would call freed memory
def _is_live(root: Path) -> Callable[[pa.Array], pa.Array]:
    def is_live(run_ids: pa.Array) -> pa.Array:
        return pc.is_in(run_ids, value_set=pa.array(list_live_runs(root), pa.string()))

    return is_live


def define_table(reader: duckdb.DuckDBPyConnection, name: str, *, is_absent: bool = False) -> None:
    """Define, or define anew, the view that shows the table `name` of the lake, or an empty one of its columns."""
    query = _FILTERED.get(name, f"from lake.{name}")
    if is_absent:
        columns = reader.from_arrow(TABLES[name].schema.empty_table())
        nulls = ", ".join(f'null::{kind} as "{c}"' for c, kind in zip(columns.columns, columns.types, strict=True))
        query = f"select {nulls} where false"
    reader.execute(f"create or replace view {name} as {query}")
