"""The model to train: loading by name, freezing parts, LoRA."""

from dataclasses import dataclass
from typing import Any, Literal

from corpus.errors import OneThinkerError
from corpus.ranges import AT_LEAST_1, Range
from trainers.config import check_ranges, settings
from trainers.torchvision_schemas import declare

PROJECTOR = ("merger", "multi_modal_projector", "mm_projector", "connector", "aligner")
VISION = ("visual", "vision_tower", "vision_model")
LANGUAGE_LINEARS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"


@settings
@dataclass(frozen=True)
class Lora:
    """Low-rank adapters in place of full weights. `targets` is a regular expression over module names."""

    rank: int = 64
    alpha: int = 128
    dropout: float = 0.0
    targets: str = LANGUAGE_LINEARS

    def __post_init__(self) -> None:
        """Raise ValueError for a rank or a scale below 1, or a dropout that is no share."""
        check_ranges(self, {"rank": AT_LEAST_1, "alpha": AT_LEAST_1, "dropout": Range(0, 0.99)})


@settings
@dataclass(frozen=True)
class ModelSettings:
    """The model and its form: `name` is a folder or a Hub name of any image-text-to-text model of transformers."""

    name: str = "Qwen/Qwen3-VL-8B-Instruct"
    revision: str | None = None
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    attention: str | None = None
    freeze_vision: bool = False
    freeze_projector: bool = False
    gradient_checkpointing: bool = True
    lora: Lora | None = None


def load_processor(settings: ModelSettings) -> Any:
    """Load the model's processor. Raises OneThinkerError if none has that name."""
    declare()
    from transformers import AutoProcessor

    return _from_name(AutoProcessor, settings)


def load_model(settings: ModelSettings) -> Any:
    """Load the model in its dtype and freeze the parts that the settings name. The trainer adds LoRA."""
    import torch
    from transformers import AutoModelForImageTextToText

    more = {"attn_implementation": settings.attention} if settings.attention else {}
    model = _from_name(AutoModelForImageTextToText, settings, dtype=getattr(torch, settings.dtype), **more)
    freeze(model, vision=settings.freeze_vision, projector=settings.freeze_projector)
    return model


def freeze(model: Any, *, vision: bool, projector: bool) -> list[str]:
    """Freeze the vision tower, its projector or both; returns the names of the frozen weights.

    Raises OneThinkerError if the model has no part of that kind, rather than silently training it.
    """
    frozen = []
    for name, weight in model.named_parameters():
        is_projector = any(word in name for word in PROJECTOR)
        is_vision = any(word in name for word in VISION) and not is_projector
        if (vision and is_vision) or (projector and is_projector):
            weight.requires_grad_(False)
            frozen.append(name)
    for wanted, words, what in ((vision, VISION, "vision tower"), (projector, PROJECTOR, "projector")):
        if wanted and not any(word in name for name in frozen for word in words):
            raise OneThinkerError(f"{type(model).__name__} has no {what} that we recognise, so it cannot be frozen")
    return frozen


def adapters(settings: ModelSettings) -> Any | None:
    """peft's LoraConfig, or None for training all weights."""
    if settings.lora is None:
        return None
    from peft import LoraConfig

    lora = settings.lora
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.targets,
        task_type="CAUSAL_LM",
    )


def _from_name(kind: Any, settings: ModelSettings, **more: Any) -> Any:
    try:
        return kind.from_pretrained(settings.name, revision=settings.revision, **more)
    except OSError as error:
        reason = str(error).strip().splitlines()[0]
        raise OneThinkerError(f"model {settings.name}: {reason}") from error
