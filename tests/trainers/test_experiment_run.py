"""`reproduce` goes on where it was stopped, and does not mix two plans in one folder."""

import json
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="the training stack is not installed")

from corpus import Corpus
from corpus.errors import OneThinkerError
from onethinker.demo.world import write_world
from trainers.experiment.run import FEWER, WHOLE, ExperimentPlan, _record_plan, reproduce


def outcome(model: str, reward: float) -> str:
    curves = {"reward": [[1, reward]], "task/numerical/share": [[1, 1.0]], "task/numerical/rows": [[1, 8.0]]}
    return json.dumps({"model": model, "rewards": {"numerical": reward}, "curves": curves, "seconds": 2.0})


@pytest.mark.slow
def test_what_was_done_is_not_done_again(tmp_path: Path) -> None:
    """Every training's outcome is there, so that nothing is trained: tables and plots are made of what is found."""
    plan = ExperimentPlan(seeds=2, per_family=1, processes=1, estimators=("grpo", "ema_grpo"))
    out = tmp_path / "out"
    (out / "outcomes").mkdir(parents=True)
    for seed in range(2):
        for place, name in enumerate(("sft", "grpo", "ema_grpo", "without-temporal-grounding")):
            (out / "outcomes" / f"{name}-{seed}.json").write_text(outcome("m", 0.1 * place + 0.2 * seed))
    world = write_world(tmp_path / "world", seed=0, per_family=1)
    results = reproduce(out, plan, world)
    assert results.seconds == pytest.approx(2.0 * 4 * 2)
    assert "| numerical | +0.100 ± 0.000 | +0.200 ± 0.000 | +0.300 ± 0.000 |" in (out / "results.md").read_text()
    assert json.loads((out / "results.json").read_text())["plan"]["seeds"] == 2
    with Corpus.open(out / "corpus") as corpus:
        whole, fewer = corpus.snapshots.get(WHOLE), corpus.snapshots.get(FEWER)
        assert set(whole.counts) == set(plan.families)
        assert set(whole.counts) - set(fewer.counts) == {"temporal grounding"}
        assert corpus.sql("select count(*) from runs where kind = 'train'").fetchall() == [(0,)]


def test_another_plan_wants_another_folder(tmp_path: Path) -> None:
    _record_plan(tmp_path, ExperimentPlan())
    _record_plan(tmp_path, ExperimentPlan(seeds=9, processes=1))
    with pytest.raises(OneThinkerError, match=r"with another rl_steps, temperature; choose another folder"):
        _record_plan(tmp_path, ExperimentPlan(rl_steps=2, temperature=0.5))
