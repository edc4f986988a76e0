"""The estimators against vectors recorded from the released trainer (float32, one state per sequence of batches)."""

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainers.advantages import DrGrpo, EmaGrpo, Grpo
from trainers.task_keys import task_keys

TOLERANCE = 2e-5
FLOAT32 = 2.0**-24


def numbers(values: list[Any]) -> np.ndarray:
    return np.array([float(value) for value in values])  # the file writes "NaN" as a string


@pytest.fixture(scope="module")
def sequences(shared: Path) -> dict[int, list[dict[str, Any]]]:
    found = defaultdict(list)
    with open(shared / "golden" / "dev_ema.jsonl") as lines:
        for line in lines:
            batch = json.loads(line)
            batch["rewards"] = numbers(batch["scores"])
            batch["tasks"] = task_keys(batch["problem_types"], batch["data_types"])
            found[batch["sequence"]].append(batch)
    assert len(found) == 22
    return found


def estimator_of(batch: dict[str, Any]) -> EmaGrpo:
    given = batch["hyperparameters"]
    return EmaGrpo(
        decay=given["ema_decay"],
        min_std=given["min_std"],
        eps=given["eps"],
        guard_abs_max=given["guard_abs_max"],
        centre=given["use_group_mean_centering"],
    )


def expected(batch: dict[str, Any], estimator: str) -> np.ndarray:
    """One value a row; for token rewards the value that the row's unmasked tokens share."""
    if batch["kind"] != "token_rewards":
        return numbers(batch[f"expected_{estimator}advantages"])
    rows = [numbers(row) for row in batch[f"expected_{estimator}token_advantages"]]
    return np.array([row[np.argmax(mask)] for row, mask in zip(rows, batch["response_mask"], strict=True)])


def noisy_rows(batch: dict[str, Any], tasks: set[str]) -> np.ndarray:
    groups = set(batch["diagnostics"]["fp32_noise_groups"])
    pairs = zip(batch["group_ids"], batch["tasks"], strict=True)
    return np.array([group in groups or task in tasks for group, task in pairs])


def poisoned_tasks(batch: dict[str, Any]) -> set[str]:
    return {task for task, moments in batch["expected_tracker"].items() if moments["m1"] == "NaN"}


def walk(sequences: dict[int, list[dict[str, Any]]]) -> Any:
    """Each batch with the estimator that has seen the batches before it, and its tasks whose variance is noise."""
    for batches in sequences.values():
        estimator = estimator_of(batches[0])
        for batch in batches:
            yield estimator, batch, set(batch["diagnostics"]["ill_conditioned_tasks"])


def test_ema_grpo_equals_the_released_code(sequences: dict[int, list[dict[str, Any]]]) -> None:
    compared: Counter[str] = Counter()
    worst = 0.0
    for estimator, batch, ill in walk(sequences):
        ours = estimator.advantages(batch["rewards"], batch["group_ids"], batch["tasks"])
        theirs = expected(batch, "")
        clean = ~noisy_rows(batch, ill | poisoned_tasks(batch))
        error = np.abs(ours - theirs)[clean] / np.maximum(1, np.abs(theirs[clean]))
        compared[batch["kind"]] += int(clean.sum())
        worst = max(worst, error.max(initial=0))
        assert error.max(initial=0) <= TOLERANCE, f"{batch['kind']} {batch['sequence']}.{batch['batch']}"
        assert np.isfinite(ours).all()
    kinds = "default offset casing guard const straddle nan mixed_scale single_task token_rewards drift"
    assert set(compared) == set(kinds.split())
    assert all(compared.values()), compared
    assert compared.total() == 5505
    print(f"{compared.total()} rows, worst difference {worst:.2e}")


def test_moments_equal_the_released_tracker(sequences: dict[int, list[dict[str, Any]]]) -> None:
    for estimator, batch, ill in walk(sequences):
        estimator.observe(batch["rewards"], batch["tasks"])
        state, tracker = estimator.state_dict(), batch["expected_tracker"]
        assert set(state) == set(tracker)
        for task in set(tracker) - poisoned_tasks(batch):
            assert state[task]["m1"] == pytest.approx(tracker[task]["m1"], rel=2e-6, abs=1e-7)
            assert state[task]["m2"] == pytest.approx(tracker[task]["m2"], rel=2e-6, abs=1e-7)
            if task not in ill:
                theirs = tracker[task]["std"]
                noise = 4 * FLOAT32 * tracker[task]["m2"] / theirs**2  # of their float32 sums, in m2 − m1²
                assert estimator.std(task) == pytest.approx(theirs, rel=TOLERANCE + noise)


def test_the_guard_falls_back_where_the_released_code_did(sequences: dict[int, list[dict[str, Any]]]) -> None:
    fallen = 0
    for estimator, batch, ill in walk(sequences):
        found = estimator.estimate(batch["rewards"], batch["group_ids"], batch["tasks"])
        noise = set(batch["diagnostics"]["fp32_noise_groups"])
        clear = {(t, g) for t, g in found.guarded if g not in noise and t not in ill}
        theirs = {(t, g) for t, g in batch["diagnostics"]["guard_triggered_groups"] if g not in noise and t not in ill}
        assert clear == theirs
        fallen += len(theirs)
    assert fallen > 20


def test_groups_that_are_constant_get_exactly_zero_where_float32_left_noise(
    sequences: dict[int, list[dict[str, Any]]],
) -> None:
    theirs_largest, seen = 0.0, 0
    for estimator, batch, _ in walk(sequences):
        ours = estimator.advantages(batch["rewards"], batch["group_ids"], batch["tasks"])
        grpo = Grpo().advantages(batch["rewards"], batch["group_ids"], batch["tasks"])
        ids = np.array(batch["group_ids"])
        for group in set(batch["group_ids"]):
            mine = ids == group
            if len(set(batch["rewards"][mine])) == 1 and estimator.centre:
                assert (ours[mine] == 0).all()
                assert (grpo[mine] == 0).all()
                theirs_largest = max(theirs_largest, np.abs(expected(batch, "grpo_")[mine]).max())
                seen += 1
    assert seen > 100
    assert theirs_largest > 0.01  # the released GRPO divides rounding errors by eps there


def test_nan_rewards_are_left_out_and_poison_nothing(sequences: dict[int, list[dict[str, Any]]]) -> None:
    met = 0
    for batches in sequences.values():
        if batches[0]["kind"] != "nan":
            continue
        given, without = estimator_of(batches[0]), estimator_of(batches[0])
        for batch in batches:
            kept = np.isfinite(batch["rewards"])
            found = given.estimate(batch["rewards"], batch["group_ids"], batch["tasks"])
            groups = np.array(batch["group_ids"])[kept]
            tasks = np.array(batch["tasks"])[kept]
            np.testing.assert_array_equal(
                found.advantages[kept], without.advantages(batch["rewards"][kept], groups, tasks)
            )
            assert (found.advantages[~kept] == 0).all()
            assert found.excluded == dict(Counter(np.array(batch["tasks"])[~kept].tolist()))
            met += int((~kept).sum())
        assert given.state_dict() == without.state_dict()
        assert poisoned_tasks(batches[-1])  # the released state stays NaN to the end
    assert met == 2


def test_grpo_equals_the_released_code(sequences: dict[int, list[dict[str, Any]]]) -> None:
    compared = 0
    for _, batch, _ in walk(sequences):
        ours = Grpo().advantages(batch["rewards"], batch["group_ids"])
        theirs, ids = expected(batch, "grpo_"), np.array(batch["group_ids"])
        for group in set(batch["group_ids"]) - set(batch["diagnostics"]["fp32_noise_groups"]):
            mine, rewards = ids == group, batch["rewards"][ids == group]
            if not np.isfinite(rewards).all():
                continue
            # float32 holds the group mean to half a unit in its last place; a small std magnifies that
            noise = 4 * FLOAT32 * np.abs(rewards).max() / rewards.std(ddof=1)
            error = np.abs(ours[mine] - theirs[mine]) / np.maximum(1, np.abs(theirs[mine]))
            assert error.max() <= TOLERANCE + noise
            compared += int(mine.sum())
    assert compared > 5000


def test_dr_grpo_equals_the_released_advantages_with_their_scale_taken_off(
    sequences: dict[int, list[dict[str, Any]]],
) -> None:
    compared = 0
    for estimator, batch, ill in walk(sequences):
        if not estimator.centre:
            continue
        ours = DrGrpo().advantages(batch["rewards"], batch["group_ids"])
        unscaled = [float(batch["expected_tracker"][task]["std"]) + estimator.eps for task in batch["tasks"]]
        guarded = {group for _, group in batch["diagnostics"]["guard_triggered_groups"]}
        clean = ~noisy_rows(batch, ill | poisoned_tasks(batch)) & ~np.isin(batch["group_ids"], list(guarded))
        theirs = expected(batch, "") * np.array(unscaled)
        np.testing.assert_allclose(
            ours[clean],
            theirs[clean],
            rtol=TOLERANCE,
            atol=4 * FLOAT32 * np.abs(batch["rewards"][clean]).max(initial=1),
        )
        compared += int(clean.sum())
    assert compared > 3500


def test_token_rewards_are_summed_over_the_whole_row_and_spread_over_its_mask(
    sequences: dict[int, list[dict[str, Any]]],
) -> None:
    seen = 0
    for estimator, batch, ill in walk(sequences):
        ours = estimator.advantages(batch["rewards"], batch["group_ids"], batch["tasks"])
        if batch["kind"] != "token_rewards":
            continue
        np.testing.assert_allclose(np.sum(batch["token_level_rewards"], axis=1), batch["rewards"], atol=1e-6)
        clean = ~noisy_rows(batch, ill)
        spread = ours[:, None] * np.array(batch["response_mask"])
        theirs = np.array(batch["expected_token_advantages"])
        np.testing.assert_allclose(spread[clean], theirs[clean], rtol=TOLERANCE, atol=TOLERANCE)
        seen += 1
    assert seen == 30
