"""The results of `onethinker reproduce` as tables, with intervals over seeds, and as plots."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from scipy.stats import t as student_t

from trainers.svg import Panel, bar_panel, render_panels

CONFIDENCE = 0.95
SMOOTH = 8  # steps averaged for each point of a curve
START, BASELINE, MEAN = "sft", "grpo", "mean over tasks"

Curve = list[tuple[int, float]]
ByTask = dict[str, float]


@dataclass
class Results:
    """By arm ("sft", an estimator, "without …") and seed: rewards after training, shares of the gradient, and curves.

    A share is a task's part of ΣA², averaged over all steps (0 for a step without the task); the shares sum to 1.
    `rows` is each task's part of the responses, which its share would equal if all rows weighed the same.
    """

    plan: dict[str, Any]
    rewards: dict[str, dict[int, ByTask]] = field(default_factory=dict)
    shares: dict[str, dict[int, ByTask]] = field(default_factory=dict)
    rows: dict[str, dict[int, ByTask]] = field(default_factory=dict)
    curves: dict[str, dict[int, Curve]] = field(default_factory=dict)
    seconds: float = 0.0  # summed over all trainings and measurements, parallel ones too

    def add(
        self, arm: str, seed: int, rewards: Mapping[str, float], curves: Mapping[str, Curve], seconds: float = 0.0
    ) -> None:
        """Add an arm's outcome under one seed; `curves` are those of its RL run, empty for SFT."""
        self.seconds += seconds
        self.rewards.setdefault(arm, {})[seed] = dict(rewards) | {MEAN: mean(rewards.values())}
        if curves:
            self.shares.setdefault(arm, {})[seed] = _parts(curves, "/share")
            self.rows.setdefault(arm, {})[seed] = _parts(curves, "/rows")
            self.curves.setdefault(arm, {})[seed] = list(curves["reward"])


def interval(values: Sequence[float], signed: bool = False) -> str:
    """`mean ± half the width of its 95% interval` over seeds, by Student's t; the mean alone for one seed."""
    middle = f"{mean(values):+.3f}" if signed else f"{mean(values):.3f}"
    if len(values) < 2:
        return middle
    quantile = float(student_t.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
    return f"{middle} ± {quantile * stdev(values) / len(values) ** 0.5:.3f}"


def table(title: str, columns: Mapping[str, Mapping[int, Mapping[str, float]]], *, signed: bool = False) -> str:
    """A Markdown table with a row per task and a column per arm; each cell is an interval over seeds."""
    tasks = sorted({t for seeds in columns.values() for by_task in seeds.values() for t in by_task}, key=_last)
    lines = [f"| {title} | {' | '.join(columns)} |", "| --- |" + " --- |" * len(columns)]
    for task in tasks:
        cells = [[one[task] for one in seeds.values() if task in one] for seeds in columns.values()]
        lines.append(f"| {task} | {' | '.join(interval(cell, signed) if cell else '' for cell in cells)} |")
    return "\n".join(lines)


def differences(results: Results, base: str, arms: Iterable[str]) -> dict[str, dict[int, ByTask]]:
    """Each arm's rewards minus those of `base`, paired by seed: both start from the same model."""
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


def draw(results: Results) -> str:
    """Plot reward over steps, each task's reward after training and its share of the gradient, as one SVG."""
    arms = _arms(results)
    curves = {arm: _smooth(list(results.curves[arm].values())) for arm in arms if arm in results.curves}
    rewards = {arm: _over_seeds(results.rewards[arm]) for arm in arms}
    estimators = [arm for arm in curves if not arm.startswith("without ")]
    shares = {"responses": _over_seeds(_rows(results))} | {arm: _over_seeds(results.shares[arm]) for arm in estimators}
    return render_panels(
        [
            Panel(f"reward in training (mean of seeds and of {SMOOTH} steps)", curves),
            bar_panel("reward after training", rewards),
            bar_panel("share of the gradient", shares),
        ],
        columns=1,
        width=1000,
    )


def write(results: Results, out: Path) -> None:
    """Write results.json, results.md and results.svg to a folder."""
    (out / "results.json").write_text(json.dumps(asdict(results), indent=1) + "\n")
    (out / "results.md").write_text(report(results))
    (out / "results.svg").write_text(draw(results))


def _parts(curves: Mapping[str, Curve], suffix: str) -> ByTask:
    """Each task's part of a per-task metric, over all steps."""
    sums = {
        name.removeprefix("task/").removesuffix(suffix): sum(value for _, value in curve)
        for name, curve in curves.items()
        if name.startswith("task/") and name.endswith(suffix)
    }
    whole = sum(sums.values()) or 1.0
    return {task: value / whole for task, value in sorted(sums.items())}


def _arms(results: Results) -> list[str]:
    """The arms in the plan's order."""
    order = [START, *results.plan.get("estimators", ())]
    return [arm for arm in order if arm in results.rewards] + [arm for arm in results.rewards if arm not in order]


def _of_others(by_task: ByTask, removed: str) -> ByTask:
    """The numbers by task, with the mean over the tasks other than `removed`."""
    tasks = {task: value for task, value in by_task.items() if task != MEAN}
    return tasks | {MEAN + " kept": mean(value for task, value in tasks.items() if task != removed)}


def _rows(results: Results) -> dict[int, ByTask]:
    """Each task's part of the responses of a run on all tasks; it is the same for every estimator."""
    return results.rows.get(BASELINE) or next(iter(results.rows.values()), {})


def _smooth(seeds: Sequence[Curve]) -> Curve:
    """The mean over seeds, then a moving mean over SMOOTH steps."""
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
