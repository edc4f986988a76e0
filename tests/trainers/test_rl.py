"""Reinforcement learning with a tiny model: pixels reach it, gradients are right, the filter fills its batch."""

import json
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="the training stack is not installed")

import torch
from safetensors.torch import load_file

from corpus.errors import OneThinkerError
from tests.trainers.making import Training, canned
from trainers.advantages import checkpoint, create_estimator
from trainers.comparison import load_curves
from trainers.rewards import ScoredResponse
from trainers.rl import trainer as rl_trainer
from trainers.rl.train import train


def build(training: Training, **settings: Any) -> rl_trainer.GroupTrainer:
    settings = {"output": training.root / "rl", "max_steps": 2} | settings
    trainer = rl_trainer.build(training.snapshot, training.rl(**settings))
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1  # as train() would
    return trainer


def rows_of(trainer: Any, data_type: str, count: int = 2) -> list[dict[str, Any]]:
    """`count` questions over images or videos, each as often as it is answered."""
    rows = [one["row"] for one in trainer.train_dataset]
    chosen = [row for row in rows if row["data_type"] == data_type][:count]
    return [row for row in chosen for _ in range(trainer.num_generations)]


@pytest.fixture(scope="module")
def trainer(training: Training) -> rl_trainer.GroupTrainer:
    return build(training)


@pytest.mark.parametrize(("data_type", "name"), [("video", "pixel_values_videos"), ("image", "pixel_values")])
def test_changing_the_pixels_changes_what_is_generated_and_what_is_learnt(
    trainer: Any, monkeypatch: pytest.MonkeyPatch, data_type: str, name: str
) -> None:
    calls: dict[str, dict[str, Any]] = {}
    real_generate, real_forward = trainer.model.generate, trainer.model.forward

    def generate(**inputs: Any) -> Any:
        calls["generation"] = {k: v for k, v in inputs.items() if k != "generation_config"}
        return real_generate(**inputs)

    @wraps(real_forward)  # generation looks at the signature
    def forward(*args: Any, **inputs: Any) -> Any:
        if inputs.get("fused_lm_head"):
            calls["loss"] = inputs
        return real_forward(*args, **inputs)

    monkeypatch.setattr(trainer.model, "generate", generate)
    monkeypatch.setattr(trainer.model, "forward", forward)
    batch = trainer._prepare_inputs([{"row": row} for row in rows_of(trainer, data_type)])
    trainer.compute_loss(trainer.model, batch)
    for where, inputs in calls.items():
        assert name in inputs, f"{where}: no pixels reached the model"
        with torch.no_grad():
            seen = real_forward(**{k: v for k, v in inputs.items() if k not in ("labels", "fused_lm_head")}).logits
            others = inputs | {name: inputs[name].flip(0)}
            unseen = real_forward(**{k: v for k, v in others.items() if k not in ("labels", "fused_lm_head")}).logits
        last = (seen.log_softmax(-1) - unseen.log_softmax(-1))[:, -1].abs().max()
        assert last > 1e-4, f"{where}: the last token does not depend on the pixels"


def test_a_mixed_batch_gives_each_row_its_own_pixels(trainer: Any) -> None:
    rows = rows_of(trainer, "video", 1)[:1] + rows_of(trainer, "image", 1)[:1] + rows_of(trainer, "video", 2)[-1:]
    together = log_probs(trainer, rows)
    for i, row in enumerate(rows):
        torch.testing.assert_close(together[i], log_probs(trainer, [row])[0], atol=1e-5, rtol=1e-4)


def log_probs(trainer: Any, rows: list[dict[str, Any]], size: int | None = None) -> torch.Tensor:
    trainer._rows = rows
    ids, _, _ = trainer._tokenize_prompts([row["prompt"] for row in rows])
    longest, pad = max(map(len, ids)), trainer._tokenizer.pad_token_id
    answer = trainer._tokenizer("<think>I look.</think>", add_special_tokens=False)["input_ids"]
    whole = torch.tensor([[pad] * (longest - len(one)) + one + answer for one in ids])
    mask = torch.tensor([[0] * (longest - len(one)) + [1] * (len(one) + len(answer)) for one in ids])
    with torch.no_grad():
        found: torch.Tensor = trainer._get_per_token_logps_and_entropies(
            trainer.model, whole, mask, len(answer), batch_size=size
        )[0]
    return found


def test_log_probabilities_do_not_depend_on_how_rows_are_cut_or_on_anchors(trainer: Any) -> None:
    rows = rows_of(trainer, "video", 1)[:2] + rows_of(trainer, "image", 1)[:1]
    plain = log_probs(trainer, rows)
    torch.testing.assert_close(log_probs(trainer, rows, size=1), plain, atol=1e-5, rtol=1e-4)
    inputs = trainer._model_inputs(*_one(trainer, rows[:1]))
    before = trainer.model(**inputs, fused_lm_head=True).log_probs
    grown = trainer.anchors.add(inputs)
    assert grown > 0
    assert {"image_grid_thw", "video_grid_thw"} <= inputs.keys()
    after = trainer.model(**inputs, fused_lm_head=True).log_probs
    torch.testing.assert_close(after[:, :-grown], before, atol=1e-5, rtol=1e-4)
    assert (after[:, -grown:] == 0).all(), "an anchor teaches nothing"


def _one(trainer: Any, rows: list[dict[str, Any]]) -> tuple[torch.Tensor, torch.Tensor, int, Any]:
    trainer._rows = rows
    ids, _, _ = trainer._tokenize_prompts([row["prompt"] for row in rows])
    whole = torch.tensor([ids[0] + ids[0][-5:]])
    return whole, torch.ones_like(whole), 5, trainer._pixels


RESPONSES = ("red", "blue circle", "7", "0.25")  # to every prompt; the first one is the best


def answer_with(texts: tuple[str, ...]) -> Any:
    """A stand-in for generation: the i-th response to a prompt is the i-th text."""

    def generate(self: Any, prompt_ids: Any, images: Any, fields: Any, *rest: Any, **more: Any) -> Any:
        chosen = [texts[i % self.num_generations] + "<|im_end|>" for i in range(len(self._rows))]
        return self._tokenizer(chosen, add_special_tokens=False)["input_ids"], None

    return generate


def reward_with(*rewards: float | None) -> Any:
    """A stand-in for the verifier: the i-th response earns the i-th reward, over and over."""

    def score_responses(rows: Any, responses: Any, **_: Any) -> list[ScoredResponse]:
        earned = [rewards[i % len(rewards)] for i in range(len(rows))]
        return [ScoredResponse("math", r, r, 1.0, 0.0, {}) for r in earned]

    return score_responses


def response_log_probs(trainer: Any, batch: dict[str, Any]) -> torch.Tensor:
    """The log-probability of each of a batch's responses, summed over its tokens, with the gradient's graph."""
    ids, mask = (torch.cat([batch[f"prompt_{x}"], batch[f"completion_{x}"]], dim=1) for x in ("ids", "mask"))
    keep = batch["completion_ids"].shape[1]
    inputs = trainer._model_inputs(ids, mask, keep, batch["pixels"])
    inputs.pop("labels")
    # The plain formula, without TRL's fused head: token t is predicted from the logits at t - 1.
    log_probs = trainer.model(**inputs).logits[:, -keep - 1 : -1].log_softmax(-1)
    chosen = log_probs.gather(-1, batch["completion_ids"].unsqueeze(-1)).squeeze(-1)
    return (chosen * batch["completion_mask"]).sum(dim=1)


def test_a_step_raises_the_better_responses_and_lowers_the_worse(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rl_trainer.GroupTrainer, "_generate_single_turn", answer_with(RESPONSES))
    monkeypatch.setattr(rl_trainer, "score_responses", reward_with(1.0, 0.0, 0.0, 0.0))
    trainer = build(training, max_steps=1, learning_rate=1e-2, trainer={"optim": "sgd"})
    batch = trainer._generate_and_score_completions([{"row": row} for row in rows_of(trainer, "image", 4)])
    with torch.no_grad():
        before = response_log_probs(trainer, batch)
    trainer.train()
    trainer.model.eval()
    with torch.no_grad():
        change = response_log_probs(trainer, batch) - before
    better = batch["advantages"] > 0
    assert better.tolist() == [True, False, False, False] * 4
    assert (change[better] > 0).all(), change
    assert (change[~better] < 0).all(), change


@pytest.mark.parametrize("per_device", [16, 4], ids=["at once", "accumulated over four"])
def test_the_gradient_is_minus_advantage_times_that_of_the_log_probability(
    training: Training, monkeypatch: pytest.MonkeyPatch, per_device: int
) -> None:
    """The gradient of one optimiser step equals that of −Σ A log p / tokens, computed from the model's plain logits."""
    from transformers import TrainerCallback

    monkeypatch.setattr(rl_trainer.GroupTrainer, "_generate_single_turn", answer_with(RESPONSES))
    monkeypatch.setattr(rl_trainer, "score_responses", reward_with(1.0, 0.5, 0.0, 0.25))
    trainer = build(training, max_steps=1, per_device=per_device, max_grad_norm=1e9, temperature=1.0)
    batches: list[dict[str, Any]] = []
    generate = trainer._generate_and_score_completions
    monkeypatch.setattr(
        trainer, "_generate_and_score_completions", lambda rows: batches.append(generate(rows)) or batches[-1]
    )
    found: dict[str, torch.Tensor] = {}

    class Gradients(TrainerCallback):  # type: ignore[misc]
        def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
            """Check before the step: afterwards the weights are others."""
            found.update({n: w.grad.clone() for n, w in trainer.model.named_parameters() if w.grad is not None})
            trainer.model.zero_grad()
            (batch,) = batches
            tokens = batch["completion_mask"].sum()
            loss = -(batch["advantages"] * response_log_probs(trainer, batch)).sum() / tokens
            loss.backward()
            expected.update({n: w.grad.clone() for n, w in trainer.model.named_parameters() if w.grad is not None})

    expected: dict[str, torch.Tensor] = {}
    trainer.add_callback(Gradients())
    trainer.train()
    assert found.keys() == expected.keys()
    ours, theirs = (torch.cat([grads[name].flatten() for name in sorted(grads)]) for grads in (found, expected))
    assert theirs.norm() > 0
    # Two ways to add up the same float32 terms: relative errors of 1e-6 each, 1e-4 where terms cancel.
    assert torch.nn.functional.cosine_similarity(ours, theirs, dim=0) > 0.9999
    assert ours.norm().item() == pytest.approx(theirs.norm().item(), rel=1e-3)


def test_every_number_is_recorded(training: Training) -> None:
    output = training.root / "recorded-rl"
    config = training.rl(output=output, max_steps=2, profile="paper", kl=0.01, learning_rate=1e-4)
    train(training.corpus, config)
    found = metrics(training, output)
    names = {"reward", "loss", "kl", "entropy", "grad_norm", "clip_ratio/low_mean", "completions/mean_length"}
    assert names <= found.keys()
    assert len(found["reward"]) == 2
    tasks = {name.removeprefix("task/").removesuffix("/rows") for name in found if name.endswith("/rows")}
    assert tasks
    for task in tasks:
        for name in ("reward_mean", "reward_std", "share", "m1", "m2", "sigma", "accuracy", "format", "structure"):
            assert f"task/{task}/{name}" in found, (task, name)
    shares = [found[f"task/{task}/share"] for task in tasks]
    assert all(0 <= value <= 1 for share in shares for value in share.values())
    card = (output / "README.md").read_text()
    assert "Reinforcement learning" in card


@pytest.mark.slow
def test_a_reward_for_a_pattern_rises_under_ema_grpo(
    training: Training, taught: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reward is the share of digits among a response's characters: every processor learns it, from 0.2 to 0.6."""

    def score_responses(rows: Any, responses: Any, **_: Any) -> list[ScoredResponse]:
        shares = [sum(c.isdigit() for c in text) / max(1, len(text)) for text in responses]
        return [ScoredResponse("digits", share, share, 1.0, 0.0, {}) for share in shares]

    monkeypatch.setattr(rl_trainer, "score_responses", score_responses)
    output = training.root / "pattern-rl"
    model = {"name": str(taught)}
    train(training.corpus, training.rl(output=output, model=model, max_steps=40, learning_rate=1e-3, max_response=16))
    reward = list(metrics(training, output)["reward"].values())
    assert sum(reward[-5:]) / 5 > sum(reward[:5]) / 5 + 0.2, reward


def metrics(training: Training, output: Path) -> dict[str, dict[int, float]]:
    """Every metric of the run that left its model in a folder, by step."""
    run_id = json.loads((output / "training.json").read_text())["run_id"]
    return {name: dict(curve) for name, curve in load_curves(training.corpus, run_id).items()}


def test_a_resumed_run_equals_an_uninterrupted_one(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    """Moments, the reserve's position, the order of prompts, sampling and the optimiser continue from a checkpoint."""

    def score_responses(rows: Any, responses: Any, **_: Any) -> list[ScoredResponse]:
        odd = [float(sum(c in "aeiou" for c in text) % 2) for text in responses]
        return [ScoredResponse("odd", value, value, 1.0, 0.0, {}) for value in odd]

    monkeypatch.setattr(rl_trainer, "score_responses", score_responses)
    settings: dict[str, Any] = {
        "prompts": 2, "per_device": 8, "max_steps": 4, "save_steps": 2, "max_response": 8, "learning_rate": 1e-4,
        "online_filter": {"rounds": 1, "low": 0.3, "high": 0.7}, "kl": 0.01,
    }  # fmt: skip
    whole, resumed = training.root / "rl-uninterrupted", training.root / "rl-resumed"
    train(training.corpus, training.rl(output=whole, **settings))
    train(training.corpus, training.rl(output=resumed, **settings), resume=str(whole / "checkpoint-2"))
    states = [json.loads((folder / "checkpoint-4" / checkpoint.FILE).read_text()) for folder in (whole, resumed)]
    assert states[0] == states[1]
    assert states[0]["reserves"] != [{}], "the filter took no prompt from the reserve"
    one, two = metrics(training, whole), metrics(training, resumed)
    assert sorted(two["reward"]) == [1, 2, 3, 4], "the curve includes the steps before the checkpoint"
    for name in ("loss", "reward", "entropy", "kl", "grad_norm"):
        assert two[name] == pytest.approx(one[name], rel=1e-6, abs=1e-9), name
    first, second = (load_file(folder / "model.safetensors") for folder in (whole, resumed))
    assert all(torch.equal(weight, second[name]) for name, weight in first.items())


def test_the_filter_takes_other_prompts_until_the_batch_is_full(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = build(training, online_filter={"rounds": 8, "same_task": True}, prompts=2, per_device=8)
    monkeypatch.setattr(rl_trainer.GroupTrainer, "_generate_single_turn", canned)
    all_wrong = {row["row"]["sample_id"] for row in list(trainer.train_dataset)[::2]}

    def score_responses(rows: Any, responses: Any, **_: Any) -> list[ScoredResponse]:
        made = []
        for i, row in enumerate(rows):
            right = float(i % 2 and row["sample_id"] not in all_wrong)
            made.append(ScoredResponse("math", right, right, 1.0, 0.0, {}))
        return made

    monkeypatch.setattr(rl_trainer, "score_responses", score_responses)
    trainer.reserve.tasks = ["math"] * len(trainer.train_dataset)
    hard = [one["row"] for one in trainer.train_dataset if one["row"]["sample_id"] in all_wrong][:2]
    batch = trainer._generate_and_score_completions([{"row": row} for row in hard for _ in range(4)])
    assert (batch["advantages"].abs() > 0.5).all(), "every group in the batch has right and wrong answers"
    assert "tool_mask" not in batch, "and all of them are learnt from"
    assert trainer._metrics["train"]["filter/unfilled"] == [0]
    assert 0 < trainer._metrics["train"]["filter/kept"][0] < 1
    assert batch["num_items_in_batch"] == batch["completion_mask"].sum()
    loss = trainer.compute_loss(trainer.model, batch)
    assert torch.isfinite(loss)


def test_groups_still_missing_are_in_no_loss_and_no_count(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = build(training, online_filter={"rounds": 0}, prompts=2, per_device=8, kl=0.1)
    monkeypatch.setattr(rl_trainer.GroupTrainer, "_generate_single_turn", canned)

    monkeypatch.setattr(rl_trainer, "score_responses", reward_with(0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0))
    batch = trainer._generate_and_score_completions([{"row": row} for row in rows_of(trainer, "image")])
    assert batch["tool_mask"][4:].sum() == 0
    assert batch["num_items_in_batch"] == batch["completion_mask"][:4].sum()
    loss = trainer.compute_loss(trainer.model, batch)
    changed = batch | {"completion_ids": torch.cat([batch["completion_ids"][:4], batch["completion_ids"][4:].flip(1)])}
    torch.testing.assert_close(trainer.compute_loss(trainer.model, changed), loss)
    assert trainer.estimator.state_dict()["math"]["m1"] == 0.5, "the moments see the kept group alone"


def test_a_response_nobody_can_score_is_counted_and_learns_nothing(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = build(training, prompts=2, per_device=8)
    monkeypatch.setattr(rl_trainer.GroupTrainer, "_generate_single_turn", canned)

    monkeypatch.setattr(rl_trainer, "score_responses", reward_with(None, 1.0, 0.0, 1.0, float("nan"), 0.0, 1.0, 0.0))
    batch = trainer._generate_and_score_completions([{"row": row} for row in rows_of(trainer, "image")])
    assert batch["tool_mask"].any(dim=1).tolist() == [False, True, True, True, False, True, True, True]
    assert batch["advantages"][[0, 4]].tolist() == [0.0, 0.0]
    assert torch.isfinite(batch["advantages"]).all()
    assert trainer._metrics["train"]["advantages/excluded"] == [2]
    assert trainer.estimator.state_dict()["math"] == {"m1": 0.5, "m2": 0.5}


def test_a_medium_that_cannot_be_read_leaves_its_group_out(
    training: Training, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = build(training, prompts=2, per_device=8)
    monkeypatch.setattr(rl_trainer.GroupTrainer, "_generate_single_turn", canned)
    good = rows_of(trainer, "image")
    rows = [row | {"images": [{"path": "/gone"}]} if i < 4 else row for i, row in enumerate(good)]
    batch = trainer._generate_and_score_completions([{"row": row} for row in rows])
    assert trainer.dropped == {"media_missing": 1}
    assert batch["tool_mask"][:4].sum() == 0
    assert "a row was dropped: media_missing" in capsys.readouterr().err


def test_an_estimator_other_than_the_checkpoints_is_refused(training: Training, tmp_path: Path) -> None:
    trainer = build(training)
    with pytest.raises(OneThinkerError, match=r"holds no advantages.json"):
        trainer._load_optimizer_and_scheduler(str(tmp_path))
    checkpoint.save(tmp_path, create_estimator("grpo"))
    with pytest.raises(OneThinkerError, match="was trained with grpo, the settings say ema_grpo"):
        trainer._load_optimizer_and_scheduler(str(tmp_path))


@pytest.mark.parametrize("estimator", ["grpo", "dr_grpo", "gdpo", "g2rpo"])
def test_every_estimator_takes_a_step(training: Training, estimator: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(rl_trainer.GroupTrainer, "_generate_single_turn", canned)
    trainer = build(training, advantages={"estimator": estimator, "keys": "fine"}, prompts=2, per_device=8, max_steps=1)
    trainer.train()
    assert trainer.state.global_step == 1


def test_vllm_is_given_the_media_and_must_read_the_same_prompt(trainer: Any) -> None:
    from types import SimpleNamespace

    from trainers.vllm_media import LlmWithMedia

    row = rows_of(trainer, "video", 1)[0]
    shown = trainer._encode_row(row)
    given: list[Any] = []

    def generate(prompts: Any, **_: Any) -> Any:
        given.extend(prompts)
        return [SimpleNamespace(prompt_token_ids=ids)]

    ids = shown.encoded.ids
    llm = LlmWithMedia(SimpleNamespace(generate=generate, sleep=lambda: "asleep"))
    llm.generate([{"prompt_token_ids": ids, "multi_modal_data": {"image": shown}}])
    frames, metadata = given[0]["multi_modal_data"]["video"][0]
    assert frames.shape[0] == 4
    assert [i / metadata["fps"] for i in metadata["frames_indices"]] == pytest.approx(shown.media.clips[0].times_s)
    assert given[0]["prompt_token_ids"].count(trainer.encoder.kinds[2]) == 1, "vLLM fills placeholders up itself"
    assert llm.sleep() == "asleep"
    ids = ids[:-1]
    with pytest.raises(OneThinkerError, match="do not prepare media alike"):
        llm.generate([{"prompt_token_ids": ids, "multi_modal_data": {"image": shown}}])
