"""Rewards of a batch of responses, through the verifier's process pool: the same rules by which data was filtered."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from filters import score
from trainers.encoding import Row
from trainers.task_keys import task_keys

PARTS = ("accuracy", "format", "structure")


@dataclass(frozen=True)
class Judged:
    """One response's scores. `reward` and `accuracy` are None where it could not be scored, and `reason` says why."""

    task: str  # the task key, under which an estimator keeps its moments
    reward: float | None
    accuracy: float | None
    format: float | None
    structure: float | None
    components: dict[str, float]
    reason: str | None = None


def judged(
    rows: Sequence[Row], responses: Sequence[str], *, profile: str, scheme: str, workers: int | None = None
) -> list[Judged]:
    """Score each response against its row's true answer. Raises OneThinkerError for a profile nobody knows."""
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
    keys = keys_of(rows, scheme)
    return [
        Judged(key, components=dict(scores.pop("components") or ()), **scores)
        for key, scores in zip(keys, table.to_pylist(), strict=True)
    ]


def keys_of(rows: Sequence[Row], scheme: str) -> list[str]:
    """The task key of each row."""
    return task_keys(
        [row["problem_type"] for row in rows],
        [row["data_type"] for row in rows],
        [row.get("task") for row in rows],
        scheme=scheme,
    )


def unscored(task: str, reason: str) -> Judged:
    """A response that nobody could judge, because its row's media could not be shown."""
    return Judged(task, None, None, None, None, {}, reason)


def columns(batch: Sequence[Judged], estimator: str) -> Any:
    """What an estimator takes: one reward a row, or for `gdpo` the parts of the reward, each a column."""
    if estimator == "gdpo":
        return {part: [getattr(row, part) for row in batch] for part in PARTS}
    return [row.reward for row in batch]
