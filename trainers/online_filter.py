"""Online filtering: groups whose responses are all right or all wrong are replaced by groups of other prompts.

Decisions and a source of prompts only; the trainer generates.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from corpus.ranges import Range
from trainers.config import check_ranges, settings


@settings
@dataclass(frozen=True)
class FilterSettings:
    """Which groups are kept, and how the others are replaced.

    A group is kept if its mean accuracy is above `low` and below `high` (the released trainer's 0.01 and 0.99).
    `rounds` bounds how often new prompts are tried; groups still missing are left out of the step. With
    `same_task` a prompt is replaced by one of its own task, which keeps the mixture. With `statistics` "before", the
    estimator's moments include the responses that the filter drops; the released code uses "after".
    """

    low: float = 0.01
    high: float = 0.99
    rounds: int = 3
    same_task: bool = False
    statistics: Literal["before", "after"] = "after"

    def __post_init__(self) -> None:
        """Raise ValueError for an empty band, or rounds out of range."""
        check_ranges(self, {"low": Range(-1, 1), "high": Range(0, 2), "rounds": Range(0, 1000)})
        if not self.low < self.high:
            raise ValueError(f"low {self.low} must be below high {self.high}")

    def keeps(self, accuracies: Sequence[float | None]) -> bool:
        """Whether a group with these accuracies is kept; responses without a score do not count."""
        known = [a for a in accuracies if a is not None and np.isfinite(a)]
        return len(known) > 1 and self.low < sum(known) / len(known) < self.high


@dataclass
class Reserve:
    """Replacement prompts: every row of the dataset, in a shuffled order divided among the ranks.

    `tasks` has the task key of each row. A checkpoint saves the position.
    """

    tasks: Sequence[str]
    seed: int
    rank: int = 0
    ranks: int = 1
    taken: Counter[str] = field(default_factory=Counter)
    _orders: dict[str, np.ndarray] = field(default_factory=dict)

    def take(self, wanted: Sequence[str | None]) -> list[int]:
        """Take a row for each task key wanted (None: any task)."""
        return [self._next(task or "") for task in wanted]

    def state_dict(self) -> dict[str, int]:
        """The number of rows taken by task key ("": any task)."""
        return dict(sorted(self.taken.items()))

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Restore the position of a checkpoint."""
        self.taken = Counter(state)

    def _next(self, task: str) -> int:
        rows = self._rows(task)
        place = self.taken[task] * self.ranks + self.rank
        self.taken[task] += 1
        turn, place = divmod(place, len(rows))
        # Each pass through the rows has its own order.
        return int(rows[np.random.default_rng([self.seed, 7, turn]).permutation(len(rows))[place]])

    def _rows(self, task: str) -> np.ndarray:
        if not self._orders:
            by_task = defaultdict(list)
            for row, key in enumerate(self.tasks):
                by_task[key].append(row)
            self._orders = {key: np.array(rows) for key, rows in by_task.items()}
            self._orders[""] = np.arange(len(self.tasks))
        return self._orders[task]
