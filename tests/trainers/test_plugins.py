"""What the plug-ins for other trainers share, and the plug-ins themselves inside doubles of their hosts."""

import importlib
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import orjson
import pytest

pytest.importorskip("trl", reason="the training stack is not installed")

import torch

from corpus.errors import OneThinkerError
from corpus.response import wrap
from trainers.plugins import bridge

ROWS = [
    {
        "answer": "B",
        "problem_type": "multiple choice",
        "data_type": "image",
        "options": ["A. x", "B. y"],
        "truth": None,
    },
    {"answer": '{"time": [1.0, 3.0]}', "problem_type": "temporal grounding", "data_type": "video"},
]


@pytest.fixture(autouse=True)
def write_fresh_model() -> None:
    bridge.estimator.cache_clear()


def host(monkeypatch: pytest.MonkeyPatch, **modules: dict[str, Any]) -> None:
    """Put modules with these names and contents in place of a trainer's own."""
    for dotted, content in modules.items():
        name = dotted.replace("__", ".")
        for end in [i for i, c in enumerate(name) if c == "."] + [len(name)]:
            if name[:end] not in sys.modules:
                monkeypatch.setitem(sys.modules, name[:end], ModuleType(name[:end]))
        for key, value in content.items():
            setattr(sys.modules[name], key, value)


def loaded(monkeypatch: pytest.MonkeyPatch, name: str) -> Any:
    """The plug-in, imported anew into the host that stands there now."""
    monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module(name)


def test_rewards_are_the_verifiers() -> None:
    found = bridge.score_rows([wrap("so", "B"), wrap("so", '{"time": [1.0, 2.0]}')], ROWS)
    assert [one["accuracy"] for one in found] == pytest.approx([1.0, 0.5])
    assert bridge.task_of(ROWS[1]) == "temporal grounding"


@contextmanager
def unlocked(config: Any) -> Iterator[None]:
    yield


class Sync:
    """verl's synchronous trainer, as far as the plug-in asks of it."""

    registered: ClassVar[dict[str, Any]] = {}

    def __init__(self, config: Any) -> None:
        self.config, self.global_steps, self.saved = config, 0, False

    def _compute_advantage(self, batch: Any, metrics: Any) -> Any:
        rewards = torch.tensor([[0.0, 1.0], [0.0, 0.0], [0.0, 0.5], [0.0, 0.7], [0.0, 0.0]])
        mask = torch.tensor([[1, 1], [1, 1], [1, 0], [1, 1], [0, 0]])
        index = np.array(["a", "a", "b", "b", "pad"], dtype=object)
        estimate = self.registered["onethinker advantages"]
        return estimate(token_level_rewards=rewards, response_mask=mask, index=index)

    def _save_checkpoint(self) -> None:
        self.saved = (Path(self.config.trainer.default_local_dir) / f"global_step_{self.global_steps}").is_dir()

    def _load_checkpoint(self) -> None:
        self.global_steps = self.config.trainer.found


BATCH = SimpleNamespace(
    keys=["a_0_0", "a_1_0", "b_0_0", "b_1_0", "pad_0_0"],
    tags=[{}, {}, {}, {}, {"is_padding": True}],
    partition_id="train",
)


@pytest.fixture
def verl(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The plug-in inside a double of verl, with one batch of two prompts and a row that fills it up."""

    def register(name: str) -> Any:
        return lambda made: Sync.registered.setdefault(f"{name} {made.__name__}", made)

    Sync.registered.clear()
    truths = [{"ground_truth": orjson.dumps(ROWS[i // 2]).decode()} for i in range(4)]
    uids = ["a", "a", "b", "b", "pad"]
    stored = {"uid": uids, "reward_model": [*truths, truths[0]]}
    host(
        monkeypatch,
        transfer_queue={
            "kv_batch_get": lambda keys, partition_id, select_fields: {k: stored[k] for k in select_fields}
        },
        omegaconf={"open_dict": unlocked},
        verl__trainer__ppo__core_algos={"register_adv_est": register},
        verl__trainer__ppo__v1__trainer_base={"register_trainer": register},
        verl__trainer__ppo__v1__trainer_sync={"PPOTrainerSync": Sync},
    )
    return loaded(monkeypatch, "trainers.plugins.verl")


def trainer_of(plugin: Any, folder: Path, found: int = 0, mode: str = "auto") -> Any:
    settings = SimpleNamespace(
        v1=SimpleNamespace(trainer_mode="onethinker"),
        default_local_dir=str(folder),
        resume_mode=mode,
        resume_from_path=str(folder / f"global_step_{found}"),
        found=found,
    )
    return plugin.OneThinkerTrainer(SimpleNamespace(trainer=settings))


def test_verl_gets_advantages_by_task(verl: Any, tmp_path: Path) -> None:
    metrics: dict[str, Any] = {}
    trainer = trainer_of(verl, tmp_path)
    values, _ = trainer._compute_advantage(BATCH, metrics)
    assert values[:, 0].tolist() == pytest.approx([1.0, -1.0, -1.0, 1.0, 0.0], abs=1e-3)
    assert values[2, 1] == 0, "what the response mask leaves out has no advantage"
    assert metrics["onethinker/multiple choice/m1"] == 0.5, "a row that fills up a batch entered a moment"
    assert metrics["onethinker/temporal grounding/m1"] == pytest.approx(0.6)
    scores = verl.compute_score("world", wrap("so", "B"), orjson.dumps(ROWS[0]).decode())
    assert (scores["score"], scores["acc"]) == (1.0, 1.0)


def test_verl_takes_the_trainer_for_its_synchronous_one(verl: Any, tmp_path: Path) -> None:
    assert trainer_of(verl, tmp_path).config.trainer.v1.trainer_mode == "sync"


def test_verl_sessions_of_several_outputs_are_refused(verl: Any, tmp_path: Path) -> None:
    batch = SimpleNamespace(**vars(BATCH) | {"keys": ["a_0_0", "a_0_1", "b_0_0", "b_1_0", "pad_0_0"]})
    with pytest.raises(OneThinkerError, match="a_0_1: several outputs per agent-loop session"):
        trainer_of(verl, tmp_path)._compute_advantage(batch, {})


@pytest.mark.parametrize("mode", ["auto", "resume_path"])
def test_verl_checkpoints_hold_the_moments(verl: Any, tmp_path: Path, mode: str) -> None:
    trainer = trainer_of(verl, tmp_path)
    trainer._compute_advantage(BATCH, {})
    trainer.global_steps = 5
    trainer._save_checkpoint()
    assert trainer.saved, "the moments must be there before verl says that the checkpoint is whole"
    moments = bridge.estimator().state_dict()
    bridge.estimator.cache_clear()
    trainer_of(verl, tmp_path / "elsewhere")._load_checkpoint()
    assert bridge.estimator().state_dict() == {}, "from scratch there is nothing to take up"
    trainer_of(verl, tmp_path, found=5, mode=mode)._load_checkpoint()
    assert bridge.estimator().state_dict() == moments


def test_a_checkpoint_without_the_estimators_moments_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OneThinkerError, match=r"holds no advantages\.json"):
        bridge.restore(tmp_path)
    bridge.save(tmp_path)
    monkeypatch.setenv("ONETHINKER_ESTIMATOR", "grpo")
    bridge.estimator.cache_clear()
    with pytest.raises(OneThinkerError, match="was trained with ema_grpo, the settings say grpo"):
        bridge.restore(tmp_path)


def test_gdpo_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONETHINKER_ESTIMATOR", "gdpo")
    with pytest.raises(OneThinkerError, match="needs a reward's components"):
        bridge.estimator()


@pytest.fixture
def swift(monkeypatch: pytest.MonkeyPatch) -> Any:
    """ms-swift's trainer, as far as the plug-in asks of it, with the plug-in loaded; `orms` are its rewards."""

    class Theirs:
        reward_weights = torch.ones(1)
        beta, kl_in_reward, dynamic_num_samples = 0.04, False, False
        model = SimpleNamespace(training=True)
        orms: ClassVar[dict[str, Any]] = {}

        def __init__(self, folder: Path, resume_only_model: bool = False) -> None:
            self.args = SimpleNamespace(output_dir=folder, should_save=True, resume_only_model=resume_only_model)
            self.state = SimpleNamespace(global_step=3)
            self._metrics: Any = {"train": defaultdict(list), "eval": defaultdict(list)}

        def _compute_advantages(self, samples: Any, rewards: Any, inputs: Any) -> Any:
            return torch.zeros(len(samples))

        def _save_checkpoint(self, model: Any, trial: Any) -> None: ...

        def _load_optimizer_and_scheduler(self, checkpoint: Any) -> None: ...

    host(
        monkeypatch,
        swift__rewards={"ORM": object, "orms": Theirs.orms},
        swift__rlhf_trainers__grpo_trainer={"GRPOTrainer": Theirs},
    )
    loaded(monkeypatch, "trainers.plugins.ms_swift")
    return Theirs


def samples() -> list[Any]:
    """Two tries at each of two samples, whose prompts ms-swift cannot tell apart."""
    return [SimpleNamespace(extra={"sample_id": "ab"[i // 2], **ROWS[i // 2]}, prompt_id="prompt_0") for i in range(4)]


def test_ms_swift_gets_advantages_by_task(swift: Any, tmp_path: Path) -> None:
    rewards = torch.tensor([[1.0], [0.0], [float("nan")], [0.7]])
    trainer = swift(tmp_path)
    values = trainer._compute_advantages(samples(), rewards, [])
    assert values.tolist() == pytest.approx([1.0, -1.0, 0.0, 0.0], abs=1e-3)
    assert trainer._metrics["train"]["onethinker/multiple choice/m1"] == [0.5]
    columns = {name: [row.get(name) for row in ROWS] for name in ("problem_type", "data_type", "options")}
    responses = [wrap("so", "B"), wrap("so", '{"time": [1.0, 2.0]}')]
    assert swift.orms["onethinker"]()(responses, solution=[row["answer"] for row in ROWS], **columns)[0] == 1.0


@pytest.mark.parametrize(
    ("setting", "message"),
    [("kl_in_reward", "see rewards only"), ("dynamic_num_samples", "count each row as a response")],
)
def test_ms_swift_settings_that_the_advantages_ignore_are_refused(
    swift: Any, tmp_path: Path, setting: str, message: str
) -> None:
    trainer = swift(tmp_path)
    setattr(trainer, setting, True)
    with pytest.raises(OneThinkerError, match=message):
        trainer._compute_advantages(samples(), torch.ones(4, 1), [])


def test_ms_swift_checkpoints_hold_the_moments(swift: Any, tmp_path: Path) -> None:
    trainer = swift(tmp_path)
    trainer._compute_advantages(samples(), torch.tensor([[1.0], [0.0], [0.5], [0.7]]), [])
    trainer._save_checkpoint(None, None)
    moments = bridge.estimator().state_dict()
    bridge.estimator.cache_clear()
    checkpoint = str(tmp_path / "checkpoint-3")
    swift(tmp_path, resume_only_model=True)._load_optimizer_and_scheduler(checkpoint)
    swift(tmp_path)._load_optimizer_and_scheduler(None)
    assert bridge.estimator().state_dict() == {}, "a training that starts anew has no moments"
    swift(tmp_path)._load_optimizer_and_scheduler(checkpoint)
    assert bridge.estimator().state_dict() == moments


def test_what_the_plugins_need_is_what_the_package_needs() -> None:
    root = Path(__file__).parents[2]
    with (root / "pyproject.toml").open("rb") as file:
        whole = tomllib.load(file)["project"]["dependencies"]
    lines = (root / "trainers" / "plugins" / "requirements.txt").read_text().splitlines()
    asked = [line for line in lines if not line.startswith("#")]
    assert asked
    assert set(asked) <= set(whole), "a pin of the plug-ins is not the package's own"
