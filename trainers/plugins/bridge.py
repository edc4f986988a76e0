"""What the plug-ins share: a reward for a response that says what it is about, and advantages under its task key.

Settings come from the environment, since other trainers' configs have no place for them: ONETHINKER_PROFILE (strict),
ONETHINKER_ESTIMATOR (ema_grpo), ONETHINKER_TASK_KEYS (released).
"""

import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from filters import score
from trainers.advantages import Estimator, named
from trainers.rewards import PARTS
from trainers.task_keys import task_keys


@cache
def estimator() -> Estimator:
    """The estimator of this process; its moments live as long as the process, or as a checkpoint restores them."""
    return named(os.environ.get("ONETHINKER_ESTIMATOR", "ema_grpo"))


def task_of(row: Mapping[str, Any]) -> str:
    """The task key of a row with problem_type and data_type (and perhaps `task`, its family)."""
    scheme = os.environ.get("ONETHINKER_TASK_KEYS", "released")
    return task_keys([row["problem_type"]], [row["data_type"]], [row.get("task")], scheme=scheme)[0]


def scored(
    responses: Sequence[str], rows: Sequence[Mapping[str, Any]], workers: int | None = 1
) -> list[dict[str, Any]]:
    """Each response's reward, accuracy, format, structure and reason; NaN where it could not be scored.

    A row has answer, problem_type, data_type, and perhaps options and truth.
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
    for told in table.select(["reward", *PARTS, "reason"]).to_pylist():
        known = {name: float("nan") if told[name] is None else told[name] for name in ("reward", *PARTS)}
        found.append(known | {"reason": told["reason"]})
    return found
