"""The demo's page: one self-contained HTML file that shows what a run of the pipeline did, with samples drawn."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from corpus import Corpus
from corpus.code_version import code_version
from corpus.snapshots import Snapshot
from onethinker.pictures import drawn

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
    """Write the page for `snapshot` to `path`; `seconds` says how long each step of the run took.

    `curves` is HTML with the curves of a model trained on it, where one was.
    """
    profile = snapshot.manifest["profile"]

    def ask(query: str, **params: Any) -> list[dict[str, Any]]:
        named = {"name": snapshot.name, "version": snapshot.version, "profile": profile, **params}
        used = {key: value for key, value in named.items() if f"${key}" in query}
        rows: list[dict[str, Any]] = corpus.sql(query, used).to_arrow_table().to_pylist()
        return rows

    shown = ask(SHOWN, shown=SHOWN_PER_TASK)
    for row in shown:
        row["pictures"] = drawn(corpus.media, row, row["given"])
        row["components"] = dict(row["components"] or [])
    page = environment().get_template("demo.html")
    html = page.render(
        snapshot=snapshot,
        profile=profile,
        tasks=ask(BY_TASK),
        teachers=ask(BY_TEACHER),
        rewards=_histogram(ask(REWARDS)),
        drops=ask(DROPS),
        rejects=ask("select reason, count(*) as records from rejects group by 1 order by 2 desc"),
        shown=shown,
        followed=ask(FOLLOWED),
        seconds=seconds,
        curves=curves,
        code_version=code_version(),
    )
    making = path.with_suffix(".making")
    making.write_text(html, encoding="utf-8")
    making.replace(path)


def _histogram(rows: list[dict[str, Any]]) -> list[int]:
    counts = {row["tenth"]: row["traces"] for row in rows}
    return [counts.get(tenth, 0) for tenth in range(10)]


def environment() -> Environment:
    """The templates of onethinker/templates, with the filters that they use for numbers and questions."""
    environment = Environment(
        loader=PackageLoader("onethinker"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: "" if value is None else f"{value:,}"
    environment.filters["share"] = lambda value: "" if value is None else f"{100 * value:.0f}%"
    environment.filters["short"] = lambda value, places=3: "" if value is None else f"{value:.{places}f}"
    environment.filters["signed"] = lambda value: "–" if value is None else f"{value:+.3f}"
    environment.filters["question"] = lambda text: text.replace("<image>", "").replace("<video>", "").strip()
    return environment
