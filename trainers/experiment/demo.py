"""The demo's training: a tiny Qwen3-VL from scratch learns from the demo's snapshot, and its curves are drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import sqrt
from pathlib import Path
from statistics import mean, variance
from typing import TYPE_CHECKING

from trainers.comparison import curves_of
from trainers.experiment.tiny_train import cold_start, fresh, one_thread, reinforcement
from trainers.rl.train import train as train_rl
from trainers.run_log import told_by
from trainers.sampled_rewards import rewards_of
from trainers.sft.train import train as train_sft
from trainers.svg import Panel, panels

if TYPE_CHECKING:
    from corpus import Corpus
    from corpus.snapshots import Snapshot

SFT_STEPS, RL_STEPS = 700, 20
ENDS = 5  # steps at either end of a curve
RESPONSES = 4  # to each question, when what RL came to is measured

Curve = list[tuple[int, float]]
Curves = dict[str, Curve]


@dataclass(frozen=True)
class Trained:
    """The two models' folders, their curves as one SVG, and what came of them in a sentence each."""

    sft: Path
    rl: Path
    curves: str
    told: tuple[str, str]


def train(corpus: "Corpus", snapshot: "Snapshot", out: Path, *, seed: int = 0) -> Trained:
    """SFT on a snapshot and 20 steps of EMA-GRPO after it, into `out`; both are runs of the corpus."""
    with one_thread():
        tiny = fresh(snapshot, out / "tiny", seed=seed)
        sft = train_sft(corpus, cold_start(snapshot, tiny, out / "sft", steps=SFT_STEPS, seed=seed))
        config = reinforcement(snapshot, sft, out / "rl", steps=RL_STEPS, seed=seed)
        rl = train_rl(corpus, config)
        asked = replace(config, generations=RESPONSES)
        before, after = ([*chain(*rewards_of(model, snapshot, asked).values())] for model in (sft, rl))
    cold, warm = (curves_of(corpus, told_by(folder)["run_id"]) for folder in (sft, rl))
    return Trained(sft, rl, drawn(cold, warm), told(cold, warm, before, after))


def told(cold: Curves, warm: Curves, before: list[float], after: list[float]) -> tuple[str, str]:
    """What SFT and RL came to: means over the first and the last steps, and how far two such means differ by chance.

    Each step sees other questions; the chance is the standard error of the difference, from the values' own spread.
    `before` and `after` are the rewards of RESPONSES to each question by the models that RL began and ended with.
    """
    whole = (
        f"over all questions, {RESPONSES} responses each, {mean(before):.3f} before RL and {mean(after):.3f} after it "
        f"(± {_chance(before, after):.3f} by chance)"
    )
    return (f"SFT, {_ends('loss', cold['loss'])}", f"RL, {_ends('reward', warm['reward'])}; {whole}")


def _ends(name: str, curve: Curve) -> str:
    values = [value for _, value in curve]
    first, last = values[:ENDS], values[-ENDS:]
    chance = _chance(first, last)
    return (
        f"{len(values)} steps: {name} {mean(first):.3f} in the first {ENDS}, {mean(last):.3f} in the last "
        f"(± {chance:.3f} by chance)"
    )


def _chance(one: Sequence[float], other: Sequence[float]) -> float:
    """The standard error of the difference of two means."""
    return sqrt(variance(one) / len(one) + variance(other) / len(other))


def drawn(cold: Curves, warm: Curves) -> str:
    """The curves of both runs as one SVG: loss and reward, and by task the reward and the share of the gradient."""
    plots = [
        Panel("SFT: loss", {"loss": cold["loss"]}),
        Panel("SFT: tokens foreseen", {"accuracy": cold["mean_token_accuracy"]}),
        Panel("RL: reward", {"reward": warm["reward"]}),
    ]
    for title, suffix in (("RL: reward by task", "/reward_mean"), ("RL: share of the gradient by task", "/share")):
        names = sorted(name for name in warm if name.startswith("task/") and name.endswith(suffix))
        plots.append(Panel(title, {name.split("/")[1]: warm[name] for name in names}))
    return panels(plots)
