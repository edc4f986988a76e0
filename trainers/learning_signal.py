"""From scored responses to advantages and to the metrics of a step."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np

from trainers.advantages import AdvantageEstimate, Estimator, by_task
from trainers.rewards import PARTS, ScoredResponse, columns


@dataclass(frozen=True)
class Advantages:
    """This rank's rows: each one's advantage, and whether it is learnt from."""

    values: list[float]
    learnt: list[bool]


@dataclass(frozen=True)
class LearningSignal:
    """This rank's advantages, and the metrics of the whole batch."""

    mine: Advantages
    metrics: dict[str, float]


def compute_signal(
    estimator: Estimator,
    everyone: Sequence[tuple[ScoredResponse, bool]],
    group_size: int,
    *,
    mine: slice,
    seen: Sequence[ScoredResponse],
    observe_seen: bool = False,
    update: bool = True,
) -> LearningSignal:
    """Compute the advantages of the rows `mine` among all ranks' rows, in groups of `group_size` to one prompt.

    `everyone` has each row's scores and whether it is kept; the others get advantage 0 and enter no statistic. `seen`
    holds all responses scored before the filter, which the metrics describe; with `observe_seen` they update the
    estimator's state, instead of the kept rows.
    """
    kept = [i for i, (_, keep) in enumerate(everyone) if keep]
    rows = [everyone[i][0] for i in kept]
    tasks = [row.task for row in rows]
    if observe_seen and update:
        estimator.observe(columns(seen, estimator.name), [row.task for row in seen])
    found = AdvantageEstimate(np.zeros(0), {})
    if rows:
        groups = [i // group_size for i in kept]
        rewards = columns(rows, estimator.name)
        found = estimator.estimate(rewards, groups, tasks, update=update and not observe_seen)
    values, usable = np.zeros(len(everyone)), np.zeros(len(everyone), dtype=bool)
    values[kept] = found.advantages
    usable[kept] = [row.reward is not None and isfinite(row.reward) for row in rows]
    metrics = {
        "advantages/learnt_from": float(usable.mean()),
        "advantages/excluded": float(sum(found.excluded.values())),
        "advantages/guarded": float(len(found.guarded)),
    }
    metrics |= _rewards(seen) | _shares(rows, tasks, found) | _moments(estimator)
    return LearningSignal(Advantages(values[mine].tolist(), usable[mine].tolist()), metrics)


def _rewards(seen: Sequence[ScoredResponse]) -> dict[str, float]:
    """Reward metrics by task, with the reward's components."""
    metrics: dict[str, float] = {}
    tasks = [row.task for row in seen]
    for task, summary in by_task([row.reward for row in seen], tasks, [0.0] * len(seen)).items():
        name, mine = f"task/{task}", [row for row in seen if row.task == task]
        metrics |= {
            f"{name}/rows": float(summary.rows),
            f"{name}/unscored": float(summary.excluded),
            f"{name}/reward_mean": summary.reward_mean,
            f"{name}/reward_std": summary.reward_std,
        }
        for part in PARTS:
            metrics[f"{name}/{part}"] = _mean([getattr(row, part) for row in mine])
        for part in sorted({part for row in mine for part in row.components}):
            metrics[f"{name}/component/{part}"] = _mean([row.components.get(part) for row in mine])
    return metrics


def _shares(rows: Sequence[ScoredResponse], tasks: list[str], found: AdvantageEstimate) -> dict[str, float]:
    """Each task's share of the squared gradient (see `trainers.advantages.by_task`)."""
    if not rows:
        return {}
    summaries = by_task([row.reward for row in rows], tasks, found.advantages)
    return {f"task/{task}/share": summary.share for task, summary in summaries.items()}


def _moments(estimator: Estimator) -> dict[str, float]:
    metrics = {}
    for task, moments in estimator.state_dict().items():
        for name, value in moments.items():
            metrics[f"task/{task}/{name}"] = value
        if "m1" in moments and "m2" in moments:
            metrics[f"task/{task}/sigma"] = sqrt(max(moments["m2"] - moments["m1"] ** 2, 0.0))
    return metrics


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None and isfinite(value)]
    return sum(known) / len(known) if known else float("nan")
