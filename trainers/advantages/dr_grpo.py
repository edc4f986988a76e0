"""Dr.GRPO: each group's rewards, centred but not scaled."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar

from trainers.advantages.base import Estimator, Rows
from trainers.advantages.pools import Floats, pool


@dataclass(frozen=True)
class DrGrpo(Estimator):
    """A = R − mean within a group (arXiv 2503.20783, section 3.2).

    The paper's other half, summing token losses over a constant length, is the trainer's choice of loss.
    """

    name: ClassVar[str] = "dr_grpo"

    def _estimate(self, rows: Rows, update: bool) -> tuple[Floats, tuple[tuple[str, Hashable], ...]]:
        return pool(rows.rewards, rows.group).deviation(), ()
