"""What a model earns over a whole snapshot: sampled responses to every question, where a step of RL sees a few."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainers.rl.config import RlConfig

if TYPE_CHECKING:
    from corpus.snapshots import Snapshot

ASKED = 16  # questions at a time


def rewards_of(model: Path, snapshot: "Snapshot", config: RlConfig) -> dict[str, list[float]]:
    """The rewards of a model's sampled responses, `config.generations` to every question of a snapshot, by task key."""
    import torch

    from trainers.rl.trainer import build

    size = ASKED * config.generations
    asking: dict[str, Any] = {"online_filter": None, "prompts": ASKED, "updates": 1, "per_device": size}
    trainer = build(snapshot, replace(config, model=replace(config.model, name=str(model)), **asking))
    trainer.model.eval()
    torch.manual_seed(config.seed)
    earned: dict[str, list[float]] = {}
    rows = [one["row"] for one in trainer.train_dataset for _ in range(config.generations)]
    for first in range(0, len(rows), size):
        for one in trainer.part(rows[first : first + size]).judged:
            if one.reward is not None:
                earned.setdefault(one.task, []).append(one.reward)
    return dict(sorted(earned.items()))
