"""Estimates of what training needs: tokens of media, and gigabytes on each GPU.

They help to choose a batch size; `onethinker train … --dry-run` prints them.
"""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from trainers.encoding import MediaLimits
from trainers.models import ModelSettings

PIXELS_PER_TOKEN = 32 * 32  # Qwen3-VL: 16-pixel patches, merged two by two
STAMP_TOKENS = 9  # "<12.5 seconds>" and the vision marks, before each pair of frames
LAYER_WIDTHS = 34  # activations of one recomputed transformer layer, in hidden widths per token
GIB = 2**30
BYTES = {"bfloat16": 2, "float32": 4}


def media_tokens(media: Sequence[Mapping[str, Any]] | None, limits: MediaLimits) -> int:
    """The approximate number of tokens of a row's media in Qwen3-VL, from the sizes in the `media` column."""
    total = 0
    for medium in media or ():
        pixels = (medium["width"] or 1) * (medium["height"] or 1)
        if medium["kind"] == "image":
            total += ceil(min(max(pixels, limits.image_min_pixels), limits.image_max_pixels) / PIXELS_PER_TOKEN)
            continue
        frames = min(limits.video_max_frames, max(4, int((medium["duration"] or 0) * limits.video_fps)))
        a_frame = min(max(pixels, limits.video_min_pixels_per_frame), limits.video_max_pixels_per_frame)
        total += ceil(frames / 2) * (ceil(a_frame / PIXELS_PER_TOKEN) + STAMP_TOKENS)
    return total


def estimate(settings: ModelSettings, *, tokens: int, shards: int = 1, reference: bool = False) -> dict[str, float]:
    """GiB on each GPU by use; `tokens` is the longest micro-batch, `shards` the number of GPUs that share the weights.

    Weights, gradients and AdamW's two moments have the model's dtype. With gradient checkpointing a layer keeps its
    input (hidden widths × tokens) and one layer at a time is recomputed (34 widths, of arXiv 2205.05198 without the
    attention matrix); without it every layer keeps those 34. The log-probabilities are computed in chunks, so logits
    are not counted.
    """
    size = BYTES[settings.dtype]
    counts = weights(settings)
    text = counts.pop("_text")
    width, layers = text["hidden_size"], text["num_hidden_layers"]
    learnt = counts["all"]
    if settings.lora is not None:
        learnt = layers * 2 * settings.lora.rank * (4 * width + 3 * (width + text["intermediate_size"])) // 2
    else:
        learnt -= (counts["vision"] if settings.freeze_vision else 0) + (
            counts["projector"] if settings.freeze_projector else 0
        )
    kept = 1 if settings.gradient_checkpointing else LAYER_WIDTHS
    needs = {
        "weights": counts["all"] * size / shards,
        "gradients": learnt * size / shards,
        "optimiser": 2 * learnt * size / shards,
        "activations": tokens * width * size * (layers * kept + LAYER_WIDTHS),
    }
    if reference and settings.lora is None:
        needs["reference model"] = counts["all"] * size / shards
    needs = {name: value / GIB for name, value in needs.items()}
    return needs | {"together": sum(needs.values())}


def weights(settings: ModelSettings) -> dict[str, Any]:
    """Count the model's weights: all, the vision tower's and the projector's. Only its config is read."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    from trainers.models import PROJECTOR, VISION, _from_name

    config = _from_name(AutoConfig, settings)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    found = {"all": 0, "vision": 0, "projector": 0}
    for name, weight in model.named_parameters():
        found["all"] += weight.numel()
        if any(word in name for word in PROJECTOR):
            found["projector"] += weight.numel()
        elif any(word in name for word in VISION):
            found["vision"] += weight.numel()
    return {**found, "_text": config.get_text_config().to_dict()}
