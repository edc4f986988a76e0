"""The page of a verification: pass rates, rewards, reasons, where two profiles disagree most, and examples drawn."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus import Corpus
from corpus.code_version import code_version
from corpus.errors import OneThinkerError, near
from onethinker.demo.page import environment
from onethinker.pictures import drawn

PASSING = 0.5  # accuracy
TWENTIETHS = 0.05
DISAGREEMENTS = 10
BARS_AT_MOST = 40
BY = {
    "task": "task",
    "problem type": "problem_type",
    "source": "source",
    "teacher": "teacher",
    "prompt": "prompt_id[:8] || '… ' || (select p.text[:120] from prompts p where p.prompt_id = judged.prompt_id)",
}

# Each part is a question about `judged`: the verdicts reported on, with their traces and samples.
_JUDGED = """with judged as (
    select v.trace_id, v.profile, v.verifier, v.format, v.structure, v.accuracy, v.reward, v.reason, v.components,
           t.teacher, t.prompt_id, t.thinking, t.answer as given, t.response, s.*
    from {verdicts} v join traces t using (trace_id) join samples s on s.sample_id = t.sample_id)"""
_RATES = """{judged}
    select coalesce({column}, '(none)') as name, count(*) as traces, count(accuracy) as scored,
           avg(accuracy) as accuracy, avg((accuracy >= $passing)::int) as passed, avg(reward) as reward
    from judged group by 1 order by traces desc, 1"""
_REWARDS = """{judged}
    select floor(reward / $width)::int as bin, count(*) as traces from judged
    where reward is not null and isfinite(reward) group by 1 order by 1"""
_REASONS = (
    "{judged} select coalesce(reason, 'ok') as reason, count(*) as traces from judged group by 1 order by 2 desc, 1"
)
_EXAMPLES = """{judged}, passed as (select *, accuracy >= $passing as kept from judged where accuracy is not null)
    select * from passed qualify row_number() over (partition by task, kept order by md5(trace_id)) = 1
    order by task, kept desc"""
_DISAGREE = """{judged}
    select j.*, o.profile as other_profile, o.accuracy as other_accuracy, o.reason as other_reason
    from judged j join latest_verdicts o on o.trace_id = j.trace_id and o.profile <> j.profile
    where o.accuracy is distinct from j.accuracy
    order by abs(coalesce(o.accuracy, 2) - coalesce(j.accuracy, 2)) desc, md5(j.trace_id) limit $most"""


@dataclass(frozen=True)
class Reported:
    """What a page was written about."""

    traces: int
    profile: str
    path: Path


def write(corpus: Corpus, path: Path, *, run: str | None = None, profile: str = "strict") -> Reported:
    """Write the page of the verification run `run`, or of the newest verdicts of `profile` where none is named.

    Raises OneThinkerError, with near names, for a run that is not there, and where there are no verdicts.
    """
    about: dict[str, Any] | None = None
    if run is not None:
        about = _run(corpus, run)
        verdicts = "(from verdicts where run_id = $run)"
    else:
        verdicts = "(from latest_verdicts where profile = $profile)"
    judged = _JUDGED.format(verdicts=verdicts)

    def ask(query: str, **params: Any) -> list[dict[str, Any]]:
        query = query.replace("{judged}", judged)
        named = {"run": run, "profile": profile, "passing": PASSING, **params}
        used = {name: value for name, value in named.items() if f"${name}" in query}
        rows: list[dict[str, Any]] = corpus.sql(query, used).to_arrow_table().to_pylist()
        return rows

    totals = ask("{judged} select profile, count(*) as traces, count(accuracy) as scored from judged group by 1")
    if not totals:
        what = f"run {run} wrote no verdict" if run else f"the corpus holds no verdict of profile '{profile}'"
        raise OneThinkerError(f"{what}; `onethinker verify --profile {profile}` makes them")
    rates = {title: ask(_RATES.replace("{column}", column)) for title, column in BY.items()}
    examples = [_card(corpus, row, "passes" if row["kept"] else "fails") for row in ask(_EXAMPLES)]
    disagreements = [
        _card(corpus, row, f"{_said(row, 'profile', 'accuracy')} · {_said(row, 'other_profile', 'other_accuracy')}")
        for row in ask(_DISAGREE, most=DISAGREEMENTS)
    ]
    html = (
        environment()
        .get_template("report.html")
        .render(
            about=about,
            profile=totals[0]["profile"],
            totals=totals[0],
            passing=PASSING,
            rates=rates,
            bars_at_most=BARS_AT_MOST,
            rewards=_histogram(ask(_REWARDS, width=TWENTIETHS)),
            reasons=ask(_REASONS),
            examples=examples,
            disagreements=disagreements,
            code_version=code_version(),
        )
    )
    making = path.with_suffix(".making")
    making.parent.mkdir(parents=True, exist_ok=True)
    making.write_text(html, encoding="utf-8")
    making.replace(path)
    return Reported(totals[0]["traces"], totals[0]["profile"], path)


def _run(corpus: Corpus, run: str) -> dict[str, Any]:
    rows = corpus.sql("select * from runs where kind = 'verify' order by started_at").to_arrow_table().to_pylist()
    for row in rows:
        if row["run_id"] == run:
            return dict(row)
    raise OneThinkerError(f"no verification run '{run}'{near(run, [row['run_id'] for row in rows])}")


def _card(corpus: Corpus, row: dict[str, Any], tag: str) -> dict[str, Any]:
    origin = row["origin"] or {}
    row |= {
        "tag": tag,
        "dropped": None if (row["accuracy"] or 0) >= PASSING else row["reason"] or "fails",
        "origin": f"{origin.get('file')} row {origin.get('row')}",
        "components": dict(row["components"] or []),
    }
    try:
        row["pictures"] = drawn(corpus.media, row, row["given"])
    except (OneThinkerError, OSError) as error:  # media left on another machine: the numbers are worth the page
        row |= {"pictures": [], "not_shown": str(error)}
    return row


def _said(row: dict[str, Any], profile: str, accuracy: str) -> str:
    return f"{row[profile]} " + ("no score" if row[accuracy] is None else f"{row[accuracy]:.2f}")


def _histogram(rows: list[dict[str, Any]]) -> list[tuple[float, int]]:
    """(lower edge, traces) of every bin from the lowest reward to the highest, empty ones included."""
    counts = {row["bin"]: row["traces"] for row in rows}
    if not counts:
        return []
    return [(bin * TWENTIETHS, counts.get(bin, 0)) for bin in range(min(0, *counts), max(counts) + 1)]
