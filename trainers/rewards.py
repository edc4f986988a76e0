"""Rewards of a batch of responses, from the verifier's process pool: the same rules that filter the data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from filters import score
from trainers.encoding import Row
from trainers.task_keys import task_keys

PARTS = ("accuracy", "format", "structure")


@dataclass(frozen=True)
class ScoredResponse:
    """One response's scores. `reward` and `accuracy` are None if it could not be scored, and `reason` says why."""

    task: str  # the task key, under which an estimator keeps its moments
    reward: float | None
    accuracy: float | None
    format: float | None
    structure: float | None
    components: dict[str, float]
    reason: str | None = None


def score_responses(
    rows: Sequence[Row], responses: Sequence[str], *, profile: str, scheme: str, workers: int | None = None
) -> list[ScoredResponse]:
    """Score each response against its row's true answer. Raises OneThinkerError for an unknown profile."""
    table = score(
        responses,
        [row["answer"] for row in rows],
        [row["problem_type"] for row in rows],
        [row["data_type"] for row in rows],
        profile,
        options=[row.get("options") for row in rows],
        truth_sources=[row.get("truth") for row in rows],
        workers=workers,
    )
    keys = task_keys_of(rows, scheme)
    return [
        ScoredResponse(key, components=dict(scores.pop("components") or ()), **scores)
        for key, scores in zip(keys, table.to_pylist(), strict=True)
    ]


def task_keys_of(rows: Sequence[Row], scheme: str) -> list[str]:
    """The task key of each row."""
    return task_keys(
        [row["problem_type"] for row in rows],
        [row["data_type"] for row in rows],
        [row.get("task") for row in rows],
        scheme=scheme,
    )


def mark_unscored(task: str, reason: str) -> ScoredResponse:
    """The scores of a response whose row's media could not be read."""
    return ScoredResponse(task, None, None, None, None, {}, reason)


def columns(batch: Sequence[ScoredResponse], estimator: str) -> Any:
    """An estimator's input: one reward per row, or for `gdpo` one column per component."""
    if estimator == "gdpo":
        return {part: [getattr(row, part) for row in batch] for part in PARTS}
    return [row.reward for row in batch]
