"""Scorers of free-text answers, one file each. A run names one, and its verdicts record which.

    rouge                                                   the task's own overlap of words (the default)
    reward_model:vllm:internlm/POLAR-7B@http://host:30000   a reward model over HTTP (or sglang, lmdeploy)
    judge, judge:openai:gpt-5                               judgements in the corpus, of all judges or of one

Each file has `open_scorer(rest, corpus)`, which returns a `Scorer` for the text after the first colon, or None if the
task's own scores stand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import pyarrow as pa

from corpus import Corpus
from corpus.discovery import modules
from corpus.errors import UsageError, near
from corpus.response import split
from corpus.scoring import ACCURACY_SHARE, FORMAT_SHARE

OWN = "rouge"  # keeps the task's own scores
UNANSWERED = ("reward_model_failed", "not_judged", "worker_died")  # unknown for now: the next run asks again


@dataclass(frozen=True)
class FreeTextAnswer:
    """One answer to score against its reference."""

    trace_id: str
    problem: str
    reference: str
    answer: str


@dataclass(frozen=True)
class Score:
    """A scorer's result: accuracy from 0 to 1 and its own raw number, or the reason why there is none."""

    accuracy: float | None
    raw: float | None = None
    reason: str | None = None


class Scorer(Protocol):
    """Scores free-text answers. `word` names it in verdicts, with everything that changes its scores."""

    word: str

    def scores(self, answers: Sequence[FreeTextAnswer]) -> list[Score]:
        """A score for each answer, in order."""


@cache
def list_free_text_types() -> frozenset[str]:
    """The problem types whose answers are free text."""
    from corpus.tasks import tasks

    return frozenset(name for name, task in tasks().items() if task.in_words)


def load_scorer(spec: str, corpus: Corpus) -> Scorer | None:
    """The scorer that `spec` names, None for the task's own. Raises UsageError if it is unknown or malformed."""
    name, _, rest = spec.partition(":")
    known = modules(__name__)
    if name not in known:
        raise UsageError(f"unknown scorer '{name}'{near(name, known)}")
    found: Scorer | None = known[name].open_scorer(rest, corpus)
    return found


def rescore(scorer: Scorer | None, rows: pa.Table, numbers: pa.Table) -> pa.Table:
    """`numbers` with the scorer's accuracy for the free-text rows that have a readable answer and a truth.

    `rows` has trace_id, problem_type, problem, response and ground_truth. The task's own accuracy is kept as the
    component `overlap`, the scorer's raw number under the scorer's name.
    """
    if scorer is None:
        return numbers
    free_text = list_free_text_types()
    types, responses, truths = (rows[name].to_pylist() for name in ("problem_type", "response", "ground_truth"))
    places = [i for i, name in enumerate(types) if name in free_text and truths[i] and split(responses[i]).answer]
    if not places:
        return numbers
    chosen = rows.take(pa.array(places)).select(["trace_id", "problem", "ground_truth", "response"])
    answers = [
        FreeTextAnswer(row["trace_id"], row["problem"] or "", row["ground_truth"], split(row["response"]).answer or "")
        for row in chosen.to_pylist()
    ]
    scores = scorer.scores(answers)
    found = numbers.to_pylist()
    name = scorer.word.partition(":")[0]
    for place, score in zip(places, scores, strict=True):
        row = found[place]
        components = dict(row["components"] or ())
        if row["accuracy"] is not None:
            components["overlap"] = row["accuracy"]
        if score.raw is not None:
            components[name] = score.raw
        row |= {"components": list(components.items()), "accuracy": score.accuracy, "reason": score.reason}
        row["reward"] = None
        if score.accuracy is not None:
            row["reward"] = ACCURACY_SHARE * score.accuracy + FORMAT_SHARE * row["format"] + row["structure"]
    return pa.Table.from_pylist(found, schema=numbers.schema)
