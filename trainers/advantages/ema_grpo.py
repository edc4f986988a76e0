"""EMA-GRPO: group-centred rewards over a moving standard deviation of their task."""

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from trainers.advantages.base import Estimator, Labels, Rows, State, read, to_float64
from trainers.advantages.pools import Floats, pool

Guard = Literal["group_std", "clip"]
Precision = Literal["float32", "float64"]


@dataclass(frozen=True)
class EmaGrpo(Estimator):
    """A = (R − group mean) / (σ + eps), σ = sqrt(max(m2 − m1², min_std²)) of the row's task.

    OneThinker, arXiv 2512.03043, section 3.3: equations 9 (the moments), 10 (σ) and 11 (A). m1 and m2 are moving
    averages of R and R² over batches, taken from raw rewards; a task's first batch initialises them, and a batch is
    counted before it is scaled. As in the released code eps and min_std keep σ from vanishing.

    guard "group_std" is what the released code does: a (task, group) part in which any |A| exceeds guard_abs_max is
    divided by its own population std instead. "clip" is what the paper says: A is clipped to ±guard_abs_max.
    precision "float32" rounds a batch's two moments to float32, which is what the released code keeps of them (we add
    them up in float64 first). It is invisible while σ² is more than a millionth of m2; rewards that hardly vary around
    a large value want "float64".
    A guarded part without any spread has no std to fall back to and is clipped too (only rows of several tasks in one
    group, or centre=False, can bring that about). centre=False skips the group mean, for ablations.
    """

    name: ClassVar[str] = "ema_grpo"
    decay: float = 0.99
    min_std: float = 1e-3
    eps: float = 1e-6
    guard: Guard = "group_std"
    guard_abs_max: float = 5.0
    centre: bool = True
    precision: Precision = "float32"
    _moments: dict[str, tuple[float, float]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raise ValueError for settings that leave the estimate undefined."""
        if not 0 <= self.decay < 1:
            raise ValueError(f"decay must be at least 0 and below 1, not {self.decay}")
        if not self.min_std > 0:
            raise ValueError(f"min_std must be above 0, not {self.min_std}")
        if not self.eps >= 0:
            raise ValueError(f"eps must be 0 or more, not {self.eps}")
        if self.guard not in get_args(Guard):
            raise ValueError(f"unknown guard '{self.guard}'; known: {', '.join(get_args(Guard))}")
        if self.precision not in get_args(Precision):
            raise ValueError(f"unknown precision '{self.precision}'; known: {', '.join(get_args(Precision))}")
        if not self.guard_abs_max > 0:
            raise ValueError(f"guard_abs_max must be above 0, not {self.guard_abs_max}")

    def observe(self, rewards: Any, tasks: Labels | None = None) -> None:
        """Update the moments from a batch without computing advantages."""
        array = self._rewards(to_float64(rewards))
        rows = read(array, range(len(array)), tasks)
        if (usable := rows.usable()).any():
            self._moments.update(self._after(rows.where(usable)))

    def state_dict(self) -> State:
        """The moments of every task seen so far, by task key in alphabetical order."""
        return {task: {"m1": m1, "m2": m2} for task, (m1, m2) in sorted(self._moments.items())}

    def load_state_dict(self, state: Mapping[str, Mapping[str, float]]) -> None:
        """Replace the moments by those of a checkpoint; further fields beside m1 and m2 are ignored.

        Raises ValueError, and leaves the moments as they were, when a task lacks one or holds one that is not finite:
        the released code's state stays NaN after one NaN reward, and so would every later advantage.
        """
        loaded = {}
        for task, moments in state.items():
            try:
                m1, m2 = float(moments["m1"]), float(moments["m2"])
            except (KeyError, TypeError) as error:
                raise ValueError(f"the state of task '{task}' needs numbers m1 and m2, not {moments!r}") from error
            if not (math.isfinite(m1) and math.isfinite(m2) and m2 >= 0):
                raise ValueError(f"the state of task '{task}' is not usable: m1 {m1}, m2 {m2}")
            loaded[task] = (m1, m2)
        self._moments.clear()
        self._moments.update(loaded)

    def std(self, task: str) -> float:
        """The current σ of a task; min_std for a task without moments."""
        m1, m2 = self._moments.get(task, (0.0, 0.0))
        return math.sqrt(max(m2 - m1 * m1, self.min_std**2))

    def _after(self, rows: Rows) -> dict[str, tuple[float, float]]:
        """The moments of the batch's tasks, updated by the batch."""
        pools = pool(rows.rewards, rows.task)
        labels = [str(rows.tasks[code]) for code in rows.task[pools.codes]]
        means = pools.mean.astype(self.precision).tolist(), pools.mean_square().astype(self.precision).tolist()
        batch = zip(*means, strict=True)
        after = {}
        for task, (m1, m2) in zip(labels, batch, strict=True):
            before = self._moments.get(task)
            if before is None:
                after[task] = (m1, m2)
            else:
                kept, new = self.decay, 1.0 - self.decay
                after[task] = (kept * before[0] + new * m1, kept * before[1] + new * m2)
        return after

    def _estimate(self, rows: Rows, update: bool) -> tuple[Floats, tuple[tuple[str, Hashable], ...]]:
        after = self._after(rows)
        if update:
            self._moments.update(after)
        # A new task is scaled by its own batch, as its first update would be.
        moments = self._moments if update else after | self._moments
        variance = np.array([m2 - m1 * m1 for m1, m2 in (moments.get(str(t), (0.0, 0.0)) for t in rows.tasks)])
        sigma = np.sqrt(np.maximum(variance, self.min_std**2))[rows.task]
        groups = pool(rows.rewards, rows.group)
        # Even without centring, a group of one has nothing to compare with.
        raw = np.where(groups.per_row(groups.count) > 1, rows.rewards, 0.0)
        numerator = groups.deviation() if self.centre else raw
        scaled: Floats = numerator / (sigma + self.eps)
        over = np.abs(scaled) > self.guard_abs_max
        if not over.any():
            return scaled, ()
        part = rows.task * len(rows.groups) + rows.group
        caught = np.unique(part[over])
        hit = np.isin(part, caught)
        if self.guard == "clip":
            scaled[hit] = self._clip(scaled[hit])
        else:
            parts = pool(rows.rewards[hit], part[hit])
            spread = ~parts.per_row(parts.constant)
            own_std = np.where(spread, parts.per_row(parts.std(unbiased=False)), 1.0)
            scaled[hit] = np.where(spread, numerator[hit] / (own_std + self.eps), self._clip(scaled[hit]))
        names = [(str(rows.tasks[p // len(rows.groups)]), rows.groups[p % len(rows.groups)]) for p in caught]
        return scaled, tuple(sorted(names, key=repr))

    def _clip(self, scaled: Floats) -> Floats:
        return np.clip(scaled, -self.guard_abs_max, self.guard_abs_max)
