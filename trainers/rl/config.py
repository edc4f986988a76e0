"""The config of an RL run: what `onethinker train rl CONFIG` reads, with OneThinker's settings as defaults."""

from dataclasses import dataclass, field
from typing import Any, Literal

from corpus.ranges import ABOVE_0, AT_LEAST_0, AT_LEAST_1, SHARE_ABOVE_0, Range
from trainers import advantages
from trainers.config import SHARED_RANGES, check_ranges, settings
from trainers.encoding import MediaLimits
from trainers.models import ModelSettings
from trainers.online_filter import FilterSettings
from trainers.run import divide

# How token losses are reduced to one number: our names → TRL's `loss_type`.
AGGREGATIONS = {"token": "dapo", "sequence": "grpo", "constant": "dr_grpo"}

_RANGES = {
    **SHARED_RANGES,
    **dict.fromkeys(("prompts", "updates", "max_prompt", "max_response"), AT_LEAST_1),
    "reward_workers": Range(1, 1024),
    "temperature": ABOVE_0,
    "top_p": SHARE_ABOVE_0,
    "kl": AT_LEAST_0,
    "clip_low": SHARE_ABOVE_0,
    "clip_high": ABOVE_0,
}


@settings
@dataclass(frozen=True)
class AdvantageSettings:
    """The estimator of `trainers.advantages`, its settings and its task keys."""

    estimator: str = "ema_grpo"
    keys: Literal["released", "fine"] = "released"
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown estimator or settings that it does not have."""
        try:
            self.build()
        except TypeError as error:
            raise ValueError(f"estimator {self.estimator}: {str(error).split('__init__() ')[-1]}") from error

    def build(self) -> advantages.Estimator:
        """A new estimator."""
        return advantages.create_estimator(self.estimator, **self.settings)


@settings
@dataclass(frozen=True)
class RlConfig:
    """The settings of `onethinker train rl CONFIG`. Defaults are OneThinker's (arXiv 2512.03043v3, code 768b20f).

    A generation step samples `prompts` × `generations` responses over all ranks and learns from them in `updates`
    optimiser steps. `kl` weighs the plain k3 estimator (0: none, as in the released config; the paper says 0.01).
    `aggregation` is a mean over all tokens, over sequences, or a sum over a constant length. With `gpus` the run
    refuses to start on another number of processes. `trainer` is passed on to TRL's GRPOConfig.
    """

    snapshot: str
    output: str
    model: ModelSettings = field(default_factory=ModelSettings)
    media: MediaLimits = field(
        default_factory=lambda: MediaLimits(image_max_pixels=1_048_576, video_max_pixels_per_frame=65_536)
    )
    advantages: AdvantageSettings = field(default_factory=AdvantageSettings)
    profile: Literal["strict", "paper"] = "strict"
    online_filter: FilterSettings | None = field(default_factory=FilterSettings)
    prompts: int = 128
    generations: int = 8
    updates: int = 4
    per_device: int = 1
    max_prompt: int = 16_384
    max_response: int = 4_096
    temperature: float = 1.0
    top_p: float = 1.0
    engine: Literal["transformers", "vllm", "vllm_server"] = "vllm"
    learning_rate: float = 2e-6
    schedule: Literal["constant", "constant_with_warmup", "cosine", "linear"] = "constant"
    warmup: float = 0.0
    weight_decay: float = 1e-2
    max_grad_norm: float = 1.0
    kl: float = 0.0
    clip_low: float = 0.2
    clip_high: float = 0.3
    aggregation: Literal["token", "sequence", "constant"] = "token"
    importance: Literal["token", "sequence"] = "token"
    epochs: float = 1.0
    max_steps: int = -1
    seed: int = 0
    workers: int = 4
    reward_workers: int | None = None
    log_steps: int = 1
    save_steps: int = 100
    keep_checkpoints: int | None = 2
    gpus: int | None = None
    sharding: Literal["none", "fsdp2", "zero3"] = "none"
    trainer: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError for settings that cannot be trained or resumed."""
        check_ranges(self, _RANGES)
        if self.generations < 2:
            raise ValueError("generations must be at least 2: an advantage is a difference within a group")
        if self.save_steps % self.updates:
            raise ValueError(
                f"save_steps {self.save_steps} must be a multiple of updates {self.updates}: a checkpoint between two "
                "updates would lose the responses that the next one learns from"
            )

    def accumulation(self, ranks: int) -> int:
        """Micro-batches per optimiser step on each rank. Raises UsageError if the rows do not divide."""
        return divide(self.prompts * self.generations, self.per_device * ranks * self.updates, "prompts × generations",
                      "per_device × ranks × updates")  # fmt: skip
