"""The page of a verification run: pass rates, rewards, reasons, disagreements between profiles, examples drawn."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus import Corpus
from corpus.code_version import code_version
from corpus.errors import OneThinkerError, near
from corpus.scoring import find_profile
from onethinker.html_page import fetch_rows, write_page
from onethinker.sample_images import draw_sample

PASSING = 0.5  # accuracy
TWENTIETHS = 0.05
DISAGREEMENTS = 10
ROWS_AT_MOST = 12  # of each table
BY = {
    "task": "task",
    "problem type": "problem_type",
    "source": "source",
    "teacher": "teacher",
    "prompt": "prompt_id[:8] || '… ' || (select p.text[:120] from prompts p where p.prompt_id = judged.prompt_id)",
}

# Each query reads `judged`: the verdicts in the report, with their traces and samples.
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
class VerificationPage:
    """A page that was written: its file, the profile, and how many traces it covers."""

    traces: int
    profile: str
    path: Path


def write(corpus: Corpus, path: Path, *, run: str | None = None, profile: str = "strict") -> VerificationPage:
    """Write the page of the verification run `run`, or of the newest verdicts of `profile` if `run` is None.

    Raises UsageError for an unknown profile, OneThinkerError if the run does not exist (with near names) or if there
    are no verdicts.
    """
    find_profile(profile)
    verdicts = "from latest_verdicts where profile = $profile" if run is None else "from verdicts where run_id = $run"
    judged = _JUDGED.format(verdicts=f"({verdicts})")
    about = None if run is None else _run(corpus, run)
    params = {"run": run, "profile": profile, "passing": PASSING, "width": TWENTIETHS, "most": DISAGREEMENTS}

    def fetch(query: str) -> list[dict[str, Any]]:
        return fetch_rows(corpus, query.replace("{judged}", judged), params)

    totals = fetch("{judged} select profile, count(*) as traces, count(accuracy) as scored from judged group by 1")
    if not totals:
        what = f"run {run} wrote no verdict" if run else f"the corpus holds no verdict of profile '{profile}'"
        raise OneThinkerError(f"{what}; `onethinker verify --profile {profile}` makes them")
    write_page(
        path,
        "report.html",
        about=about,
        profile=totals[0]["profile"],
        totals=totals[0],
        passing=PASSING,
        rates={title: fetch(_RATES.replace("{column}", column)) for title, column in BY.items()},
        rows_at_most=ROWS_AT_MOST,
        rewards=_histogram(fetch(_REWARDS)),
        reasons=fetch(_REASONS),
        examples=[_card(corpus, row, "passes" if row["kept"] else "fails") for row in fetch(_EXAMPLES)],
        disagreements=[_card(corpus, row, _two_scores(row)) for row in fetch(_DISAGREE)],
        code_version=code_version(),
    )
    return VerificationPage(totals[0]["traces"], totals[0]["profile"], path)


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
        row["pictures"] = draw_sample(corpus.media, row, row["given"])
    except (OneThinkerError, OSError) as error:  # media on another machine: the page still has its numbers
        row |= {"pictures": [], "not_shown": str(error)}
    return row


def _two_scores(row: dict[str, Any]) -> str:
    """`strict 0.00 · paper 1.00`."""
    scores = ((row["profile"], row["accuracy"]), (row["other_profile"], row["other_accuracy"]))
    return " · ".join(f"{profile} {'no score' if score is None else f'{score:.2f}'}" for profile, score in scores)


def _histogram(rows: list[dict[str, Any]]) -> list[tuple[float, int]]:
    """(lower edge, traces) of every bin from the lowest reward to the highest, empty ones included."""
    counts = {row["bin"]: row["traces"] for row in rows}
    if not counts:
        return []
    return [(bin * TWENTIETHS, counts.get(bin, 0)) for bin in range(min(0, *counts), max(counts) + 1)]
