"""GRPO: each group's rewards, centred and divided by the group's own standard deviation."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar

from trainers.advantages.base import Estimator, Rows
from trainers.advantages.pools import Floats, pool


@dataclass(frozen=True)
class Grpo(Estimator):
    """A = (R − mean) / (std + eps) within a group, with the unbiased std (over n − 1).

    DeepSeekMath, arXiv 2402.03300, section 4.1.2; the divisor and eps are those of the released EasyR1 trainer.
    """

    name: ClassVar[str] = "grpo"
    eps: float = 1e-6

    def __post_init__(self) -> None:
        """Raise ValueError for an eps below zero."""
        if not self.eps >= 0:
            raise ValueError(f"eps must be 0 or more, not {self.eps}")

    def _estimate(self, rows: Rows, update: bool) -> tuple[Floats, tuple[tuple[str, Hashable], ...]]:
        return normalise_within_groups(rows.rewards, rows, self.eps), ()


def normalise_within_groups(rewards: Floats, rows: Rows, eps: float) -> Floats:
    """(R − mean) / (unbiased std + eps) within each group; exactly 0 in a constant group."""
    groups = pool(rewards, rows.group)
    std = groups.std(unbiased=True)
    std[groups.constant] = 1.0  # the deviations are 0; avoids 0 / 0 for eps = 0
    result: Floats = groups.deviation() / (groups.per_row(std) + eps)
    return result
