"""What the plug-ins share: a response's reward, its task key, and the estimator with its checkpoints.

Settings come from environment variables, because other trainers' configs have no field for them:
ONETHINKER_PROFILE (strict), ONETHINKER_ESTIMATOR (ema_grpo), ONETHINKER_TASK_KEYS (released).
"""

import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from corpus.errors import OneThinkerError
from filters import score
from trainers.advantages import Estimator, checkpoint, create_estimator
from trainers.rewards import PARTS
from trainers.task_keys import task_keys


@cache
def estimator() -> Estimator:
    """The estimator of this process, whose moments live as long as the process and are restored from checkpoints."""
    return create_estimator(estimator_name())


def estimator_name() -> str:
    """The configured estimator. Raises OneThinkerError for gdpo: plug-ins receive one reward, not its components."""
    name = os.environ.get("ONETHINKER_ESTIMATOR", "ema_grpo")
    if name == "gdpo":
        raise OneThinkerError("ONETHINKER_ESTIMATOR=gdpo needs a reward's components, and a plug-in receives their sum")
    return name


def save(folder: str | Path) -> None:
    """Write the moments of this process's estimator to a checkpoint folder."""
    checkpoint.save(folder, estimator())


def restore(folder: str | Path) -> None:
    """Restore the moments of a checkpoint. Raises OneThinkerError if it has none, or those of another estimator."""
    checkpoint.load(folder, estimator())


def task_of(row: Mapping[str, Any]) -> str:
    """The task key of a row with problem_type, data_type and, optionally, `task`, its family."""
    scheme = os.environ.get("ONETHINKER_TASK_KEYS", "released")
    return task_keys([row["problem_type"]], [row["data_type"]], [row.get("task")], scheme=scheme)[0]


def score_rows(responses: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Score responses: reward, accuracy, format, structure and reason of each, NaN if it could not be scored.

    A row has answer, problem_type, data_type and, optionally, options and truth. One worker process scores, with the
    verifier's limits on time and memory, because each of a trainer's own workers calls this function.
    """
    table = score(
        responses,
        [row["answer"] for row in rows],
        [row["problem_type"] for row in rows],
        [row["data_type"] for row in rows],
        os.environ.get("ONETHINKER_PROFILE", "strict"),
        options=[row.get("options") for row in rows],
        truth_sources=[row.get("truth") for row in rows],
        workers=1,
    )
    found = []
    for row in table.select(["reward", *PARTS, "reason"]).to_pylist():
        numbers = {name: float("nan") if row[name] is None else row[name] for name in ("reward", *PARTS)}
        found.append(numbers | {"reason": row["reason"]})
    return found
