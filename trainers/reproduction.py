"""The paper's argument on a laptop: unlike rewards, five ways to weigh them, a tiny Qwen3-VL and the demo's world.

The model is made from scratch, learns the form of answers by SFT on the world's true ones, and goes on by RL under each
estimator from the same start, with several seeds. What comes out is told whatever it is (`reproduced.py`).
"""

import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import TYPE_CHECKING, Any

from corpus import Corpus
from corpus.ids import digest
from corpus.ingest import ingest
from corpus.location import MARK
from corpus.response import wrap
from trainers.comparison import curves_of
from trainers.config import plain, settings
from trainers.record import told_by
from trainers.reproduced import Results, write
from trainers.rl import RlConfig
from trainers.rl import train as train_rl
from trainers.sft import train as train_sft
from trainers.tiny_training import cold_start, fresh, one_thread, reinforcement

if TYPE_CHECKING:
    from corpus.snapshots import Snapshot

TEACHER = "world:truth"  # not a model: the world knows its answers
WHOLE, FEWER = "world", "world-without"


@settings
@dataclass(frozen=True)
class Plan:
    """What is run. `removed` is the problem_type that the transfer run does without; `processes` train side by side."""

    seeds: int = 3
    sft_steps: int = 300
    rl_steps: int = 60
    per_family: int = 6
    prompts: int = 8
    generations: int = 8
    learning_rate: float = 3e-4
    temperature: float = 1.0
    estimators: tuple[str, ...] = ("grpo", "dr_grpo", "ema_grpo", "gdpo", "g2rpo")
    removed: str = "temporal grounding"
    profile: str = "strict"
    processes: int = 2

    @property
    def arms(self) -> dict[str, tuple[str, str]]:
        """What goes on from each cold start: by name, the estimator and the snapshot."""
        with_all = {name: (name, WHOLE) for name in self.estimators}
        return with_all | {f"without {self.removed}": ("ema_grpo", FEWER)}


@dataclass(frozen=True)
class Outcome:
    """What one training came to: the model, its rewards on every question by task key, and its curves by metric."""

    model: Path
    rewards: dict[str, float]
    curves: dict[str, list[tuple[int, float]]]
    seconds: float


def reproduce(out: Path, plan: Plan, world: Path) -> Results:
    """Run the plan in the folder `out`, from the world's questions at `world`; writes results.json, .md and .svg there.

    Every training is a run in `out/corpus`. Raises what training raises.
    """
    with _corpus(out / "corpus", world) as corpus:
        _frozen(corpus, WHOLE, None)
        _frozen(corpus, FEWER, plan.removed)
    results, started = Results(plain(plan)), perf_counter()
    with ProcessPoolExecutor(plan.processes, get_context("spawn")) as pool:
        taught = {pool.submit(taught_by_sft, out, plan, seed): seed for seed in range(plan.seeds)}
        rewarded: dict[Future[Outcome], tuple[str, int]] = {}
        for done in as_completed(taught):
            seed = taught[done]
            results.add("sft", seed, done.result().rewards, {})
            for arm in plan.arms:
                rewarded[pool.submit(taught_by_rl, out, plan, arm, done.result().model, seed)] = (arm, seed)
        for done in as_completed(rewarded):
            arm, seed = rewarded[done]
            results.add(arm, seed, done.result().rewards, done.result().curves)
            print(f"{arm}, seed {seed}: {done.result().seconds:.0f} s", file=sys.stderr)
            results.seconds = perf_counter() - started
            write(results, out)
    return results


def taught_by_sft(out: Path, plan: Plan, seed: int) -> Outcome:
    """A tiny model of its own for the seed, after SFT on the world's answers."""
    started = perf_counter()
    with one_thread(), Corpus.open(out / "corpus") as corpus:
        whole = corpus.snapshots.get(WHOLE)
        tiny = fresh(whole, out / f"tiny-{seed}", seed=seed)
        model = train_sft(corpus, cold_start(whole, tiny, out / f"sft-{seed}", steps=plan.sft_steps, seed=seed))
        config = _rl(whole, model, out / "measured", plan, "ema_grpo", seed)
        return _outcome(corpus, model, rewards_of(model, whole, config), started)


def taught_by_rl(out: Path, plan: Plan, arm: str, start: Path, seed: int) -> Outcome:
    """The model that SFT left in `start`, after RL as one of the plan's arms does it."""
    started = perf_counter()
    estimator, name = plan.arms[arm]
    with one_thread(), Corpus.open(out / "corpus") as corpus:
        whole = corpus.snapshots.get(WHOLE)
        # Every arm may say as much as all tasks need, also the one that goes without one of them.
        config = _rl(whole, start, out / f"{arm.replace(' ', '-')}-{seed}", plan, estimator, seed)
        model = train_rl(corpus, replace(config, snapshot=corpus.snapshots.get(name).ref))
        return _outcome(corpus, model, rewards_of(model, whole, config), started)


def rewards_of(model: Path, snapshot: "Snapshot", config: RlConfig) -> dict[str, float]:
    """The mean reward of a model's sampled responses to every question of a snapshot, by task key."""
    import torch

    from trainers.group_trainer import build

    trainer = build(snapshot, replace(config, model=replace(config.model, name=str(model)), online_filter=None))
    trainer.model.eval()
    torch.manual_seed(config.seed)
    earned: dict[str, list[float]] = {}
    rows = [one["row"] for one in trainer.train_dataset for _ in range(config.generations)]
    size = config.prompts * config.generations
    for first in range(0, len(rows), size):
        for one in trainer.part(rows[first : first + size]).judged:
            if one.reward is not None:
                earned.setdefault(one.task, []).append(one.reward)
    return {task: mean(values) for task, values in sorted(earned.items())}


def _rl(snapshot: "Snapshot", start: Path, output: Path, plan: Plan, estimator: str, seed: int) -> RlConfig:
    told: dict[str, Any] = {
        "advantages": {"estimator": estimator},
        "profile": plan.profile,
        "prompts": plan.prompts,
        "generations": plan.generations,
        "learning_rate": plan.learning_rate,
        "temperature": plan.temperature,
        "kl": 0.001,
    }
    return reinforcement(snapshot, start, output, steps=plan.rl_steps, seed=seed, **told)


def _outcome(corpus: Corpus, model: Path, rewards: Mapping[str, float], started: float) -> Outcome:
    curves = curves_of(corpus, told_by(model)["run_id"])
    return Outcome(model, dict(rewards), curves, perf_counter() - started)


def _corpus(root: Path, world: Path) -> Corpus:
    """The world's questions with their true answers as traces, scored."""
    if (root / MARK).exists():
        return Corpus.open(root)
    from filters import verify

    corpus = Corpus.create(root)
    ingest(corpus, "onethinker", [world], media_root=world.parent)
    corpus.append("traces", _traces(corpus.sql("select sample_id, answer from samples order by sample_id").fetchall()))
    verify(corpus)
    return corpus


def _traces(rows: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    return [
        {
            "trace_id": digest(TEACHER, sample_id),
            "sample_id": sample_id,
            "teacher": TEACHER,
            "mode": "truth",
            "attempt": 0,
            "response": wrap("I look.", answer),
            "answer": answer,
        }
        for sample_id, answer in rows
    ]


def _frozen(corpus: Corpus, name: str, without: str | None) -> "Snapshot":
    picks = corpus.sql(
        "select sample_id, trace_id from traces join samples using (sample_id) "
        "where problem_type is distinct from ? order by trace_id",
        [without],
    ).to_arrow_table()
    with corpus.run("select", {"name": name, "without": without}) as run:
        return corpus.snapshots.freeze(name, picks, profile="strict", recipe=f"without: {without}\n", run=run)
