"""EMA-GRPO: moments, guard, state, and the balance that it is for."""

import math
from typing import Any

import numpy as np
import pytest

from trainers.advantages import DrGrpo, EmaGrpo, Grpo, by_task


def two_tasks(steps: int = 20) -> list[tuple[np.ndarray, np.ndarray, list[str]]]:
    """Grounding pays 0.80 to 0.87, a puzzle 0 or 1: the paper's figure 4."""
    chance = np.random.default_rng(5)
    groups = np.repeat(np.arange(32), 8)
    tasks = ["grounding"] * 128 + ["puzzle"] * 128
    return [
        (np.concatenate([chance.uniform(0.80, 0.87, 128), chance.integers(0, 2, 128)]), groups, tasks)
        for _ in range(steps)
    ]


def test_ema_grpo_balances_tasks_whose_rewards_differ_in_scale() -> None:
    ema_grpo, dr_grpo = EmaGrpo(), DrGrpo()
    for values, groups, tasks in two_tasks():
        balanced = by_task(values, tasks, ema_grpo.advantages(values, groups, tasks))
        lopsided = by_task(values, tasks, dr_grpo.advantages(values, groups, tasks))
        assert 0.4 < balanced["grounding"].share < 0.6
        assert lopsided["grounding"].share < 0.01


def test_ema_grpo_treats_all_groups_of_a_task_alike_where_grpo_favours_the_lopsided() -> None:
    """One hit in eight, and four in eight: GRPO gives both the same weight, EMA-GRPO more to the medium one."""
    values = [0.0] * 7 + [1.0] + [0.0, 1.0] * 4
    groups = ["rare"] * 8 + ["even"] * 8
    ema = by_task(values, groups, EmaGrpo().advantages(values, groups))
    grpo = by_task(values, groups, Grpo().advantages(values, groups))
    assert grpo["rare"].share == pytest.approx(0.5, abs=1e-3)
    assert ema["rare"].share == pytest.approx(0.4375 / (0.4375 + 1), rel=1e-6)  # as their variances


def test_moments_start_with_the_first_batch_and_then_move_by_the_decay() -> None:
    estimator = EmaGrpo(decay=0.75)
    estimator.advantages([0.0, 2.0, 2.0, 4.0], list("aabb"), ["math"] * 4)
    assert estimator.state_dict() == {"math": {"m1": 2.0, "m2": 6.0}}
    assert estimator.std("math") == pytest.approx(2**0.5)
    estimator.advantages([6.0, 6.0], list("cc"), ["math"] * 2)
    assert estimator.state_dict() == {"math": {"m1": 3.0, "m2": 13.5}}
    assert estimator.std("never seen") == 1e-3


def test_a_batch_is_counted_before_it_is_scaled() -> None:
    found = EmaGrpo(eps=0).advantages([0.0, 2.0, 4.0, 6.0], list("aabb"), ["math"] * 4)
    np.testing.assert_allclose(found, np.array([-1, 1, -1, 1]) / 5**0.5)  # σ² = 14 − 3²


@pytest.mark.parametrize(("guard", "first"), [("group_std", [-1.0, 1.0]), ("clip", [-5.0, 5.0])])
def test_the_guard_touches_its_own_part_only(guard: Any, first: list[float]) -> None:
    estimator = EmaGrpo(guard=guard)
    estimator.load_state_dict({"math": {"m1": 0.5, "m2": 0.2501}, "OCR": {"m1": 0.5, "m2": 0.5}})  # σ 0.01, 0.5
    found = estimator.estimate([0.0, 1.0, 0.50, 0.51, 0.0, 1.0], list("aabbcc"), ["math"] * 4 + ["OCR"] * 2)
    assert found.guarded == (("math", "a"),)
    np.testing.assert_allclose(found.advantages[:2], first, rtol=1e-4)
    assert 0 < np.abs(found.advantages[2:]).max() < 5


def test_guarded_parts_are_named_in_one_order() -> None:
    estimator = EmaGrpo(guard_abs_max=0.5)
    batch = [0.0, 1.0, 0.0, 1.0, 0.0, 1.0], list("bbaacc"), ["math"] * 4 + ["OCR"] * 2
    expected = (("OCR", "c"), ("math", "a"), ("math", "b"))
    assert estimator.estimate(*batch).guarded == expected
    assert estimator.estimate(*(column[::-1] for column in batch)).guarded == expected


def test_a_guarded_part_without_spread_is_clipped() -> None:
    """Two tasks in one group: the part of one is flat, so there is no std of its own to divide by."""
    estimator = EmaGrpo()
    found = estimator.estimate([0.2, 0.2, 0.9, 0.2], list("gggg"), ["OCR", "OCR", "math", "math"])
    assert ("OCR", "g") in found.guarded
    assert found.advantages[:2].tolist() == [-5.0, -5.0]


def test_without_centring_rewards_are_only_scaled() -> None:
    found = EmaGrpo(centre=False, eps=0).advantages([1.0, 3.0, 5.0], ["a", "a", "b"])
    np.testing.assert_allclose(found, np.array([1.0, 3.0, 0.0]) / (35 / 3 - 9) ** 0.5, rtol=1e-6)


def test_the_saved_state_is_a_copy() -> None:
    estimator = EmaGrpo()
    estimator.observe([0.0, 1.0])
    estimator.state_dict()["all"]["m1"] = 9.0
    assert estimator.state_dict() == {"all": {"m1": 0.5, "m2": 0.5}}


def test_two_estimators_do_not_share_moments() -> None:
    first, second = EmaGrpo(), EmaGrpo()
    first.observe([0.0, 1.0])
    assert second.state_dict() == {}
    assert first == second  # equal settings; the state is no setting


def test_a_look_without_update_leaves_the_moments_alone() -> None:
    estimator = EmaGrpo(guard="clip")  # which would show a σ that was made up
    estimator.observe([0.0, 1.0], ["math"] * 2)
    before = estimator.state_dict()
    found = estimator.advantages([0.0, 4.0, 0.0, 2.0], list("aabb"), ["math"] * 2 + ["OCR"] * 2, update=False)
    assert estimator.state_dict() == before
    np.testing.assert_allclose(found, [-4, 4, -1, 1], rtol=1e-4)  # OCR, never seen, by its own batch


def test_statistics_before_filtering_count_the_rows_that_filtering_drops() -> None:
    values, groups, tasks = [0.0, 0.0, 0.0, 1.0], list("aabb"), ["math"] * 4
    before, after = EmaGrpo(), EmaGrpo()
    before.observe(values, tasks)
    found = before.advantages(values[2:], groups[2:], tasks[2:], update=False)
    assert before.state_dict() == {"math": {"m1": 0.25, "m2": 0.25}}
    after.advantages(values[2:], groups[2:], tasks[2:])
    assert after.state_dict() == {"math": {"m1": 0.5, "m2": 0.5}}
    np.testing.assert_allclose(found, np.array([-0.5, 0.5]) / 0.1875**0.5, rtol=1e-5)


def test_float64_moments_survive_rewards_that_hardly_vary_around_a_large_value() -> None:
    values = [1000.00, 1000.01] * 4
    exact = EmaGrpo(precision="float64", eps=0)
    found = exact.advantages(values, list("aabbccdd"))
    np.testing.assert_allclose(found, [-1, 1] * 4, rtol=1e-3)
    rounded = EmaGrpo(eps=0)
    rounded.advantages(values, list("aabbccdd"))
    assert rounded.std("all") != pytest.approx(exact.std("all"), rel=0.1)  # what float32 makes of it


def test_a_state_that_is_refused_leaves_the_moments_as_they_were() -> None:
    estimator = EmaGrpo()
    estimator.observe([0.0, 1.0])
    with pytest.raises(ValueError, match="not usable"):
        estimator.load_state_dict({"all": {"m1": 1.0, "m2": 2.0}, "OCR": {"m1": math.inf, "m2": 1.0}})
    assert estimator.state_dict() == {"all": {"m1": 0.5, "m2": 0.5}}
