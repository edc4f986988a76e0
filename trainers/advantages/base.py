"""The base class of estimators: how rows are read, which are excluded, and what is returned."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from trainers.advantages.pools import Bools, Codes, Floats, encode_labels

LOG = logging.getLogger(__name__)
ALL = "all"  # the task key of rows without one
LARGEST = 1e18  # squares of much larger rewards overflow a float32 moment

Labels = Iterable[Hashable]
State = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Rows:
    """A batch as numbers: rewards (rows,) or (rows, components), group and task codes (rows,) and their labels."""

    rewards: Floats
    group: Codes
    task: Codes
    groups: list[Hashable]
    tasks: list[Hashable]

    def usable(self) -> Bools:
        """The rows whose rewards are all finite and at most LARGEST in size."""
        fine = np.abs(self.rewards) <= LARGEST  # NaN compares false
        return np.asarray(fine if fine.ndim == 1 else fine.all(axis=1))

    def where(self, keep: Bools) -> "Rows":
        """These rows only; labels and codes are unchanged."""
        return replace(self, rewards=self.rewards[keep], group=self.group[keep], task=self.task[keep])


@dataclass(frozen=True)
class AdvantageEstimate:
    """The advantages of a batch, in row order, with the excluded rows and guarded parts that a log should show."""

    advantages: Floats
    excluded: dict[str, int]  # rows excluded for a reward that is not finite, by task key
    guarded: tuple[tuple[str, Hashable], ...] = ()  # the (task, group) parts that the guard changed


class Estimator(ABC):
    """Turns the rewards, groups and task keys of a whole batch into one advantage per row.

    Rules for every estimator: a reward that is not finite (or beyond 1e18, whose square overflows float32) is excluded
    from all statistics, its own advantage is 0, and it is counted by task; a group with fewer than two usable rewards
    gets 0; a constant group gets exactly 0 (unless EmaGrpo has centre=False). The result does not depend on the order
    of rows, nor on which rank held which.
    """

    name: ClassVar[str]

    def advantages(self, rewards: Any, groups: Labels, tasks: Labels | None = None, *, update: bool = True) -> Floats:
        """One float64 advantage per row; excluded rows are logged as warnings.

        `rewards` may be a list (None for "could not be scored"), an array or a torch tensor of any device and type.
        `groups` and `tasks` are labels, one per row; without tasks all rows belong to the task "all".
        Pass `update=False` to leave an estimator's state alone (evaluation; or after `observe`).
        """
        found = self.estimate(rewards, groups, tasks, update=update)
        for task, count in found.excluded.items():
            LOG.warning("%s: %d reward(s) of task '%s' are not finite: excluded, advantage 0", self.name, count, task)
        return found.advantages

    def estimate(
        self, rewards: Any, groups: Labels, tasks: Labels | None = None, *, update: bool = True
    ) -> AdvantageEstimate:
        """`advantages` with the excluded rows and guarded parts, and nothing logged."""
        rows = read(self._rewards(rewards), groups, tasks)
        usable = rows.usable()
        result = np.zeros(len(usable))
        guarded: tuple[tuple[str, Hashable], ...] = ()
        if usable.any():
            result[usable], guarded = self._estimate(rows.where(usable), update)
        return AdvantageEstimate(result, _count_excluded(rows, usable), guarded)

    def observe(self, rewards: Any, tasks: Labels | None = None) -> None:  # noqa: B027 - nothing to do without state
        """Update the state from rewards without computing advantages; estimators without state ignore it.

        For statistics before online filtering: observe all rows, then estimate the kept ones with `update=False`.
        """

    def state_dict(self) -> State:
        """The state for a checkpoint; empty for an estimator without state."""
        return {}

    def load_state_dict(self, state: Mapping[str, Mapping[str, float]]) -> None:
        """Restore a checkpoint's state. Raises ValueError if it cannot belong to this estimator."""
        if state:
            keys = ", ".join(map(repr, sorted(state)))
            raise ValueError(f"{self.name} has no state, but the checkpoint holds state for {keys}")

    def _rewards(self, rewards: Any) -> Floats:
        array = to_float64(rewards)
        if array.ndim != 1:
            raise ValueError(f"{self.name} takes one reward per row, not shape {array.shape}; Gdpo takes components")
        return array

    @abstractmethod
    def _estimate(self, rows: Rows, update: bool) -> tuple[Floats, tuple[tuple[str, Hashable], ...]]:
        """Advantages and guarded parts of one or more usable rows."""


def to_float64(values: Any) -> Floats:
    """Any array-like as float64, None as NaN; tensors are recognised by their methods, so torch is not imported."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, dtype=np.float64)


def read(rewards: Floats, groups: Labels, tasks: Labels | None) -> Rows:
    """A batch as numbers. Raises ValueError unless there is one group and one task per reward."""
    count = len(rewards)
    group, group_labels = encode_labels(groups, count, "groups")
    task, task_labels = encode_labels([ALL] * count if tasks is None else tasks, count, "task keys")
    return Rows(rewards, group, task, group_labels, task_labels)


def _count_excluded(rows: Rows, usable: Bools) -> dict[str, int]:
    if usable.all():
        return {}
    counts = np.bincount(rows.task[~usable], minlength=len(rows.tasks))
    return dict(sorted((str(rows.tasks[code]), int(counts[code])) for code in np.flatnonzero(counts)))
