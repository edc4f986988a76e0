"""The tiny model's training settings, shared by the demo and `reproduce`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from trainers.config import parse_config
from trainers.experiment.tiny_model import write_tiny
from trainers.rl.config import RlConfig
from trainers.sft.config import SftConfig
from trainers.torchvision_schemas import declare

if TYPE_CHECKING:
    from corpus.snapshots import Snapshot

# 16 tokens per image and 4 per frame, few enough for a CPU.
MEDIA = {"image_max_pixels": 16_384, "video_max_pixels_per_frame": 4_096, "video_max_frames": 4}
FORM = {"dtype": "float32", "gradient_checkpointing": False}


def write_fresh_model(snapshot: "Snapshot", folder: Path, *, seed: int) -> Path:
    """Write an untrained tiny model with a vocabulary learnt from a snapshot's texts; returns its folder."""
    texts = pa.Table.from_batches(snapshot.batches(["prompt", "response"]))
    return write_tiny(folder, texts["prompt"].to_pylist() + texts["response"].to_pylist(), seed=seed)


def max_response_tokens(snapshot: "Snapshot", model: Path) -> int:
    """The response limit in tokens: a tenth more than the longest response of a snapshot.

    A lower limit would cut what SFT has taught, and RL would earn nothing.
    """
    declare()
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    responses = pa.Table.from_batches(snapshot.batches(["response"]))["response"].to_pylist()
    return max(len(ids) for ids in tokenizer(responses)["input_ids"]) * 11 // 10


def sft_config(snapshot: "Snapshot", model: Path, output: Path, *, steps: int, seed: int, **more: Any) -> SftConfig:
    """The SFT config of a tiny model; `more` overrides its settings."""
    settings: dict[str, Any] = {
        "snapshot": snapshot.ref,
        "output": str(output),
        "model": {"name": str(model), **FORM},
        "media": MEDIA,
        "batch": 4,
        "per_device": 4,
        "learning_rate": 6e-3,
        "schedule": "linear",
        "warmup": 0.1,
        "max_steps": steps,
        "save_steps": steps,
        "max_length": 2048,
        "seed": seed,
        "workers": 0,  # importing torch in a worker takes longer than it saves
        "trainer": {"adam_beta2": 0.98},  # the default 0.999 averages over more steps than there are
    }
    return parse_config(settings | more, SftConfig, "a tiny model's SFT")


def rl_config(snapshot: "Snapshot", model: Path, output: Path, *, steps: int, seed: int, **more: Any) -> RlConfig:
    """The RL config of a tiny model that SFT has taught the form of answers; `more` overrides its settings.

    `steps` counts generation steps; each is followed by `updates` optimiser steps.
    """
    settings: dict[str, Any] = {
        "snapshot": snapshot.ref,
        "output": str(output),
        "model": {"name": str(model), **FORM},
        "media": MEDIA,
        "online_filter": None,
        "prompts": 8,
        "generations": 8,
        "updates": 1,
        "max_prompt": 2048,
        "max_response": more.get("max_response") or max_response_tokens(snapshot, model),
        "engine": "transformers",
        "temperature": 0.6,  # at 1.0 so small a model makes a mistake in most answers of a hundred tokens
        "schedule": "linear",
        "warmup": 0.1,
        "learning_rate": 2e-4,  # at 1e-3 the policy loses some of what SFT has taught within twenty steps
        "seed": seed,
        "workers": 1,
        "reward_workers": 1,
        "trainer": {"cache_implementation": "static"},  # twice as fast as a cache that is copied at every token
    } | more
    rows, updates = settings["prompts"] * settings["generations"], settings["updates"]
    derived = {"per_device": rows // updates, "max_steps": steps * updates, "save_steps": steps * updates}
    return parse_config(derived | settings, RlConfig, "a tiny model's RL")


@contextmanager
def one_thread() -> Iterator[None]:
    """Run the block with one torch thread, which is several times as fast for a model this small."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
