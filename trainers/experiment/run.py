"""The paper's argument on a laptop: unlike rewards, five ways to weigh them, a tiny Qwen3-VL and the demo's world.

The model is made from scratch, learns the form of answers by SFT on the world's true ones, and goes on by RL under each
estimator from the same start, with several seeds. What comes out is told whatever it is (`report.py`).
"""

import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import TYPE_CHECKING, Any

from corpus import Corpus
from corpus.errors import OneThinkerError
from corpus.ids import digest
from corpus.ingest import ingest
from corpus.location import CORPUS_FILE
from corpus.response import wrap
from trainers.comparison import curves_of
from trainers.config import plain, settings
from trainers.experiment.report import Results, write
from trainers.experiment.tiny_train import cold_start, fresh, one_thread, reinforcement
from trainers.rl.config import RlConfig
from trainers.rl.train import train as train_rl
from trainers.run_log import told_by
from trainers.sampled_rewards import rewards_of
from trainers.sft.train import train as train_sft

if TYPE_CHECKING:
    from corpus.snapshots import Snapshot

TEACHER = "world:truth"  # not a model: the world knows its answers
WHOLE, FEWER = "world", "world-without"
PLAN = "plan.json"  # in the folder of a reproduction: what was begun there


@settings
@dataclass(frozen=True)
class Plan:
    """What is run. `removed` is the problem_type that the transfer run does without; `processes` train side by side.

    `families` are those whose answers are short: a step takes seconds on a laptop because none is longer than forty
    tokens, where a track takes two hundred.
    """

    seeds: int = 3
    sft_steps: int = 200
    rl_steps: int = 30
    per_family: int = 12
    families: tuple[str, ...] = ("image QA", "video QA", "temporal grounding", "spatial grounding")
    prompts: int = 8
    generations: int = 8
    learning_rate: float = 1e-3
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

    model: str
    rewards: dict[str, float]
    curves: dict[str, list[tuple[int, float]]]
    seconds: float


def reproduce(out: Path, plan: Plan, world: Path) -> Results:
    """Run the plan in the folder `out`, from the world's questions at `world`; writes results.json, .md and .svg there.

    Every training is a run in `out/corpus`. Run again, it goes on with the trainings that are not done. Raises
    OneThinkerError where the folder holds a reproduction by another plan, and what training raises.
    """
    _begun(out, plan)
    with _corpus(out / "corpus", world) as corpus:
        for name, without in ((WHOLE, None), (FEWER, plan.removed)):
            if name not in {snapshot.name for snapshot in corpus.snapshots.list()}:
                _frozen(corpus, name, plan.families, without)
    results = Results(plain(plan))
    with ProcessPoolExecutor(plan.processes, get_context("spawn")) as pool:
        taught = {pool.submit(taught_by_sft, out, plan, seed): seed for seed in range(plan.seeds)}
        rewarded: dict[Future[Outcome], tuple[str, int]] = {}
        for done in as_completed(taught):
            seed = taught[done]
            results.add("sft", seed, done.result().rewards, {}, done.result().seconds)
            for arm in plan.arms:
                rewarded[pool.submit(taught_by_rl, out, plan, arm, done.result().model, seed)] = (arm, seed)
        for done in as_completed(rewarded):
            (arm, seed), outcome = rewarded[done], done.result()
            results.add(arm, seed, outcome.rewards, outcome.curves, outcome.seconds)
            print(f"{arm}, seed {seed}: {outcome.seconds:.0f} s", file=sys.stderr)
            write(results, out)
    return results


def taught_by_sft(out: Path, plan: Plan, seed: int) -> Outcome:
    """A tiny model of its own for the seed, after SFT on the world's answers."""

    def train(corpus: Corpus) -> tuple[Path, RlConfig]:
        whole = corpus.snapshots.get(WHOLE)
        tiny = fresh(whole, out / f"tiny-{seed}", seed=seed)
        model = train_sft(corpus, cold_start(whole, tiny, out / f"sft-{seed}", steps=plan.sft_steps, seed=seed))
        return model, _rl(whole, model, out / "measured", plan, "ema_grpo", seed)

    return _once(out, f"sft-{seed}", train)


def taught_by_rl(out: Path, plan: Plan, arm: str, start: str, seed: int) -> Outcome:
    """The model that SFT left in `start`, after RL as one of the plan's arms does it."""
    estimator, snapshot = plan.arms[arm]
    name = f"{arm.replace(' ', '-')}-{seed}"

    def train(corpus: Corpus) -> tuple[Path, RlConfig]:
        # Every arm may say as much as all tasks need, also the one that goes without one of them.
        config = _rl(corpus.snapshots.get(WHOLE), Path(start), out / name, plan, estimator, seed)
        return train_rl(corpus, replace(config, snapshot=corpus.snapshots.get(snapshot).ref)), config

    return _once(out, name, train)


def _once(out: Path, name: str, train: Callable[[Corpus], tuple[Path, RlConfig]]) -> Outcome:
    """Train and measure the model, or read what came of it when that was done before."""
    path = out / "outcomes" / f"{name}.json"
    if path.is_file():
        return Outcome(**json.loads(path.read_text()))
    started = perf_counter()
    with one_thread(), Corpus.open(out / "corpus") as corpus:
        model, config = train(corpus)
        earned = rewards_of(model, corpus.snapshots.get(WHOLE), config)
        rewards = {task: mean(values) for task, values in earned.items()}
        curves = curves_of(corpus, told_by(model)["run_id"])
    outcome = Outcome(str(model), rewards, curves, perf_counter() - started)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(outcome)))
    return outcome


def _begun(out: Path, plan: Plan) -> None:
    """Note the plan in the folder; more seeds may come later, and other processes, nothing else."""
    path, free = out / PLAN, ("seeds", "processes")
    told = json.loads(json.dumps(plain(plan)))
    before = json.loads(path.read_text()) if path.is_file() else told
    other = [name for name, value in told.items() if name not in free and before.get(name) != value]
    if other:
        raise OneThinkerError(f"{out} holds a reproduction with another {', '.join(other)}; choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=1) + "\n")


def _rl(snapshot: "Snapshot", start: Path, output: Path, plan: Plan, estimator: str, seed: int) -> RlConfig:
    told: dict[str, Any] = {
        "advantages": {"estimator": estimator},
        "profile": plan.profile,
        "prompts": plan.prompts,
        "generations": plan.generations,
        "learning_rate": plan.learning_rate,
        "temperature": plan.temperature,
    }
    return reinforcement(snapshot, start, output, steps=plan.rl_steps, seed=seed, **told)


def _corpus(root: Path, world: Path) -> Corpus:
    """The world's questions with their true answers as traces, scored."""
    if (root / CORPUS_FILE).exists():
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


def _frozen(corpus: Corpus, name: str, families: Sequence[str], without: str | None) -> "Snapshot":
    picks = corpus.sql(
        "select sample_id, trace_id from traces join samples using (sample_id) "
        "where task in (select unnest(?)) and problem_type is distinct from ? order by trace_id",
        [list(families), without],
    ).to_arrow_table()
    with corpus.run("select", {"name": name, "families": list(families), "without": without}) as run:
        recipe = f"families: {', '.join(families)}\nwithout: {without}\n"
        return corpus.snapshots.freeze(name, picks, profile="strict", recipe=recipe, run=run)
