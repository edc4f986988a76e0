"""What all estimators share: how rows are read, which are left out, what comes back."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from trainers.advantages.pools import Bools, Codes, Floats, coded

LOG = logging.getLogger(__name__)
ALL = "all"  # the task key of rows that came without one
LARGEST = 1e18  # the square of anything far beyond would overflow a moment in float32

Labels = Iterable[Hashable]
State = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Rows:
    """A batch as numbers: rewards (one a row, or one a row and component), group and task codes with their labels."""

    rewards: Floats
    group: Codes
    task: Codes
    groups: list[Hashable]
    tasks: list[Hashable]

    def usable(self) -> Bools:
        """The rows whose every reward is finite and not absurdly large."""
        fine = np.abs(self.rewards) <= LARGEST  # NaN compares false
        return np.asarray(fine if fine.ndim == 1 else fine.all(axis=1))

    def where(self, keep: Bools) -> "Rows":
        """These rows only, labels untouched."""
        return replace(self, rewards=self.rewards[keep], group=self.group[keep], task=self.task[keep])


@dataclass(frozen=True)
class Estimate:
    """The advantages of a batch, in row order, and what a person should hear about how they came to be."""

    advantages: Floats
    excluded: dict[str, int]  # rows left out for a reward that is not finite, by task key
    guarded: tuple[tuple[str, Hashable], ...] = ()  # the (task, group) parts that the guard changed


class Estimator(ABC):
    """Rewards, groups and task keys of a whole batch in, one advantage a row out.

    Rules for every estimator: a reward that is not finite (or beyond 1e18, whose square overflows float32) is left out
    of all statistics, its own advantage is 0, and it is counted by task; a group left with fewer than two rewards gets
    0; a constant group gets exactly 0 (unless EmaGrpo was told not to centre). The result does not depend on the order
    of rows, nor on which rank held which.
    """

    name: ClassVar[str]

    def advantages(self, rewards: Any, groups: Labels, tasks: Labels | None = None, *, update: bool = True) -> Floats:
        """One float64 advantage a row; what `estimate` counted as excluded goes to the log as a warning.

        `rewards` may be a list (None for "could not be scored"), an array or a torch tensor of any device and type.
        `groups` and `tasks` are labels, one a row; without tasks all rows belong to the task "all".
        Pass `update=False` to leave an estimator's state alone (evaluation; or after `observe`).
        """
        found = self.estimate(rewards, groups, tasks, update=update)
        for task, count in found.excluded.items():
            LOG.warning("%s: %d reward(s) of task '%s' are not finite: left out, advantage 0", self.name, count, task)
        return found.advantages

    def estimate(self, rewards: Any, groups: Labels, tasks: Labels | None = None, *, update: bool = True) -> Estimate:
        """The same as `advantages`, with the excluded rows and the guarded parts beside them, and nothing logged."""
        rows = read(self._rewards(rewards), groups, tasks)
        usable = rows.usable()
        result = np.zeros(len(usable))
        guarded: tuple[tuple[str, Hashable], ...] = ()
        if usable.any():
            result[usable], guarded = self._estimate(rows.where(usable), update)
        return Estimate(result, _excluded(rows, usable), guarded)

    def observe(self, rewards: Any, tasks: Labels | None = None) -> None:  # noqa: B027 - nothing to do without state
        """Take rewards into the state without asking for advantages; estimators without state ignore it.

        For statistics before online filtering: observe all rows, then ask for the kept ones with `update=False`.
        """

    def state_dict(self) -> State:
        """What a checkpoint must hold; empty where nothing is remembered between batches."""
        return {}

    def load_state_dict(self, state: Mapping[str, Mapping[str, float]]) -> None:
        """Take a checkpoint's state. Raises ValueError where it cannot belong to this estimator."""
        if state:
            keys = ", ".join(map(repr, sorted(state)))
            raise ValueError(f"{self.name} remembers nothing, yet the checkpoint holds state for {keys}")

    def _rewards(self, rewards: Any) -> Floats:
        array = floats(rewards)
        if array.ndim != 1:
            raise ValueError(f"{self.name} takes one reward a row, not shape {array.shape}; Gdpo takes components")
        return array

    @abstractmethod
    def _estimate(self, rows: Rows, update: bool) -> tuple[Floats, tuple[tuple[str, Hashable], ...]]:
        """Advantages and guarded parts of usable rows, of which there is at least one."""


def floats(values: Any) -> Floats:
    """Any array-like as float64, None as NaN; tensors are recognised by their methods, so torch is not imported."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, dtype=np.float64)


def read(rewards: Floats, groups: Labels, tasks: Labels | None) -> Rows:
    """A batch as numbers. Raises ValueError when there is not one group and one task for each reward."""
    count = len(rewards)
    group, group_labels = coded(groups, count, "groups")
    task, task_labels = coded([ALL] * count if tasks is None else tasks, count, "task keys")
    return Rows(rewards, group, task, group_labels, task_labels)


def _excluded(rows: Rows, usable: Bools) -> dict[str, int]:
    if usable.all():
        return {}
    counts = np.bincount(rows.task[~usable], minlength=len(rows.tasks))
    return dict(sorted((str(rows.tasks[code]), int(counts[code])) for code in np.flatnonzero(counts)))
