"""The demo's training: a tiny Qwen3-VL from scratch learns from the demo's snapshot; its curves are plotted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import sqrt
from pathlib import Path
from statistics import mean, variance
from typing import TYPE_CHECKING

from trainers.comparison import load_curves
from trainers.experiment.tiny_train import one_thread, rl_config, sft_config, write_fresh_model
from trainers.rl.train import train as train_rl
from trainers.run_log import read_manifest
from trainers.sampled_rewards import sample_rewards
from trainers.sft.train import train as train_sft
from trainers.svg import Panel, render_panels

if TYPE_CHECKING:
    from corpus import Corpus
    from corpus.snapshots import Snapshot

SFT_STEPS, RL_STEPS = 700, 20
ENDS = 5  # steps averaged at either end of a curve
RESPONSES = 4  # per question, when the models before and after RL are measured

Curve = list[tuple[int, float]]
Curves = dict[str, Curve]


@dataclass(frozen=True)
class DemoTraining:
    """The two models' folders, their curves as one SVG, and a summary sentence on each."""

    sft: Path
    rl: Path
    curves: str
    summary: tuple[str, str]


def train(corpus: "Corpus", snapshot: "Snapshot", out: Path, *, seed: int = 0) -> DemoTraining:
    """Train by SFT on a snapshot, then by RL_STEPS steps of EMA-GRPO, into `out`; both are runs of the corpus."""
    with one_thread():
        tiny = write_fresh_model(snapshot, out / "tiny", seed=seed)
        sft = train_sft(corpus, sft_config(snapshot, tiny, out / "sft", steps=SFT_STEPS, seed=seed))
        config = rl_config(snapshot, sft, out / "rl", steps=RL_STEPS, seed=seed)
        rl = train_rl(corpus, config)
        sampling = replace(config, generations=RESPONSES)
        before, after = ([*chain(*sample_rewards(model, snapshot, sampling).values())] for model in (sft, rl))
    cold, warm = (load_curves(corpus, read_manifest(folder)["run_id"]) for folder in (sft, rl))
    return DemoTraining(sft, rl, draw(cold, warm), summarize(cold, warm, before, after))


def summarize(cold: Curves, warm: Curves, before: list[float], after: list[float]) -> tuple[str, str]:
    """Summarise SFT and RL: means over the first and last steps, with the standard error of their difference.

    Each step sees other questions, so the standard error comes from the spread over steps. `before` and `after` are the
    rewards of RESPONSES responses to every question, by the models before and after RL.
    """
    whole = (
        f"over all questions, {RESPONSES} responses each, {mean(before):.3f} before RL and {mean(after):.3f} after it "
        f"(± {_standard_error(before, after):.3f} standard error)"
    )
    return (f"SFT, {_ends('loss', cold['loss'])}", f"RL, {_ends('reward', warm['reward'])}; {whole}")


def _ends(name: str, curve: Curve) -> str:
    values = [value for _, value in curve]
    first, last = values[:ENDS], values[-ENDS:]
    error = _standard_error(first, last)
    return (
        f"{len(values)} steps: {name} {mean(first):.3f} in the first {ENDS}, {mean(last):.3f} in the last "
        f"(± {error:.3f} standard error)"
    )


def _standard_error(one: Sequence[float], other: Sequence[float]) -> float:
    """The standard error of the difference of two means."""
    return sqrt(variance(one) / len(one) + variance(other) / len(other))


def draw(cold: Curves, warm: Curves) -> str:
    """Plot both runs as one SVG: loss, accuracy, reward, and by task the reward and the share of the gradient."""
    plots = [
        Panel("SFT: loss", {"loss": cold["loss"]}),
        Panel("SFT: tokens foreseen", {"accuracy": cold["mean_token_accuracy"]}),
        Panel("RL: reward", {"reward": warm["reward"]}),
    ]
    for title, suffix in (("RL: reward by task", "/reward_mean"), ("RL: share of the gradient by task", "/share")):
        names = sorted(name for name in warm if name.startswith("task/") and name.endswith(suffix))
        plots.append(Panel(title, {name.split("/")[1]: warm[name] for name in names}))
    return render_panels(plots)
