"""GDPO: reward components, normalised before they are added."""

import math

import numpy as np
import pytest

from trainers.advantages import Gdpo


def test_gdpo_normalises_each_component_before_adding() -> None:
    """(format, accuracy): sums alone cannot tell (1, 0) from (0, 1), their groups can."""
    found = Gdpo(eps=0).advantages({"format": [1, 1, 1, 0], "accuracy": [0, 0, 1, 1]}, list("gggg"))
    half = 3**0.5 / 2
    total = np.array([0.5 - half, 0.5 - half, 0.5 + half, -1.5 + half])
    np.testing.assert_allclose(found, total / total.std(ddof=1))


def test_gdpo_of_named_and_of_stacked_components_is_the_same() -> None:
    by_name = {"format": [1.0, 0.0, 1.0, 1.0], "accuracy": [0.0, 0.5, 1.0, 0.2]}
    stacked = np.stack(list(by_name.values()), axis=1)
    np.testing.assert_array_equal(
        Gdpo(weights={"accuracy": 0.9, "format": 0.1}).advantages(by_name, list("aabb")),
        Gdpo(weights=[0.9, 0.1]).advantages(stacked[:, ::-1], list("aabb")),
    )


def test_gdpo_weights_the_normalised_components_not_the_raw_ones() -> None:
    components = {"format": [0.0, 1.0, 0.0, 1.0], "accuracy": [0.0, 0.0, 1.0, 1.0]}
    found = Gdpo(weights={"format": 1.0, "accuracy": 3.0}).advantages(components, list("gggg"))
    assert (found[1] - found[0]) * 3 == pytest.approx(found[2] - found[0])


def test_gdpo_spreads_the_whole_batch_to_one() -> None:
    values = np.random.default_rng(1).random((64, 3))
    found = Gdpo(eps=0).advantages(values, np.repeat(np.arange(8), 8))
    assert found.std(ddof=1) == pytest.approx(1)
    assert found.mean() == pytest.approx(0, abs=1e-12)


def test_gdpo_gives_nothing_for_a_component_that_a_task_has_not_got() -> None:
    accuracy, groups = [0.0, 1.0, 0.5], list("ggg")
    np.testing.assert_array_equal(
        Gdpo().advantages({"accuracy": accuracy, "structure": [0.0] * 3}, groups), Gdpo().advantages(accuracy, groups)
    )


def test_gdpo_leaves_a_row_out_whole_when_one_component_is_missing() -> None:
    found = Gdpo().estimate({"a": [0.0, 1.0, 0.0, 9.0], "b": [0.0, 1.0, 0.0, math.nan]}, list("gggg"), ["OCR"] * 4)
    assert found.excluded == {"OCR": 1}
    assert found.advantages[3] == 0
    assert found.advantages[1] == pytest.approx(-2 * found.advantages[0])
