"""GDPO: each reward component normalised in its group, then summed, then scaled over the batch."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from trainers.advantages.base import Estimator, Rows, to_float64
from trainers.advantages.grpo import normalise_within_groups
from trainers.advantages.pools import Floats, pool


@dataclass(frozen=True)
class Gdpo(Estimator):
    """A_k = (R_k − mean) / (std + eps) within a group; S = Σ w_k A_k; A = S / (std of S over the batch + eps).

    arXiv 2601.05242, equations 4 (components), 5 and 7 (sum, weighted) and 6 (batch). Both stds are unbiased and eps is
    1e-4, as in the authors' TRL trainer (NVlabs/GDPO); their verl trainer whitens over tokens instead, which weighs
    long responses more. `rewards` is {component: one number per row} or an array of shape (rows, components).

    A row with a component that is not finite is excluded. Give 0 for a component that a task does not have: it is
    constant in the group and adds nothing.
    """

    name: ClassVar[str] = "gdpo"
    weights: Mapping[str, float] | Sequence[float] | None = None
    eps: float = 1e-4

    def __post_init__(self) -> None:
        """Raise ValueError for an eps below zero."""
        if not self.eps >= 0:
            raise ValueError(f"eps must be 0 or more, not {self.eps}")

    def _rewards(self, rewards: Any) -> Floats:
        """Components as columns, in the order of the weights."""
        if isinstance(rewards, Mapping):
            return self._columns_by_name(rewards)
        array = to_float64(rewards)
        if array.ndim == 1:
            array = array[:, None]
        if array.ndim != 2 or array.shape[1] == 0:
            raise ValueError(f"gdpo takes rewards of shape (rows, components), not {array.shape}")
        if isinstance(self.weights, Mapping):
            raise ValueError("gdpo has weights by component name, so rewards must be {component: numbers}")
        if self.weights is not None and len(self.weights) != array.shape[1]:
            raise ValueError(f"gdpo has {len(self.weights)} weights for {array.shape[1]} components")
        return array

    def _columns_by_name(self, rewards: Mapping[str, Any]) -> Floats:
        if not rewards:
            raise ValueError("gdpo needs at least one reward component")
        if isinstance(self.weights, Mapping) and set(self.weights) != set(rewards):
            raise ValueError(f"gdpo has weights for {sorted(self.weights)}, rewards have {sorted(rewards)}")
        if isinstance(self.weights, Sequence):
            raise ValueError("gdpo has weights by position, so rewards must be an array; name the weights instead")
        columns = [to_float64(rewards[name]) for name in self._order(rewards)]
        if len({column.shape for column in columns}) > 1:
            lengths = ", ".join(f"{name} {to_float64(rewards[name]).shape}" for name in self._order(rewards))
            raise ValueError(f"gdpo's components must each have one number per row: {lengths}")
        return np.stack(columns, axis=1)

    def _order(self, rewards: Mapping[str, Any]) -> list[str]:
        return list(self.weights) if isinstance(self.weights, Mapping) else list(rewards)

    def _estimate(self, rows: Rows, update: bool) -> tuple[Floats, tuple[tuple[str, Hashable], ...]]:
        columns = rows.rewards.shape[1]
        given = self.weights.values() if isinstance(self.weights, Mapping) else self.weights
        weights = [1.0] * columns if given is None else [float(weight) for weight in given]
        total = np.zeros(len(rows.rewards))
        for column, weight in enumerate(weights):
            total += weight * normalise_within_groups(rows.rewards[:, column], rows, self.eps)
        # Every group's sum is centred, so the batch mean that equation 6 subtracts is 0 up to rounding; leaving it out
        # keeps constant groups at exactly 0.
        batch = pool(total**2, np.zeros(len(total), dtype=np.intp))
        std = float(np.sqrt(batch.mean[0] * len(total) / max(len(total) - 1, 1)))
        return (total / (std + self.eps) if std > 0 else total), ()
