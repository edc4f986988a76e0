"""Per-task metrics for a training log: rewards, and the share of the learning signal."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from trainers.advantages.base import Labels, read, to_float64
from trainers.advantages.pools import pool


@dataclass(frozen=True)
class TaskSummary:
    """One task in one batch; mean and std are NaN where no reward was finite."""

    rows: int
    excluded: int  # of them, with a reward that is not finite
    reward_mean: float
    reward_std: float  # over n
    share: float  # of the batch's ΣA²: the share of squared gradient, were all responses' score vectors of one length


def by_task(rewards: Any, tasks: Labels, advantages: Any) -> dict[str, TaskSummary]:
    """A summary of each task of a batch, by task key in alphabetical order. The shares add up to 1, or are all 0."""
    signal = to_float64(advantages)
    rows = read(to_float64(rewards), range(len(signal)), tasks)
    usable = rows.usable()
    squares = np.bincount(rows.task, weights=signal**2, minlength=len(rows.tasks))
    whole = float(squares.sum())
    summaries = {}
    for code, task in enumerate(rows.tasks):
        mine = rows.task == code
        kept = rows.rewards[mine & usable]
        pools = pool(kept, np.zeros(len(kept), dtype=np.intp)) if len(kept) else None
        summaries[str(task)] = TaskSummary(
            rows=int(mine.sum()),
            excluded=int((mine & ~usable).sum()),
            reward_mean=float(pools.mean[0]) if pools else float("nan"),
            reward_std=float(pools.std(unbiased=False)[0]) if pools else float("nan"),
            share=float(squares[code]) / whole if whole > 0 else 0.0,
        )
    return dict(sorted(summaries.items()))
