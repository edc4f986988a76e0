"""The demo's page: one self-contained HTML file with the numbers of a pipeline run and some of its samples."""

from pathlib import Path
from typing import Any

from corpus import Corpus
from corpus.code_version import code_version
from corpus.snapshots import Snapshot
from onethinker.html_page import fetch_rows, write_page
from onethinker.sample_images import draw_sample

SHOWN_PER_TASK = 2  # kept ones, and as many dropped ones

BY_TASK = """
    with judged as (select s.task, s.sample_id, t.trace_id, v.accuracy, v.reward,
                           exists(select 1 from snapshot_rows r where r.name = $name and r.version = $version
                                  and r.trace_id = t.trace_id) as kept
                    from samples s left join traces t using (sample_id)
                    left join latest_verdicts v on v.trace_id = t.trace_id and v.profile = $profile)
    select task, count(distinct sample_id) as samples, count(trace_id) as traces, avg(accuracy) as accuracy,
           avg((accuracy >= 0.5)::int) as passed, count(*) filter (kept) as kept
    from judged group by task order by task"""
BY_TEACHER = """
    select teacher, count(*) as traces, avg(accuracy) as accuracy, sum(input_tokens)::bigint as input_tokens,
           sum(output_tokens)::bigint as output_tokens, sum(cost_usd) as usd,
           median(latency_s) as latency_s
    from scored_traces where profile = $profile group by 1 order by 1"""
REWARDS = """
    select least(floor(reward * 10), 9)::int as tenth, count(*) as traces
    from latest_verdicts where profile = $profile and reward is not null group by 1 order by 1"""
DROPS = """
    select reason, count(*) as traces from snapshot_drops where name = $name and version = $version
    group by 1 order by 2 desc, 1"""
SHOWN = """
    with drops as (from snapshot_drops where name = $name and version = $version),
         kept as (from snapshot_rows where name = $name and version = $version)
    select s.task, s.problem_type, s.data_type, s.problem, s.options, s.answer, s.media, s.sample_id, s.source,
           s.origin.file || ' row ' || s.origin."row" as origin,
           t.trace_id, t.teacher, t.thinking, t.answer as given, t.response, t.cost_usd,
           v.accuracy, v.reward, v.reason, v.components, d.reason as dropped
    from traces t join samples s using (sample_id)
         left join latest_verdicts v on v.trace_id = t.trace_id and v.profile = $profile
         left join drops d on d.trace_id = t.trace_id left join kept k on k.trace_id = t.trace_id
    where d.reason is not null or k.trace_id is not null
    qualify row_number() over (partition by s.task, d.reason is null
                               order by (d.reason = 'not_best')::int nulls first, hash(t.trace_id)) <= $shown
    order by s.task, d.reason is not null, t.trace_id"""
FOLLOWED = """select * from provenance where profile = $profile and snapshots is not null and len(snapshots) > 0
              order by sample_id, trace_id limit 1"""


def write(corpus: Corpus, snapshot: Snapshot, path: Path, *, seconds: dict[str, float], curves: str = "") -> None:
    """Write the page for `snapshot` to `path`.

    `seconds` maps each step of the run to its duration; `curves` is HTML with the training curves, if any.
    """
    profile = snapshot.manifest["profile"]
    params = {"name": snapshot.name, "version": snapshot.version, "profile": profile, "shown": SHOWN_PER_TASK}

    def fetch(query: str) -> list[dict[str, Any]]:
        return fetch_rows(corpus, query, params)

    shown = fetch(SHOWN)
    for row in shown:
        row["pictures"] = draw_sample(corpus.media, row, row["given"])
        row["components"] = dict(row["components"] or [])
    write_page(
        path,
        "demo.html",
        snapshot=snapshot,
        profile=profile,
        tasks=fetch(BY_TASK),
        teachers=fetch(BY_TEACHER),
        rewards=_histogram(fetch(REWARDS)),
        drops=fetch(DROPS),
        rejects=fetch("select reason, count(*) as records from rejects group by 1 order by 2 desc"),
        shown=shown,
        followed=fetch(FOLLOWED),
        seconds=seconds,
        curves=curves,
        code_version=code_version(),
    )


def _histogram(rows: list[dict[str, Any]]) -> list[int]:
    counts = {row["tenth"]: row["traces"] for row in rows}
    return [counts.get(tenth, 0) for tenth in range(10)]
