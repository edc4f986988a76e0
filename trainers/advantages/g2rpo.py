"""G²RPO: ranks mapped to normal quantiles, first within a group, then within a task."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import ClassVar

import numpy as np

from trainers.advantages.base import Estimator, Rows
from trainers.advantages.pools import Codes, Floats, pool

TIE_DIGITS = 12  # first-stage scores are rounded to this: sums of the same quantiles differ in their last digits


@dataclass(frozen=True)
class G2rpo(Estimator):
    """The rank i of n becomes Φ⁻¹((i − ½) / n), equal values share the mean of their quantiles; group, then task.

    OpenVLThinkerV2, arXiv 2604.08539 ("Gaussian GRPO"); the two stages, the ½ and the ties are those of the released
    `compute_pertask_gaussian_outcome_advantage_grpo` and `compute_1d_ot` (EasyR1/verl/trainer/core_algos.py). So a
    task's advantages are standard normal whatever its rewards looked like, and only their order counts. A task's mean
    is 0, a group's in general is not.

    One departure: constant groups stay out of the second stage and get 0. In the released code they take the middle
    ranks of their task, which under skewed rewards is not 0; there online filtering removes most of them beforehand.
    """

    name: ClassVar[str] = "g2rpo"

    def _estimate(self, rows: Rows, update: bool) -> tuple[Floats, tuple[tuple[str, Hashable], ...]]:
        groups = pool(rows.rewards, rows.group)
        varied = ~groups.per_row(groups.constant)
        result = np.zeros(len(rows.rewards))
        if varied.any():
            within = normal_scores(rows.rewards[varied], rows.group[varied])
            result[varied] = normal_scores(np.round(within, TIE_DIGITS), rows.task[varied])
        return result, ()


def normal_scores(values: Floats, codes: Codes) -> Floats:
    """Each value's normal quantile by its rank among those of the same code; ties share their mean quantile."""
    pools = pool(values, codes)
    rank = np.arange(len(values)) - pools.first[pools.place]
    size = pools.count[pools.place]
    quantile = np.empty(len(values))
    for n in np.unique(pools.count):
        of_size = size == n
        quantile[of_size] = _quantiles(int(n))[rank[of_size]]
    new = np.empty(len(values), dtype=np.bool_)
    new[0] = True
    new[1:] = (rank[1:] == 0) | (pools.ordered[1:] != pools.ordered[:-1])
    first = np.flatnonzero(new)
    shared = np.add.reduceat(quantile, first) / np.diff(first, append=len(values))
    scores: Floats = pools.back(shared[np.cumsum(new) - 1])
    return scores


@lru_cache(maxsize=1024)
def _quantiles(n: int) -> Floats:
    """Φ⁻¹((i − ½) / n) for i = 1 … n, mirrored so that they add up to exactly 0."""
    inverse = NormalDist().inv_cdf
    upper = np.array([inverse((n - i - 0.5) / n) for i in range(n // 2)])
    return np.concatenate([-upper, np.zeros(n % 2), upper[::-1]])
