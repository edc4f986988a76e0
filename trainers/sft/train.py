"""Train by SFT: `train(corpus, config)` runs TRL's SFTTrainer over a snapshot."""

from pathlib import Path
from typing import TYPE_CHECKING

from trainers.run import run
from trainers.sft.config import SftConfig
from trainers.torchvision_schemas import declare

if TYPE_CHECKING:
    from corpus import Corpus


def train(corpus: "Corpus", config: SftConfig, *, resume: str | None = None) -> Path:
    """Train, write the model, its processor and its checkpoints to `config.output`, and return that folder.

    `resume` is a checkpoint folder, or `last` for the newest in the output folder. The main process records the run,
    its metrics and the model card.
    """
    declare()
    from trainers.sft.trainer import build

    return run(corpus, "sft", config, build, resume)
