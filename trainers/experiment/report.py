"""What `onethinker reproduce` found, as tables with intervals over seeds and as plots."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from trainers.svg import Panel, bars, panels

T_95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36}  # Student's t for n values, 95% both sides
SMOOTH = 8  # steps that a point of a drawn curve is the mean of
START, BASELINE, MEAN = "sft", "grpo", "mean over tasks"

Curve = list[tuple[int, float]]
ByTask = dict[str, float]


@dataclass
class Results:
    """By arm ("sft", an estimator, "without …") and seed: rewards after training, shares of the gradient, and curves.

    A share is a task's part of ΣA², the mean over all steps, 0 where no row of the task took part: they add up to 1.
    `rows` is each task's part of the responses, which is what its share would be were all rows alike.
    """

    plan: dict[str, Any]
    rewards: dict[str, dict[int, ByTask]] = field(default_factory=dict)
    shares: dict[str, dict[int, ByTask]] = field(default_factory=dict)
    rows: dict[str, dict[int, ByTask]] = field(default_factory=dict)
    curves: dict[str, dict[int, Curve]] = field(default_factory=dict)
    seconds: float = 0.0  # of all trainings and measurements together, whichever ran side by side

    def add(
        self, arm: str, seed: int, rewards: Mapping[str, float], curves: Mapping[str, Curve], seconds: float = 0.0
    ) -> None:
        """An arm's outcome under one seed; `curves` are those of its RL run, none for SFT."""
        self.seconds += seconds
        self.rewards.setdefault(arm, {})[seed] = dict(rewards) | {MEAN: mean(rewards.values())}
        if curves:
            self.shares.setdefault(arm, {})[seed] = _parts(curves, "/share")
            self.rows.setdefault(arm, {})[seed] = _parts(curves, "/rows")
            self.curves.setdefault(arm, {})[seed] = list(curves["reward"])


def interval(values: Sequence[float], signed: bool = False) -> str:
    """`mean ± half the width of its 95% interval` over seeds (Student's t); the mean alone for one seed."""
    middle = f"{mean(values):+.3f}" if signed else f"{mean(values):.3f}"
    if len(values) < 2:
        return middle
    return f"{middle} ± {T_95.get(len(values), 1.96) * stdev(values) / len(values) ** 0.5:.3f}"


def table(title: str, columns: Mapping[str, Mapping[int, Mapping[str, float]]], *, signed: bool = False) -> str:
    """A Markdown table: a row for each task, a column for each arm, each cell an interval over seeds."""
    tasks = sorted({t for seeds in columns.values() for by_task in seeds.values() for t in by_task}, key=_last)
    lines = [f"| {title} | {' | '.join(columns)} |", "| --- |" + " --- |" * len(columns)]
    for task in tasks:
        told = [[one[task] for one in seeds.values() if task in one] for seeds in columns.values()]
        lines.append(f"| {task} | {' | '.join(interval(cell, signed) if cell else '' for cell in told)} |")
    return "\n".join(lines)


def differences(results: Results, base: str, arms: Iterable[str]) -> dict[str, dict[int, ByTask]]:
    """What each arm's rewards are above another's, seed by seed: the two began from one model."""
    return {
        arm: {
            seed: {task: value - results.rewards[base][seed][task] for task, value in by_task.items()}
            for seed, by_task in results.rewards[arm].items()
            if seed in results.rewards.get(base, {})
        }
        for arm in arms
    }


def report(results: Results) -> str:
    """All tables, in Markdown."""
    trained = [arm for arm in _arms(results) if arm != START]
    estimators = [arm for arm in trained if not arm.startswith("without ")]
    ordered = {arm: results.rewards[arm] for arm in _arms(results)}
    shares = {"responses": _rows(results)} | {arm: results.shares[arm] for arm in estimators}
    parts = [
        table("mean reward after training", ordered),
        table("above SFT alone", differences(results, START, trained), signed=True),
    ]
    if BASELINE in results.rewards:
        others = [arm for arm in estimators if arm != BASELINE]
        parts.append(table("above GRPO", differences(results, BASELINE, others), signed=True))
    if "ema_grpo" in results.rewards:
        fewer = differences(results, "ema_grpo", [arm for arm in trained if arm not in estimators])
        removed = results.plan.get("removed", "")
        fewer = {arm: {seed: _of_others(one, removed) for seed, one in seeds.items()} for arm, seeds in fewer.items()}
        parts.append(table("above EMA-GRPO with all tasks", fewer, signed=True))
    return "\n\n".join([*parts, table("share of the gradient", shares)]) + "\n"


def drawn(results: Results) -> str:
    """Reward over the steps, each task's reward after training, and each task's share of the gradient, as one SVG."""
    arms = _arms(results)
    curves = {arm: _smoothed(list(results.curves[arm].values())) for arm in arms if arm in results.curves}
    rewards = {arm: _over_seeds(results.rewards[arm]) for arm in arms}
    estimators = [arm for arm in curves if not arm.startswith("without ")]
    shares = {"responses": _over_seeds(_rows(results))} | {arm: _over_seeds(results.shares[arm]) for arm in estimators}
    return panels(
        [
            Panel(f"reward in training (mean of seeds and of {SMOOTH} steps)", curves),
            bars("reward after training", rewards),
            bars("share of the gradient", shares),
        ],
        columns=1,
        width=1000,
    )


def write(results: Results, out: Path) -> None:
    """Leave results.json, results.md and results.svg in a folder."""
    (out / "results.json").write_text(json.dumps(asdict(results), indent=1) + "\n")
    (out / "results.md").write_text(report(results))
    (out / "results.svg").write_text(drawn(results))


def _parts(curves: Mapping[str, Curve], suffix: str) -> ByTask:
    """Each task's part of a metric of tasks, over all steps."""
    sums = {
        name.removeprefix("task/").removesuffix(suffix): sum(value for _, value in curve)
        for name, curve in curves.items()
        if name.startswith("task/") and name.endswith(suffix)
    }
    whole = sum(sums.values()) or 1.0
    return {task: value / whole for task, value in sorted(sums.items())}


def _arms(results: Results) -> list[str]:
    """The arms in the plan's order, whichever was done first."""
    order = [START, *results.plan.get("estimators", ())]
    return [arm for arm in order if arm in results.rewards] + [arm for arm in results.rewards if arm not in order]


def _of_others(by_task: ByTask, removed: str) -> ByTask:
    """A task's numbers with the mean over the tasks that are not `removed`."""
    told = {task: value for task, value in by_task.items() if task != MEAN}
    return told | {MEAN + " kept": mean(value for task, value in told.items() if task != removed)}


def _rows(results: Results) -> dict[int, ByTask]:
    """Each task's part of the responses where all tasks are trained, which is the same for every estimator."""
    return results.rows.get(BASELINE) or next(iter(results.rows.values()), {})


def _smoothed(seeds: Sequence[Curve]) -> Curve:
    """The mean over seeds of each step, and of the steps before it."""
    means = [(points[0][0], mean(value for _, value in points)) for points in zip(*seeds, strict=False)]
    return [
        (step, mean(value for _, value in means[max(0, i + 1 - SMOOTH) : i + 1]))
        for i, (step, _) in enumerate(means)
        if i + 1 >= min(SMOOTH, len(means))
    ]


def _over_seeds(seeds: Mapping[int, ByTask]) -> ByTask:
    tasks = sorted({task for by_task in seeds.values() for task in by_task}, key=_last)
    return {task: mean(one[task] for one in seeds.values() if task in one) for task in tasks}


def _last(task: str) -> tuple[bool, str]:
    return task.startswith(MEAN), task
