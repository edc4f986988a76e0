"""A model's rewards over a whole snapshot, from sampled responses to every question."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainers.rl.config import RlConfig

if TYPE_CHECKING:
    from corpus.snapshots import Snapshot

BATCH_QUESTIONS = 16  # questions per batch


def sample_rewards(model: Path, snapshot: "Snapshot", config: RlConfig) -> dict[str, list[float]]:
    """Sample `config.generations` responses to every question of a snapshot; returns their rewards by task key."""
    import torch

    from trainers.rl.trainer import build

    size = BATCH_QUESTIONS * config.generations
    settings: dict[str, Any] = {"online_filter": None, "prompts": BATCH_QUESTIONS, "updates": 1, "per_device": size}
    trainer = build(snapshot, replace(config, model=replace(config.model, name=str(model)), **settings))
    trainer.model.eval()
    torch.manual_seed(config.seed)
    earned: dict[str, list[float]] = {}
    rows = [one["row"] for one in trainer.train_dataset for _ in range(config.generations)]
    for first in range(0, len(rows), size):
        for one in trainer.sample(rows[first : first + size]).scored:
            if one.reward is not None:
                earned.setdefault(one.task, []).append(one.reward)
    return dict(sorted(earned.items()))
