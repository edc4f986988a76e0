"""Who scores answers in words: a file each. A run names one, and its verdicts say which it was.

    rouge                                                   the task's own overlap of words (the default)
    reward_model:vllm:internlm/POLAR-7B@http://host:30000   a reward model over HTTP (or sglang, lmdeploy)
    judge, judge:openai:gpt-5                               judgements kept in the corpus, of all judges or of one

Each file has `open_scorer(rest, corpus)`, which gives a `Scorer` for what follows the first colon.
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

OWN = "rouge"  # leaves the task's own scores
UNANSWERED = ("reward_model_failed", "not_judged", "worker_died")  # not known yet: the next run asks again


@dataclass(frozen=True)
class Question:
    """One answer to be scored against its reference."""

    trace_id: str
    problem: str
    reference: str
    answer: str


@dataclass(frozen=True)
class Score:
    """What a scorer says of it: accuracy from 0 to 1, its own raw number, or the reason why there is none."""

    accuracy: float | None
    raw: float | None = None
    reason: str | None = None


class Scorer(Protocol):
    """Scores answers in words. `word` names it, and all that changes its scores, in verdicts."""

    word: str

    def scores(self, questions: Sequence[Question]) -> list[Score]:
        """A score for each question, in order."""


@cache
def in_words() -> frozenset[str]:
    """The problem types whose answers are free text."""
    from corpus.tasks import tasks

    return frozenset(name for name, task in tasks().items() if task.in_words)


def scorer(spec: str, corpus: Corpus) -> Scorer:
    """The scorer that a spec names. Raises UsageError for an unknown one or a spec that it cannot read."""
    name, _, rest = spec.partition(":")
    known = modules(__name__)
    if name not in known:
        raise UsageError(f"unknown scorer '{name}'{near(name, known)}")
    found: Scorer = known[name].open_scorer(rest, corpus)
    return found


def rescored(scorer: Scorer, rows: pa.Table, numbers: pa.Table) -> pa.Table:
    """`numbers` with the scorer's accuracy for the rows of its type whose answer can be read and whose truth is there.

    `rows` has trace_id, problem_type, problem, response and ground_truth. The task's own accuracy stays as the
    component `overlap`, the scorer's raw number comes under its name.
    """
    if scorer.word == OWN:
        return numbers
    types, responses, truths = (rows[name].to_pylist() for name in ("problem_type", "response", "ground_truth"))
    places = [i for i, name in enumerate(types) if name in in_words() and truths[i] and split(responses[i]).answer]
    if not places:
        return numbers
    asked = rows.take(pa.array(places))
    questions = [
        Question(row["trace_id"], row["problem"] or "", row["ground_truth"], split(row["response"]).answer or "")
        for row in asked.select(["trace_id", "problem", "ground_truth", "response"]).to_pylist()
    ]
    scores = scorer.scores(questions)
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
