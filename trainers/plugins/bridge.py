"""What the plug-ins share: a reward for a response that says what it is about, and advantages under its task key.

Settings come from the environment, since other trainers' configs have no place for them: ONETHINKER_PROFILE (strict),
ONETHINKER_ESTIMATOR (ema_grpo), ONETHINKER_TASK_KEYS (released).
"""

import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from corpus.errors import OneThinkerError
from filters import score
from trainers.advantages import Estimator, checkpoint, named
from trainers.rewards import PARTS
from trainers.task_keys import task_keys


@cache
def estimator() -> Estimator:
    """The estimator of this process; its moments live as long as the process, or as a checkpoint restores them."""
    return named(chosen())


def chosen() -> str:
    """The estimator's name. Raises OneThinkerError for gdpo: other trainers hand over one reward, not its parts."""
    name = os.environ.get("ONETHINKER_ESTIMATOR", "ema_grpo")
    if name == "gdpo":
        raise OneThinkerError("ONETHINKER_ESTIMATOR=gdpo wants a reward's parts, and a plug-in is given their sum")
    return name


def save(folder: str | Path) -> None:
    """Write the moments of this process's estimator to a checkpoint folder."""
    checkpoint.save(folder, estimator())


def restore(folder: str | Path) -> None:
    """Restore the moments of a checkpoint. Raises OneThinkerError if it has none, or those of another estimator."""
    checkpoint.load(folder, estimator())


def task_of(row: Mapping[str, Any]) -> str:
    """The task key of a row with problem_type and data_type (and perhaps `task`, its family)."""
    scheme = os.environ.get("ONETHINKER_TASK_KEYS", "released")
    return task_keys([row["problem_type"]], [row["data_type"]], [row.get("task")], scheme=scheme)[0]


def scored(responses: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each response's reward, accuracy, format, structure and reason; NaN where it could not be scored.

    A row has answer, problem_type, data_type, and perhaps options and truth. One worker process scores, with the
    verifier's limits on time and memory; a trainer has workers of its own, and each of them calls this.
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
