"""The paper's comparison on a laptop: five advantage estimators, a tiny Qwen3-VL and the demo's synthetic world.

The model starts from scratch, learns the form of answers by SFT on the world's true ones, and continues by RL under
each estimator from the same start, with several seeds. `report.py` writes the results, whatever they are.
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
from corpus.ranges import ABOVE_0, AT_LEAST_1, Range
from corpus.response import wrap
from trainers.comparison import load_curves
from trainers.config import check_ranges, settings, to_dict
from trainers.experiment.report import Results, write
from trainers.experiment.tiny_train import one_thread, rl_config, sft_config, write_fresh_model
from trainers.rl.config import RlConfig
from trainers.rl.train import train as train_rl
from trainers.run_log import read_manifest
from trainers.sampled_rewards import sample_rewards
from trainers.sft.train import train as train_sft

if TYPE_CHECKING:
    from corpus.snapshots import Snapshot

TEACHER = "world:truth"  # not a model: the world knows its answers
WHOLE, FEWER = "world", "world-without"
PLAN = "plan.json"  # the plan of a reproduction, in its folder


@settings
@dataclass(frozen=True)
class ExperimentPlan:
    """The experiment's settings. The transfer run leaves out the problem_type `removed`; `processes` train in parallel.

    `families` have short answers, of at most forty tokens where a track takes two hundred, so that a step takes seconds
    on a laptop.
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

    def __post_init__(self) -> None:
        """Raise ValueError for a number out of range."""
        counts = ("seeds", "sft_steps", "rl_steps", "per_family", "prompts")
        check_ranges(
            self,
            dict.fromkeys(counts, AT_LEAST_1)
            | {"generations": Range(2), "learning_rate": ABOVE_0, "temperature": ABOVE_0, "processes": Range(1, 1024)},
        )

    @property
    def arms(self) -> dict[str, tuple[str, str]]:
        """The RL runs from each cold start: name → (estimator, snapshot)."""
        with_all = {name: (name, WHOLE) for name in self.estimators}
        return with_all | {f"without {self.removed}": ("ema_grpo", FEWER)}


@dataclass(frozen=True)
class Outcome:
    """The result of one training: the model, its mean rewards by task key, and its curves by metric."""

    model: str
    rewards: dict[str, float]
    curves: dict[str, list[tuple[int, float]]]
    seconds: float


def reproduce(out: Path, plan: ExperimentPlan, world: Path) -> Results:
    """Run the plan in the folder `out`, on the questions at `world`; writes results.json, .md and .svg there.

    Every training is a run in `out/corpus`. A second call resumes with the trainings that are not done. Raises
    OneThinkerError if the folder holds a reproduction by another plan, and what training raises.
    """
    _record_plan(out, plan)
    with _open_corpus(out / "corpus", world) as corpus:
        for name, without in ((WHOLE, None), (FEWER, plan.removed)):
            if name not in {snapshot.name for snapshot in corpus.snapshots.list()}:
                _freeze(corpus, name, plan.families, without)
    results = Results(to_dict(plan))
    with ProcessPoolExecutor(plan.processes, get_context("spawn")) as pool:
        taught = {pool.submit(train_sft_arm, out, plan, seed): seed for seed in range(plan.seeds)}
        rewarded: dict[Future[Outcome], tuple[str, int]] = {}
        for done in as_completed(taught):
            seed = taught[done]
            results.add("sft", seed, done.result().rewards, {}, done.result().seconds)
            for arm in plan.arms:
                rewarded[pool.submit(train_rl_arm, out, plan, arm, done.result().model, seed)] = (arm, seed)
        for done in as_completed(rewarded):
            (arm, seed), outcome = rewarded[done], done.result()
            results.add(arm, seed, outcome.rewards, outcome.curves, outcome.seconds)
            print(f"{arm}, seed {seed}: {outcome.seconds:.0f} s", file=sys.stderr)
            write(results, out)
    return results


def train_sft_arm(out: Path, plan: ExperimentPlan, seed: int) -> Outcome:
    """Train the seed's own tiny model by SFT on the true answers."""

    def train(corpus: Corpus) -> tuple[Path, RlConfig]:
        whole = corpus.snapshots.get(WHOLE)
        tiny = write_fresh_model(whole, out / f"tiny-{seed}", seed=seed)
        model = train_sft(corpus, sft_config(whole, tiny, out / f"sft-{seed}", steps=plan.sft_steps, seed=seed))
        return model, _rl_config(whole, model, out / "measured", plan, "ema_grpo", seed)

    return _train_once(out, f"sft-{seed}", train)


def train_rl_arm(out: Path, plan: ExperimentPlan, arm: str, start: str, seed: int) -> Outcome:
    """Train the model in `start` by RL, as one of the plan's arms."""
    estimator, snapshot = plan.arms[arm]
    name = f"{arm.replace(' ', '-')}-{seed}"

    def train(corpus: Corpus) -> tuple[Path, RlConfig]:
        # Every arm has the response limit of all tasks, including the arm without one of them.
        config = _rl_config(corpus.snapshots.get(WHOLE), Path(start), out / name, plan, estimator, seed)
        return train_rl(corpus, replace(config, snapshot=corpus.snapshots.get(snapshot).ref)), config

    return _train_once(out, name, train)


def _train_once(out: Path, name: str, train: Callable[[Corpus], tuple[Path, RlConfig]]) -> Outcome:
    """Train and measure the model, or load the outcome if it is on disk."""
    path = out / "outcomes" / f"{name}.json"
    if path.is_file():
        return Outcome(**json.loads(path.read_text()))
    started = perf_counter()
    with one_thread(), Corpus.open(out / "corpus") as corpus:
        model, config = train(corpus)
        earned = sample_rewards(model, corpus.snapshots.get(WHOLE), config)
        rewards = {task: mean(values) for task, values in earned.items()}
        curves = load_curves(corpus, read_manifest(model)["run_id"])
    outcome = Outcome(str(model), rewards, curves, perf_counter() - started)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(outcome)))
    return outcome


def _record_plan(out: Path, plan: ExperimentPlan) -> None:
    """Write the plan to the folder; a later call may change `seeds` and `processes` only."""
    path, free = out / PLAN, ("seeds", "processes")
    values = json.loads(json.dumps(to_dict(plan)))
    before = json.loads(path.read_text()) if path.is_file() else values
    other = [name for name, value in values.items() if name not in free and before.get(name) != value]
    if other:
        raise OneThinkerError(f"{out} holds a reproduction with another {', '.join(other)}; choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=1) + "\n")


def _rl_config(
    snapshot: "Snapshot", start: Path, output: Path, plan: ExperimentPlan, estimator: str, seed: int
) -> RlConfig:
    settings: dict[str, Any] = {
        "advantages": {"estimator": estimator},
        "profile": plan.profile,
        "prompts": plan.prompts,
        "generations": plan.generations,
        "learning_rate": plan.learning_rate,
        "temperature": plan.temperature,
    }
    return rl_config(snapshot, start, output, steps=plan.rl_steps, seed=seed, **settings)


def _open_corpus(root: Path, world: Path) -> Corpus:
    """The world's questions with their true answers as verified traces; opened if it exists."""
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


def _freeze(corpus: Corpus, name: str, families: Sequence[str], without: str | None) -> "Snapshot":
    picks = corpus.sql(
        "select sample_id, trace_id from traces join samples using (sample_id) "
        "where task in (select unnest(?)) and problem_type is distinct from ? order by trace_id",
        [list(families), without],
    ).to_arrow_table()
    with corpus.run("select", {"name": name, "families": list(families), "without": without}) as run:
        recipe = f"families: {', '.join(families)}\nwithout: {without}\n"
        return corpus.snapshots.freeze(name, picks, profile="strict", recipe=recipe, run=run)
