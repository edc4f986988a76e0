"""Our plug-ins inside the real verl and ms-swift: `make engines` installs both and runs these tests.

Each engine trains the tiny model on this machine's processors, images and videos, several tasks in a batch; what its
plug-in was asked and answered is written down as it goes and compared with our own code here. Then it goes on from a
checkpoint. What stands in for GPUs is in the folder `engines`.
"""

import json
import os
import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from corpus.exports import export
from filters import score
from trainers.advantages import EmaGrpo

ENGINES = os.environ.get("ONETHINKER_ENGINES")
PLUGINS = Path(__file__).parents[2] / "trainers" / "plugins"
ON_CPU = Path(__file__).parent / "engines"
GENERATIONS = 4

pytestmark = [
    pytest.mark.skipif(not ENGINES, reason="`make engines` installs verl and ms-swift and runs these tests"),
    pytest.mark.timeout(900),
]


@dataclass(frozen=True)
class Engine:
    """An engine's environment, and a folder with our export in `data`."""

    name: str
    root: Path

    def run(self, *command: str, **env: str) -> str:
        """What a command of the engine's environment says; it must end well."""
        ran = self.ran(*command, **env)
        assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-6000:]
        return ran.stdout + ran.stderr

    def ran(self, *command: str, **env: str) -> "subprocess.CompletedProcess[str]":
        home = str(self.root / "home")
        variables = {
            **os.environ, "PYTHONPATH": str(ON_CPU), "RECORDED": str(self.root / "calls.jsonl"), "OMP_NUM_THREADS": "1",
            "HF_HOME": home, "HF_HUB_OFFLINE": "1", "USE_HF": "1", "MODELSCOPE_CACHE": home, "CUDA_VISIBLE_DEVICES": "",
            "FORCE_QWENVL_VIDEO_READER": "decord", "FPS_MAX_FRAMES": "4",
            "IMAGE_MAX_TOKEN_NUM": "16", "VIDEO_MAX_TOKEN_NUM": "4",
        }  # fmt: skip
        script = Path(ENGINES or "") / self.name / "bin" / command[0]
        return subprocess.run(
            [str(script), *command[1:]],
            env=variables | env,
            cwd=self.root / "data",
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self, kind: str) -> list[dict[str, Any]]:
        lines = (self.root / "calls.jsonl").read_text().splitlines()
        return [call for call in map(json.loads, lines) if call["call"] == kind]

    def data(self) -> list[str]:
        return sorted(map(str, (self.root / "data").glob("gold_*.*")))


@pytest.fixture
def engine(request: pytest.FixtureRequest, training: Any, tmp_path: Path) -> Engine:
    (tmp_path / "home").mkdir()
    export(training.snapshot, request.param, tmp_path / "data")
    return Engine(request.param, tmp_path)


def check(engine: Engine, checkpoint: Path, steps: int) -> list[float]:
    """Reward and estimator were asked about several tasks and answered as they do here; the advantages of each step."""
    estimates, rewarded = engine.calls("advantages"), engine.calls("reward")
    assert len(estimates) == steps
    own = EmaGrpo()
    for call in estimates:
        assert own.advantages(call["rewards"], call["groups"], call["tasks"]).tolist() == pytest.approx(call["values"])
        assert own.state_dict() == call["state"], "moments do not continue from the step before"
        assert set(Counter(call["groups"]).values()) == {GENERATIONS}
        assert len(set(zip(call["groups"], call["tasks"], strict=True))) == len(set(call["groups"]))
        assert len(set(call["tasks"])) > 1
    assert json.loads((checkpoint / "advantages.json").read_bytes())["state"] == own.state_dict()
    assert {call["row"]["data_type"] for call in rewarded} == {"image", "video"}
    responses, rows = [call["response"] for call in rewarded], [call["row"] for call in rewarded]
    columns = {
        key: [row.get(key) for row in rows] for key in ("answer", "problem_type", "data_type", "options", "truth")
    }
    here = score(
        responses, columns["answer"], columns["problem_type"], columns["data_type"],
        options=columns["options"], truth_sources=columns["truth"], workers=1,
    )["reward"].to_pylist()  # fmt: skip
    assert [call["reward"] for call in rewarded] == pytest.approx(here)
    learnt = [reward for call in estimates for reward in call["rewards"]]
    assert sorted(learnt) == pytest.approx(sorted(here), abs=1e-6), "learnt from other rewards than were given"
    values = [value for call in estimates for value in call["values"]]
    assert any(values), "no reward differed within a group: nothing was shown"
    return values


@pytest.mark.parametrize("engine", ["ms_swift"], indirect=True)
def test_ms_swift_trains_with_our_reward_and_advantages(engine: Engine, taught: Path) -> None:
    out = engine.root / "out"
    plugins = [ON_CPU / "recorder.py", ON_CPU / "ms_swift_on_tiny.py", PLUGINS / "ms_swift.py"]
    command = [
        "swift", "rlhf", "--rlhf_type", "grpo", "--model", str(taught), "--model_type", "qwen3_vl",
        "--template", "qwen3_vl", "--check_model", "false", "--tuner_type", "full", "--torch_dtype", "float32",
        "--external_plugins", *map(str, plugins), "--reward_funcs", "onethinker", "--dataset", *engine.data(),
        "--split_dataset_ratio", "0", "--load_from_cache_file", "false", "--use_vllm", "false", "--attn_impl", "sdpa",
        "--num_generations", str(GENERATIONS), "--per_device_train_batch_size", "16", "--max_completion_length", "48",
        "--gradient_accumulation_steps", "1", "--learning_rate", "1e-4", "--seed", "0", "--dataloader_num_workers", "0",
        "--save_steps", "1", "--logging_steps", "1", "--log_completions", "true", "--report_to", "none",
        "--output_dir", str(out), "--add_version", "false",
    ]  # fmt: skip
    engine.run(*command, "--max_steps", "2")
    values = check(engine, out / "checkpoint-2", steps=2)
    logged = [json.loads(line) for line in (out / "completions.jsonl").read_text().splitlines()]
    used = {step["step"][0]: step["advantages"] for step in logged}  # the last step is logged twice
    assert [*used["1"], *used["2"]] == pytest.approx(values, abs=1e-6), "ms-swift used other advantages than ours"
    engine.run(*command, "--max_steps", "3", "--resume_from_checkpoint", str(out / "checkpoint-2"))
    check(engine, out / "checkpoint-3", steps=3)


@pytest.mark.parametrize("engine", ["verl"], indirect=True)
def test_verl_trains_with_our_reward_and_advantages(engine: Engine, taught: Path) -> None:
    out = engine.root / "out"
    command = [
        "python", "-m", "verl.trainer.main_ppo", "trainer.use_v1=true", "trainer.v1.trainer_mode=onethinker",
        "algorithm.adv_estimator=onethinker", "reward.custom_reward_function.path=pkg://trainers.plugins.verl",
        "reward.custom_reward_function.name=compute_score", "reward.num_workers=1",
        f"data.train_files=[{','.join(engine.data())}]", f"data.val_files={engine.data()[0]}",
        "data.image_patch_size=16", "data.train_batch_size=4", "data.max_prompt_length=2048",
        "data.max_response_length=48", "data.dataloader_num_workers=0", "data.seed=0",
        f"actor_rollout_ref.model.path={taught}", "actor_rollout_ref.model.use_remove_padding=false",
        "+actor_rollout_ref.model.override_config.attn_implementation=sdpa", "actor_rollout_ref.actor.strategy=fsdp2",
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=4", "actor_rollout_ref.actor.optim.lr=1e-4",
        "actor_rollout_ref.actor.use_torch_compile=false", "actor_rollout_ref.rollout.name=transformers",
        f"actor_rollout_ref.rollout.n={GENERATIONS}", "actor_rollout_ref.rollout.tensor_model_parallel_size=1",
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=4",
        "actor_rollout_ref.rollout.agent.num_workers=1", "trainer.n_gpus_per_node=1",
        "transfer_queue.backend.SimpleStorage.num_data_storage_units=1",
        "trainer.device=cpu", "trainer.logger=[console]", "trainer.val_before_train=false", "trainer.save_freq=1",
        "trainer.total_epochs=1", f"trainer.default_local_dir={out}", "+ray_kwargs.ray_init.num_gpus=1",
        "ray_kwargs.ray_init.num_cpus=8", "+ray_kwargs.ray_init.include_dashboard=false",
    ]  # fmt: skip
    env = {
        "VERL_USE_EXTERNAL_MODULES": "recorder,verl_on_cpu,trainers.plugins.verl",
        "VERL_PLATFORM": "cpu",
        "VERL_ENGINE_DEVICE": "cuda",  # the name under which verl keeps its FSDP engine
        "CUDA_VISIBLE_DEVICES": "0",  # Ray hands out what this names, and asks no driver
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    steps = "trainer.total_training_steps={}", "actor_rollout_ref.actor.ppo_mini_batch_size={}"
    said = engine.run(*command, steps[0].format(2), steps[1].format(4), **env)
    check(engine, out / "global_step_2", steps=2)
    highest = [max(call["values"]) for call in engine.calls("advantages")]
    assert logged(said, "critic/advantages/max") == pytest.approx(highest, abs=1e-6), (
        "verl used other advantages than ours"
    )
    # Mini batches of three prompts do not divide four: verl fills the 16 rows up to 24 with its own of 128 tokens.
    said = engine.run(*command, steps[0].format(3), steps[1].format(3), **env)
    check(engine, out / "global_step_3", steps=3)
    (tokens,), (prompt,), (response,) = map(
        partial(logged, said), ["perf/total_num_tokens", "prompt_length/mean", "response_length/mean"]
    )
    assert tokens - 16 * (prompt + response) == pytest.approx(8 * 128)


def logged(said: str, metric: str) -> list[float]:
    """A metric of each step, as verl's console logger writes it."""
    return [float(value) for value in re.findall(rf" {metric}:(\S+)", said)]


@pytest.mark.parametrize("engine", ["verl"], indirect=True)
def test_verl_stops_over_a_plugin_that_does_not_load(engine: Engine) -> None:
    (engine.root / "transfer_queue.py").write_text("raise ImportError('not to be had')\n")
    env = {"VERL_USE_EXTERNAL_MODULES": "trainers.plugins.verl", "PYTHONPATH": str(engine.root)}
    ran = engine.ran("python", "-c", "import verl", **env)
    assert ran.returncode != 0
    assert "not to be had" in ran.stderr
