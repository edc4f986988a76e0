"""The config of an SFT run: what `onethinker train sft CONFIG` reads, with OneThinker's settings as defaults."""

from dataclasses import dataclass, field
from typing import Any, Literal

from corpus.ranges import AT_LEAST_1
from trainers.config import SHARED_RANGES, check_ranges, settings
from trainers.encoding import MediaLimits
from trainers.models import ModelSettings
from trainers.run import divide


@settings
@dataclass(frozen=True)
class SftConfig:
    """The settings of `onethinker train sft CONFIG`. Defaults are OneThinker's (arXiv 2512.03043v3, code 768b20f).

    An optimiser step takes `batch` rows over all ranks, `per_device` at a time on each. With `gpus` the run
    refuses to start on another number of processes. `trainer` is passed on to TRL's SFTConfig.
    """

    snapshot: str
    output: str
    model: ModelSettings = field(default_factory=lambda: ModelSettings(freeze_vision=True, freeze_projector=True))
    media: MediaLimits = field(default_factory=MediaLimits)
    max_length: int = 16_384
    batch: int = 32
    per_device: int = 1
    learning_rate: float = 1e-5
    schedule: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    warmup: float = 0.02
    weight_decay: float = 1e-6
    max_grad_norm: float = 1.0
    epochs: float = 1.0
    max_steps: int = -1
    seed: int = 0
    group_by_length: bool = True
    workers: int = 4
    log_steps: int = 1
    save_steps: int = 500
    keep_checkpoints: int | None = 2
    gpus: int | None = None
    sharding: Literal["none", "fsdp2", "zero3"] = "none"
    trainer: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError for settings that cannot be trained."""
        check_ranges(self, {**SHARED_RANGES, "batch": AT_LEAST_1, "max_length": AT_LEAST_1})

    def accumulation(self, ranks: int) -> int:
        """Micro-batches per optimiser step on each rank. Raises UsageError if the rows do not divide."""
        return divide(self.batch, self.per_device * ranks, "batch", "per_device × ranks")
