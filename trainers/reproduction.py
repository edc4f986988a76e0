"""The paper's argument on a laptop: unlike rewards, five ways to weigh them, a tiny Qwen3-VL and the demo's world.

The model is made from scratch, learns the form of answers by SFT on the world's true ones, and goes on by RL under each
estimator from the same start, with several seeds. What comes out is told whatever it is.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from corpus import Corpus
from corpus.ids import digest
from corpus.ingest import ingest
from corpus.location import MARK
from corpus.response import wrap
from trainers.comparison import curves_of
from trainers.config import built, plain, settings
from trainers.rl import RlConfig
from trainers.rl import train as train_rl
from trainers.sft import SftConfig
from trainers.sft import train as train_sft
from trainers.svg import Panel, panels
from trainers.tiny import write_tiny

if TYPE_CHECKING:
    from corpus.snapshots import Snapshot

MEDIA = {"image_max_pixels": 16_384, "video_max_pixels_per_frame": 4_096, "video_max_frames": 4}
T_95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36}  # Student's t for n values, 95% both sides
TEACHER = "world:truth"  # not a model: the world knows its answers


@settings
@dataclass(frozen=True)
class Plan:
    """What is run. `removed` is the problem_type that the transfer run does without."""

    seeds: int = 3
    sft_steps: int = 150
    rl_steps: int = 60
    per_family: int = 6
    prompts: int = 8
    generations: int = 4
    estimators: tuple[str, ...] = ("grpo", "dr_grpo", "ema_grpo", "gdpo", "g2rpo")
    removed: str = "temporal grounding"
    profile: str = "strict"


@dataclass
class Results:
    """By arm ("sft", an estimator, "without …"), then by task key: one number a seed."""

    rewards: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    shares: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)

    def add(self, kind: str, arm: str, values: Mapping[str, float]) -> None:
        """Another seed's numbers of an arm; `kind` is rewards or shares."""
        of_arm = getattr(self, kind).setdefault(arm, {})
        for task, value in values.items():
            of_arm.setdefault(task, []).append(value)


def reproduce(out: Path, plan: Plan, world: Path) -> Results:
    """Run the plan in the folder `out`, from the world's questions at `world`; writes results.json, .md and .svg there.

    Every training is a run in `out/corpus`. Raises what training raises.
    """
    with _corpus(out / "corpus", world) as corpus:
        whole = _frozen(corpus, "world", None)
        fewer = _frozen(corpus, "world-without", plan.removed)
        results = Results()
        for seed in range(plan.seeds):
            start = _cold_start(corpus, out, whole, plan, seed)
            results.add("rewards", "sft", rewards_of(start, whole, _rl(whole, start, out, plan, "ema_grpo", seed)))
            arms = [(name, whole, name) for name in plan.estimators]
            arms.append((f"without {plan.removed}", fewer, "ema_grpo"))
            for arm, snapshot, estimator in arms:
                config = _rl(snapshot, start, out / arm.replace(" ", "-"), plan, estimator, seed)
                model = train_rl(corpus, config)
                results.add("rewards", arm, rewards_of(model, whole, replace(config, snapshot=whole.ref)))
                curves = curves_of(corpus, json.loads((model / "training.json").read_text())["run_id"])
                results.add("shares", arm, _shares(curves))
                if seed == 0:
                    results.curves[arm] = curves["reward"]
                _write(out, plan, results)
    return results


def rewards_of(model: Path, snapshot: "Snapshot", config: RlConfig) -> dict[str, float]:
    """The mean reward of a model's sampled responses to every question of a snapshot, by task key."""
    import torch

    from trainers.group_trainer import build

    torch.manual_seed(config.seed)
    trainer = build(snapshot, replace(config, model=replace(config.model, name=str(model)), online_filter=None))
    trainer.model.eval()
    earned: dict[str, list[float]] = {}
    rows = [one["row"] for one in trainer.train_dataset for _ in range(config.generations)]
    size = config.prompts * config.generations
    for first in range(0, len(rows), size):
        for one in trainer.part(rows[first : first + size]).judged:
            if one.reward is not None:
                earned.setdefault(one.task, []).append(one.reward)
    return {task: mean(values) for task, values in sorted(earned.items())}


def interval(values: Sequence[float]) -> str:
    """`mean ± half the width of its 95% interval` over seeds (Student's t); the mean alone for one seed."""
    if len(values) < 2:
        return f"{mean(values):.3f}"
    half = T_95.get(len(values), 1.96) * stdev(values) / len(values) ** 0.5
    return f"{mean(values):.3f} ± {half:.3f}"


def table(values: Mapping[str, Mapping[str, Sequence[float]]], title: str) -> str:
    """A Markdown table: a row for each task, a column for each arm, and the mean over tasks below."""
    arms = list(values)
    tasks = sorted({task for of_arm in values.values() for task in of_arm})
    lines = [f"| {title} | {' | '.join(arms)} |", "| --- |" + " --- |" * len(arms)]
    for task in tasks:
        cells = [interval(values[arm][task]) if task in values[arm] else "" for arm in arms]
        lines.append(f"| {task} | {' | '.join(cells)} |")
    over = [[mean(seed) for seed in zip(*values[arm].values(), strict=False)] for arm in arms]
    lines.append(f"| **mean over tasks** | {' | '.join(interval(seeds) for seeds in over)} |")
    return "\n".join(lines)


def _corpus(root: Path, world: Path) -> Corpus:
    if (root / MARK).exists():
        return Corpus.open(root)
    corpus = Corpus.create(root)
    ingest(corpus, "onethinker", [world], media_root=world.parent)
    rows = corpus.sql("select sample_id, answer from samples order by sample_id").fetchall()
    traces = [
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
    corpus.append("traces", traces)
    from filters import verify

    verify(corpus)
    return corpus


def _frozen(corpus: Corpus, name: str, without: str | None) -> "Snapshot":
    picks = corpus.sql(
        "select sample_id, trace_id from traces join samples using (sample_id) "
        "where problem_type is distinct from ? order by trace_id",
        [without],
    ).to_arrow_table()
    with corpus.run("select", {"name": name, "without": without}) as run:
        return corpus.snapshots.freeze(name, picks, profile="strict", recipe=f"without: {without}\n", run=run)


def _cold_start(corpus: Corpus, out: Path, snapshot: "Snapshot", plan: Plan, seed: int) -> Path:
    said = pa.Table.from_batches(snapshot.batches(["prompt", "response"]))
    texts = said["prompt"].to_pylist() + said["response"].to_pylist()
    tiny = write_tiny(out / f"tiny-{seed}", texts, seed=seed)
    told = {
        "snapshot": snapshot.ref,
        "output": str(out / f"sft-{seed}"),
        "model": {"name": str(tiny), "dtype": "float32", "gradient_checkpointing": False},
        "media": MEDIA,
        "batch": 8,
        "per_device": 8,
        "learning_rate": 8e-3,
        "schedule": "linear",
        "warmup": 0.1,
        "max_steps": plan.sft_steps,
        "max_length": 2048,
        "seed": seed,
        "workers": 0,
        "save_steps": plan.sft_steps,
    }
    return train_sft(corpus, built(told, SftConfig, "reproduce"))


def _rl(snapshot: "Snapshot", start: Path, out: Path, plan: Plan, estimator: str, seed: int) -> RlConfig:
    told = {
        "snapshot": snapshot.ref,
        "output": f"{out}-{seed}",
        "model": {"name": str(start), "dtype": "float32", "gradient_checkpointing": False},
        "media": MEDIA,
        "advantages": {"estimator": estimator},
        "profile": plan.profile,
        "online_filter": None,
        "prompts": plan.prompts,
        "generations": plan.generations,
        "updates": 1,
        "per_device": plan.prompts * plan.generations,
        "max_prompt": 2048,
        "max_response": 40,
        "engine": "transformers",
        "learning_rate": 1e-3,
        "kl": 0.001,
        "max_steps": plan.rl_steps,
        "save_steps": plan.rl_steps,
        "seed": seed,
        "workers": 1,
        "reward_workers": 1,
    }
    return built(told, RlConfig, "reproduce")


def _shares(curves: Mapping[str, Sequence[tuple[int, float]]]) -> dict[str, float]:
    """Each task's share of the squared gradient, over the steps in which it took part."""
    names = [name for name in curves if name.startswith("task/") and name.endswith("/share")]
    return {name.removeprefix("task/").removesuffix("/share"): mean(v for _, v in curves[name]) for name in names}


def _write(out: Path, plan: Plan, results: Results) -> None:
    told: dict[str, Any] = {"plan": plain(plan), "rewards": results.rewards, "shares": results.shares}
    (out / "results.json").write_text(json.dumps(told, indent=1) + "\n")
    tables = [table(results.rewards, "reward after training"), table(results.shares, "share of the gradient")]
    (out / "results.md").write_text("\n\n".join(tables) + "\n")
    (out / "results.svg").write_text(panels([Panel("reward, first seed", results.curves)], columns=1))
