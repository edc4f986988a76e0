"""Two ranks equal one, and a killed and resumed run equals an uninterrupted one, at size and in real processes.

The uninterrupted runs of one rank train in the test's own process; ten processes remain.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="the training stack is not installed")

import torch
from safetensors.torch import load_file

from tests.trainers.conftest import SFT
from tests.trainers.making import Training, canned
from trainers.comparison import load_curves
from trainers.rl.train import train as rl
from trainers.rl.trainer import GroupTrainer
from trainers.sft.train import train as sft

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]  # ten processes import torch, on a machine that may be busy
REPOSITORY = Path(__file__).parents[2]
RL = {
    "prompts": 4, "generations": 4, "updates": 1, "engine": "transformers", "max_prompt": 2048, "max_response": 16,
    "online_filter": None, "workers": 1, "reward_workers": 1, "learning_rate": 1e-3, "profile": "paper", "kl": 0.01,
}  # fmt: skip


def start(training: Training, name: str, method: str, settings: dict[str, Any], ranks: int = 1, **more: Any) -> Any:
    """Begin a training in processes of its own; returns the process."""
    path = training.root / f"{name}.json"
    settings = {"output": str(training.root / name)} | settings
    path.write_text(
        json.dumps({"root": str(training.root), "method": method, "settings": settings, "ranks": ranks} | more)
    )
    command = [sys.executable, "-m", "tests.trainers.making", str(path)]
    if ranks > 1:
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(ranks), "--standalone"]
        command = [*torchrun, *command[1:]]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE, text=True)


def wait(process: Any) -> None:
    """Wait for a training to end well."""
    errors = process.communicate()[1]
    assert process.returncode == 0, errors[-3000:]


def train_here(training: Training, name: str, method: str, settings: dict[str, Any]) -> None:
    """The same training in this process."""
    config = getattr(training, method)(output=training.root / name, **settings)
    (sft if method == "sft" else rl)(training.corpus, config)


def curves(training: Training, name: str) -> dict[str, dict[int, float]]:
    run_id = json.loads((training.root / name / "training.json").read_text())["run_id"]
    return {metric: dict(curve) for metric, curve in load_curves(training.corpus, run_id).items()}


def close(a: dict[int, float], b: dict[int, float], **tolerance: float) -> None:
    assert a.keys() == b.keys()
    assert a == pytest.approx(b, **tolerance)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    return found


def test_two_ranks_fine_tune_as_one(training: Training) -> None:
    settings = SFT | {"max_steps": 3, "workers": 0}
    train_here(training, "sft-1", "sft", settings)
    wait(start(training, "sft-2", "sft", settings | {"per_device": 2, "gpus": 2}, ranks=2))
    assert json.loads((training.root / "sft-2" / "training.json").read_text())["ranks"] == 2
    one, two = curves(training, "sft-1"), curves(training, "sft-2")
    # The same float32 terms in another order of sums.
    close(two["loss"], one["loss"], rel=1e-4)
    close(two["grad_norm"], one["grad_norm"], rel=1e-2)


def test_two_ranks_learn_as_one(training: Training, taught: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = RL | {"model": {"name": str(taught)}, "max_steps": 4, "save_steps": 4}
    with monkeypatch.context() as patched:
        patched.setattr(GroupTrainer, "_generate_single_turn", canned)
        train_here(training, "rl-1", "rl", settings | {"per_device": 16})
    wait(start(training, "rl-2", "rl", settings | {"per_device": 8, "gpus": 2}, ranks=2, canned=True))
    states = [
        json.loads((training.root / name / "checkpoint-4" / "advantages.json").read_text()) for name in ("rl-1", "rl-2")
    ]
    assert states[0]["state"] == states[1]["state"], "moments are equal to the last bit"
    assert len(states[0]["state"]) > 2
    assert len(states[1]["reserves"]) == 2
    one, two = curves(training, "rl-1"), curves(training, "rl-2")
    close(two["reward"], one["reward"], rel=1e-6)
    for name in ("loss", "kl", "entropy", "grad_norm"):
        assert two[name][1] == pytest.approx(one[name][1], rel=1e-3, abs=1e-6), "one step, with sums in another order"
        # Adam turns rounding of small gradients into steps of full size, so later steps agree less.
        close(two[name], one[name], rel=0.1, abs=1e-4)


@pytest.mark.parametrize("method", ["sft", "rl"])
def test_ten_steps_are_five_a_kill_and_five(training: Training, taught: Path, method: str) -> None:
    if method == "sft":
        settings: dict[str, Any] = SFT | {"max_steps": 10, "save_steps": 5, "workers": 0, "schedule": "cosine"}
    else:
        settings = RL | {"model": {"name": str(taught)}, "per_device": 8, "max_steps": 10, "save_steps": 5}
        settings |= {"prompts": 2, "max_response": 12, "online_filter": {"rounds": 1, "low": -1.0, "high": 0.5}}
    whole, broken = f"{method}-whole", f"{method}-broken"
    train_here(training, whole, method, settings)
    process = start(training, broken, method, settings)
    checkpoint = training.root / broken / "checkpoint-5"
    while not (checkpoint / "training.json").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    for later in sorted((training.root / broken).glob("checkpoint-1*")):
        shutil.rmtree(later)  # it passed the checkpoint before the kill
    wait(start(training, broken, method, settings, resume=str(checkpoint)))
    one, two = curves(training, whole), curves(training, broken)
    close(two["loss"], one["loss"], rel=1e-6, abs=1e-9)
    assert sorted(two["loss"]) == list(range(1, 11)), "the killed run's steps and the resumed run's are one curve"
    for name, weight in weights(training.root / whole).items():
        assert torch.equal(weight, weights(training.root / broken)[name]), name
    if method == "rl":
        last = [(training.root / name / "checkpoint-10" / "advantages.json").read_text() for name in (whole, broken)]
        assert last[0] == last[1], "moments and the reserve's position"
    killed = training.corpus.sql(
        "select count(*) from runs where kind = 'train' and status in ('crashed', 'running')"
    ).fetchall()
    assert killed[0][0] >= 1, "the killed run is on record"
