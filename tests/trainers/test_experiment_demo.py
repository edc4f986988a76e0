"""The demo's training: its summary, its plot, and the response limit."""

import pytest

pytest.importorskip("trl", reason="the training stack is not installed")

from pathlib import Path

import pyarrow as pa

from tests.trainers.making import Training
from trainers.experiment.demo import draw, summarize
from trainers.experiment.tiny_train import one_thread, rl_config, sft_config


def test_the_summary_compares_the_first_and_the_last_steps() -> None:
    cold = {"loss": [(i, 6.0 if i <= 5 else 1.0) for i in range(1, 11)]}
    warm = {"reward": [(i, i / 10) for i in range(1, 7)]}  # each five vary by 0.025
    assert summarize(cold, warm, [0.2, 0.4], [0.3, 0.4]) == (  # variances 0.02 and 0.005, of two values each
        "SFT, 10 steps: loss 6.000 in the first 5, 1.000 in the last (± 0.000 standard error)",
        "RL, 6 steps: reward 0.300 in the first 5, 0.400 in the last (± 0.100 standard error); "
        "over all questions, 4 responses each, 0.300 before RL and 0.350 after it (± 0.112 standard error)",
    )


def test_every_task_has_its_line() -> None:
    cold = {"loss": [(1, 1.0)], "mean_token_accuracy": [(1, 0.5)]}
    warm = {"reward": [(1, 0.5)], "task/math/reward_mean": [(1, 0.5)], "task/tracking/reward_mean": [(1, 0.25)]}
    svg = draw(cold, warm)
    assert svg.count("<polyline") == 5
    assert "— tracking" in svg
    assert "share of the gradient by task: nothing measured" in svg


def test_the_response_limit_fits_every_response_of_the_snapshot(training: Training, tmp_path: Path) -> None:
    """With 128 tokens, seven families of the demo could never end an answer, and RL earned nothing from them."""
    from transformers import AutoTokenizer

    config = rl_config(training.snapshot, training.model, tmp_path, steps=1, seed=0)
    tokenizer = AutoTokenizer.from_pretrained(training.model)
    responses = pa.Table.from_batches(training.snapshot.batches(["response"]))["response"].to_pylist()
    longest = max(len(ids) for ids in tokenizer(responses)["input_ids"])
    assert longest > 128
    assert longest < config.max_response < 1.2 * longest


def test_settings_override_those_of_the_demo(training: Training, tmp_path: Path) -> None:
    config = rl_config(training.snapshot, training.model, tmp_path, steps=2, seed=0, prompts=2, max_response=9)
    assert (config.prompts, config.per_device, config.max_response) == (2, 16, 9)
    assert sft_config(training.snapshot, training.model, tmp_path, steps=3, seed=7, batch=8).batch == 8


def test_one_thread_is_for_the_block_alone() -> None:
    import torch

    torch.set_num_threads(2)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
