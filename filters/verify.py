"""Verification: gives a verdict to every trace of a slice that has none yet.

A verdict belongs to a trace, a profile and a verifier: the version of the rules that made it. When a task's rules
change, so does its version, and the next run scores that task's traces again; older verdicts stay.
"""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from time import monotonic

import pyarrow as pa
import pyarrow.compute as pc

from corpus import Corpus
from corpus.errors import OneThinkerError, near
from corpus.progress import progress
from corpus.runs import Run
from corpus.sql_gate import condition
from filters.score import INPUT, score_tables
from filters.scorers import OWN, UNANSWERED, Scorer, list_free_text_types, load_scorer, rescore
from filters.scratch_db import open_scratch_db, stream

COMMIT_ROWS = 25_000
COMMIT_S = 10.0

# The columns that --where may use: the sample's, and those that distinguish its traces.
_UNSCORED = """
    from traces t
    join samples s on s.sample_id = t.sample_id
    left join (select unnest($types) as problem_type, unnest($verifiers) as verifier) r
      on r.problem_type = s.problem_type
    where t.mode is distinct from 'judge' {chosen}
      and not exists (select 1 from verdicts v
                      where v.trace_id = t.trace_id and v.profile = $profile and v.verifier = r.verifier)"""
_CHOSEN = """and t.trace_id in (
    select trace_id from samples join
      (select sample_id, trace_id, teacher, mode, prompt_id, attempt, finish_reason, flag from traces) using (sample_id)
    where {where})"""


@dataclass(frozen=True)
class Verification:
    """What one run of `verify` did: how many traces got a verdict, and the verdicts' reasons (`ok` where none)."""

    run_id: str
    profile: str
    traces: int
    reasons: dict[str, int]


def verify(
    corpus: Corpus,
    where: str | None = None,
    profile: str = "strict",
    workers: int | None = None,
    *,
    open_ended: str = OWN,
) -> Verification:
    """Score every trace of the slice that this profile's current rules have not scored, into `verdicts`.

    `where` is an SQL condition over the columns of samples and over teacher, mode, prompt_id, attempt, finish_reason
    and flag of their traces. Verdicts are committed every few seconds, so a run that is stopped loses little, and the
    same call continues it. A slice without such traces writes only the run. `open_ended` names the scorer of free-text
    answers: see `filters.scorers`.

    Raises OneThinkerError if the profile is unknown, the slice has a problem type without a task, or DuckDB rejects the
    condition.
    """
    scorer = load_scorer(open_ended, corpus)
    word = scorer.word if scorer else OWN
    rules = list_verifiers(profile, word)
    todo = _UNSCORED.format(chosen=_CHOSEN.format(where=condition(where)) if where else "")
    params = {"types": list(rules), "verifiers": list(rules.values()), "profile": profile}
    types = dict(corpus.sql(f"select s.problem_type, count(*) {todo} group by 1 order by 1", params).fetchall())
    for name in types.keys() - rules.keys():
        raise OneThinkerError(
            f"{types[name]:,} traces of the slice have the problem_type '{name}', "
            f"which no task knows{near(name, rules)}; "
            f"leave them out with --where \"problem_type <> '{name}'\", or add the task"
        )
    total = sum(types.values())
    config = {"where": where, "profile": profile, "open_ended": word}
    with corpus.run("verify", config) as run, progress("verify", total) as bar:
        with open_scratch_db() as db:
            if total:
                db.register(
                    "arrived",
                    corpus.sql(f"select t.trace_id, t.sample_id, r.verifier {todo}", params).to_arrow_reader(),
                )
                db.execute("create table wanted as select * from arrived")
                db.unregister("arrived")
            columns = "problem_type, data_type, options, truth, answer as ground_truth"
            columns += ", problem" if scorer else ""
            rows = stream(db, corpus, "wanted", "response", columns) if total else iter(())
            for verdicts in _join_batches(make_verdicts(rows, profile, workers, scorer)):
                reasons = commit(run, verdicts)
                bar.advance(verdicts.num_rows, **reasons)
        done = dict(sorted(run.counts.items(), key=lambda pair: -pair[1]))
        return Verification(run.run_id, profile, sum(done.values()), done)


@cache
def list_verifiers(profile: str, open_ended: str = OWN) -> dict[str, str]:
    """The verifier word of each problem type under a profile: the versions of the task's and the profile's rules.

    Free-text types include their scorer's word if it is not the task's own.
    """
    from corpus import scoring
    from corpus.tasks import tasks

    scoring.find_profile(profile)
    rules = {name: f"{name}@{task.version} {profile}@{scoring.VERSION}" for name, task in tasks().items()}
    if open_ended == OWN:
        return rules
    return rules | {name: f"{rules[name]} {open_ended}" for name in list_free_text_types()}


def make_verdicts(
    rows: Iterator[pa.Table], profile: str, workers: int | None, scorer: Scorer | None
) -> Iterator[pa.Table]:
    """Verdict rows for the traces in `rows`, one table for each."""
    waiting: deque[pa.Table] = deque()

    def tables() -> Iterator[pa.Table]:
        for table in rows:
            waiting.append(table)
            yield table.select(INPUT.names)

    for numbers in score_tables(tables(), profile, workers):
        table = waiting.popleft()
        numbers = rescore(scorer, table, numbers)
        # An unknown score gets a verifier word of its own, so that the next run asks again.
        unanswered = pc.fill_null(pc.is_in(numbers["reason"], value_set=pa.array(UNANSWERED)), False)
        verifier = pc.if_else(
            unanswered, pc.binary_join_element_wise(table["verifier"], "unanswered", " "), table["verifier"]
        )
        verdicts = pa.table({"trace_id": table["trace_id"], "verifier": verifier})
        verdicts = verdicts.append_column("profile", pa.array([profile] * len(verdicts), pa.string()))
        for name in numbers.column_names:
            verdicts = verdicts.append_column(name, numbers[name])
        yield verdicts


def _join_batches(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The tables concatenated to batches for one commit each."""
    held: list[pa.Table] = []
    last = monotonic()
    for table in tables:
        held.append(table)
        if sum(map(len, held)) >= COMMIT_ROWS or monotonic() - last >= COMMIT_S:
            yield pa.concat_tables(held, promote_options="permissive")
            held, last = [], monotonic()
    if held:
        yield pa.concat_tables(held, promote_options="permissive")


def commit(run: Run, verdicts: pa.Table) -> Counter[str]:
    """Write verdicts in one transaction and count them in the run; returns the count of each reason (`ok`: none)."""
    with run.transaction(f"{len(verdicts):,} verdicts") as tx:
        tx.append("verdicts", verdicts)
    counted = pc.value_counts(pc.fill_null(verdicts["reason"], "ok")).to_pylist()
    reasons = Counter({row["values"]: row["counts"] for row in counted})
    run.counts += reasons
    return reasons
