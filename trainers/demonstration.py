"""The demo's training: a tiny Qwen3-VL from scratch learns from the demo's snapshot, and its curves are drawn."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from trainers.comparison import curves_of
from trainers.config import built
from trainers.record import told_by
from trainers.rl import RlConfig
from trainers.rl import train as train_rl
from trainers.sft import SftConfig
from trainers.sft import train as train_sft
from trainers.svg import Panel, panels
from trainers.tiny import write_tiny

if TYPE_CHECKING:
    from corpus import Corpus
    from corpus.snapshots import Snapshot

MEDIA = {"image_max_pixels": 16_384, "video_max_pixels_per_frame": 4_096, "video_max_frames": 4}
SFT_STEPS, RL_STEPS = 400, 20


@dataclass(frozen=True)
class Trained:
    """The two models' folders, and their curves as one SVG."""

    sft: Path
    rl: Path
    curves: str


def train(corpus: "Corpus", snapshot: "Snapshot", out: Path, *, seed: int = 0) -> Trained:
    """SFT on a snapshot and 20 steps of EMA-GRPO after it, into `out`; both are runs of the corpus."""
    said = pa.Table.from_batches(snapshot.batches(["prompt", "response"]))
    tiny = write_tiny(out / "tiny", said["prompt"].to_pylist() + said["response"].to_pylist(), seed=seed)
    shared: dict[str, Any] = {"snapshot": snapshot.ref, "media": MEDIA, "seed": seed}
    form = {"dtype": "float32", "gradient_checkpointing": False}
    cold = {
        "output": str(out / "sft"), "model": {"name": str(tiny), **form}, "batch": 8, "per_device": 8, "workers": 0,
        "learning_rate": 8e-3, "schedule": "linear", "warmup": 0.1, "max_steps": SFT_STEPS, "save_steps": SFT_STEPS,
        "max_length": 2048,
    }  # fmt: skip
    sft = train_sft(corpus, built(shared | cold, SftConfig, "demo"))
    warm = {
        "output": str(out / "rl"), "model": {"name": str(sft), **form}, "engine": "transformers", "prompts": 8,
        "generations": 4, "updates": 1, "per_device": 32, "max_prompt": 2048, "max_response": 128, "workers": 1,
        "learning_rate": 1e-3, "online_filter": None, "max_steps": RL_STEPS, "save_steps": RL_STEPS,
    }  # fmt: skip
    rl = train_rl(corpus, built(shared | warm, RlConfig, "demo"))
    return Trained(sft, rl, _drawn(corpus, sft, rl))


def _drawn(corpus: "Corpus", sft: Path, rl: Path) -> str:
    cold, warm = (curves_of(corpus, told_by(folder)["run_id"]) for folder in (sft, rl))
    drawn = [
        Panel("SFT: loss", {"loss": cold["loss"]}),
        Panel("SFT: tokens foreseen", {"accuracy": cold["mean_token_accuracy"]}),
        Panel("RL: reward", {"reward": warm["reward"]}),
    ]
    for title, suffix in (("RL: reward by task", "/reward_mean"), ("RL: share of the gradient by task", "/share")):
        names = sorted(name for name in warm if name.startswith("task/") and name.endswith(suffix))
        drawn.append(Panel(title, {name.split("/")[1]: warm[name] for name in names}))
    return panels(drawn)
