"""Advantage estimators for group-based reinforcement learning, knowing no trainer: numpy in, numpy out.

An estimator turns the rewards of a whole batch (gathered over all ranks), the group of each row (the prompt that it
answers) and the task key of each row into one advantage a row. docs/explanation/ema_grpo.md has the formulas and how
to choose.
"""

from typing import Any

from trainers.advantages.base import Estimate, Estimator
from trainers.advantages.dr_grpo import DrGrpo
from trainers.advantages.ema_grpo import EmaGrpo
from trainers.advantages.g2rpo import G2rpo
from trainers.advantages.gdpo import Gdpo
from trainers.advantages.grpo import Grpo
from trainers.advantages.summary import TaskSummary, by_task

__all__ = ["DrGrpo", "EmaGrpo", "Estimate", "Estimator", "G2rpo", "Gdpo", "Grpo", "TaskSummary", "by_task", "named"]

ESTIMATORS: dict[str, type[Estimator]] = {found.name: found for found in (Grpo, DrGrpo, EmaGrpo, Gdpo, G2rpo)}


def named(name: str, **config: Any) -> Estimator:
    """The estimator that a training config calls `name`, built with its settings.

    Raises ValueError for a name nobody knows or a setting that makes no sense, TypeError for a setting it has not got.
    """
    if name not in ESTIMATORS:
        raise ValueError(f"unknown advantage estimator '{name}'; known: {', '.join(sorted(ESTIMATORS))}")
    return ESTIMATORS[name](**config)
