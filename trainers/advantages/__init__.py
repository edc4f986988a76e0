"""Advantage estimators for group-based reinforcement learning, independent of any trainer: numpy in, numpy out.

An estimator turns the rewards of a whole batch (gathered over all ranks), the group of each row (the prompt that it
answers) and the task key of each row into one advantage per row. docs/explanation/ema_grpo.md has the formulas and how
to choose.
"""

from typing import Any

from trainers.advantages.base import AdvantageEstimate, Estimator
from trainers.advantages.dr_grpo import DrGrpo
from trainers.advantages.ema_grpo import EmaGrpo
from trainers.advantages.g2rpo import G2rpo
from trainers.advantages.gdpo import Gdpo
from trainers.advantages.grpo import Grpo
from trainers.advantages.summary import TaskSummary, by_task

__all__ = [
    "AdvantageEstimate",
    "DrGrpo",
    "EmaGrpo",
    "Estimator",
    "G2rpo",
    "Gdpo",
    "Grpo",
    "TaskSummary",
    "by_task",
    "create_estimator",
]

ESTIMATORS: dict[str, type[Estimator]] = {found.name: found for found in (Grpo, DrGrpo, EmaGrpo, Gdpo, G2rpo)}


def create_estimator(name: str, **config: Any) -> Estimator:
    """Create the estimator that a training config calls `name`, with its settings.

    Raises ValueError for an unknown name or an invalid setting, TypeError for an unknown setting.
    """
    if name not in ESTIMATORS:
        raise ValueError(f"unknown advantage estimator '{name}'; known: {', '.join(sorted(ESTIMATORS))}")
    return ESTIMATORS[name](**config)
