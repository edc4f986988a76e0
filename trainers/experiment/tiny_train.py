"""How the tiny model is trained, in the demo and in `reproduce` alike: its settings, and one thread for its sums."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from trainers.config import built
from trainers.experiment.tiny_model import write_tiny
from trainers.rl.config import RlConfig
from trainers.sft.config import SftConfig
from trainers.torchvision_schemas import declare

if TYPE_CHECKING:
    from corpus.snapshots import Snapshot

# 16 tokens an image, 4 a frame: enough to be there, little enough for a CPU.
MEDIA = {"image_max_pixels": 16_384, "video_max_pixels_per_frame": 4_096, "video_max_frames": 4}
FORM = {"dtype": "float32", "gradient_checkpointing": False}


def fresh(snapshot: "Snapshot", folder: Path, *, seed: int) -> Path:
    """An untrained tiny model whose vocabulary is learnt from a snapshot's texts; returns its folder."""
    said = pa.Table.from_batches(snapshot.batches(["prompt", "response"]))
    return write_tiny(folder, said["prompt"].to_pylist() + said["response"].to_pylist(), seed=seed)


def room(snapshot: "Snapshot", model: Path) -> int:
    """Tokens that a model's longest response may have: a tenth more than the longest one of a snapshot.

    With less, what SFT has taught could never be said to its end, and RL would earn nothing whatever it tries.
    """
    declare()
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    said = pa.Table.from_batches(snapshot.batches(["response"]))["response"].to_pylist()
    return max(len(ids) for ids in tokenizer(said)["input_ids"]) * 11 // 10


def cold_start(snapshot: "Snapshot", model: Path, output: Path, *, steps: int, seed: int, **more: Any) -> SftConfig:
    """SFT of a tiny model; `more` speaks over the settings."""
    told: dict[str, Any] = {
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
        "workers": 0,  # a worker imports torch for longer than it would save
        "trainer": {"adam_beta2": 0.98},  # some hundred steps are too few for a memory of a thousand
    }
    return built(told | more, SftConfig, "a tiny model's SFT")


def reinforcement(snapshot: "Snapshot", model: Path, output: Path, *, steps: int, seed: int, **more: Any) -> RlConfig:
    """RL of a tiny model that SFT has taught the form of a snapshot's answers; `more` speaks over the settings.

    `steps` are those that responses are sampled in; each is learnt from in `updates` optimiser steps.
    """
    told: dict[str, Any] = {
        "snapshot": snapshot.ref,
        "output": str(output),
        "model": {"name": str(model), **FORM},
        "media": MEDIA,
        "online_filter": None,
        "prompts": 8,
        "generations": 8,
        "updates": 1,
        "max_prompt": 2048,
        "max_response": more.get("max_response") or room(snapshot, model),
        "engine": "transformers",
        "temperature": 0.6,  # at 1 so small a model errs somewhere in most answers of a hundred tokens
        "schedule": "linear",
        "warmup": 0.1,
        "learning_rate": 2e-4,  # 1e-3 undoes within twenty steps some of what SFT has taught
        "seed": seed,
        "workers": 1,
        "reward_workers": 1,
        "trainer": {"cache_implementation": "static"},  # twice as fast as a cache that is copied at each token
    } | more
    rows, updates = told["prompts"] * told["generations"], told["updates"]
    lasts = {"per_device": rows // updates, "max_steps": steps * updates, "save_steps": steps * updates}
    return built(lasts | told, RlConfig, "a tiny model's RL")


@contextmanager
def one_thread() -> Iterator[None]:
    """Do the block with one thread for torch's sums: several times as fast for a model this small."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
