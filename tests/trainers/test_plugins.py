"""What the plug-ins for other trainers share, and the plug-ins themselves inside doubles of their hosts."""

import importlib
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pytest

pytest.importorskip("trl", reason="the training stack is not installed")

import torch

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
def fresh() -> None:
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
    found = bridge.scored([wrap("so", "B"), wrap("so", '{"time": [1.0, 2.0]}')], ROWS)
    assert [one["accuracy"] for one in found] == pytest.approx([1.0, 0.5])
    assert bridge.task_of(ROWS[1]) == "temporal grounding"


def test_verl_gets_advantages_by_task(monkeypatch: pytest.MonkeyPatch) -> None:
    registered: dict[str, Any] = {}

    def register(name: str) -> Any:
        return lambda made: registered.setdefault(f"{name} {getattr(made, '__name__', made)}", made)

    class Sync:
        def _compute_advantage(self, batch: Any, metrics: Any) -> Any:
            rewards = torch.tensor([[0.0, 1.0], [0.0, 0.0], [0.0, 0.5], [0.0, 0.7]])
            mask = torch.tensor([[1, 1], [1, 1], [1, 0], [1, 1]])
            return registered["onethinker advantages"](
                token_level_rewards=rewards, response_mask=mask, index=np.array(["a", "a", "b", "b"], dtype=object)
            )

    truths = [{"ground_truth": orjson.dumps(ROWS[i // 2]).decode()} for i in range(4)]
    stored = {"uid": np.array(["a", "a", "b", "b"]), "reward_model": np.array(truths, dtype=object)}
    host(
        monkeypatch,
        transfer_queue={
            "kv_batch_get": lambda keys, partition_id, select_fields: {k: stored[k] for k in select_fields}
        },
        verl__trainer__ppo__core_algos={"register_adv_est": register},
        verl__trainer__ppo__v1__trainer_base={"register_trainer": register},
        verl__trainer__ppo__v1__trainer_sync={"PPOTrainerSync": Sync},
    )
    plugin = loaded(monkeypatch, "trainers.plugins.verl")
    metrics: dict[str, Any] = {}
    batch = SimpleNamespace(keys=["0", "1", "2", "3"], partition_id="train")
    values, _ = registered["onethinker OneThinkerTrainer"]()._compute_advantage(batch, metrics)
    assert values[:, 0].tolist() == pytest.approx([1.0, -1.0, -1.0, 1.0], abs=1e-3)
    assert values[2, 1] == 0, "what the response mask leaves out has no advantage"
    assert metrics["onethinker/multiple choice/m1"] == 0.5
    told = plugin.compute_score("world", wrap("so", "B"), orjson.dumps(ROWS[0]).decode())
    assert (told["score"], told["acc"]) == (1.0, 1.0)


def test_ms_swift_gets_advantages_by_task(monkeypatch: pytest.MonkeyPatch) -> None:
    class Theirs:
        reward_weights = torch.ones(1)
        model = SimpleNamespace(training=True)

        def _compute_advantages(self, samples: Any, rewards: Any, inputs: Any) -> Any:
            return torch.zeros(len(samples))

    orms: dict[str, Any] = {}
    host(
        monkeypatch,
        swift__rewards={"ORM": object, "orms": orms},
        swift__rlhf_trainers__grpo_trainer={"GRPOTrainer": Theirs},
    )
    loaded(monkeypatch, "trainers.plugins.ms_swift")
    samples = [SimpleNamespace(extra=ROWS[i // 2], prompt_id="ab"[i // 2]) for i in range(4)]
    rewards = torch.tensor([[1.0], [0.0], [float("nan")], [0.7]])
    values = Theirs()._compute_advantages(samples, rewards, [])
    assert values.tolist() == pytest.approx([1.0, -1.0, 0.0, 0.0], abs=1e-3)
    columns = {name: [row.get(name) for row in ROWS] for name in ("problem_type", "data_type", "options")}
    responses = [wrap("so", "B"), wrap("so", '{"time": [1.0, 2.0]}')]
    assert orms["onethinker"]()(responses, solution=[row["answer"] for row in ROWS], **columns)[0] == 1.0
