"""G²RPO: ranks to normal quantiles."""

import numpy as np
import pytest

from trainers.advantages import G2rpo


def test_g2rpo_sees_ranks_only() -> None:
    groups = list("aaaabbbb")
    plain = G2rpo().advantages([1, 2, 3, 4, 4, 3, 2, 1], groups)
    bent = G2rpo().advantages([0.1, 0.11, 7, 900, 4e6, 3, 2, -1e9], groups)
    np.testing.assert_array_equal(plain, bent)


def test_g2rpo_makes_a_task_standard_normal_whatever_its_rewards() -> None:
    values = np.random.default_rng(2).lognormal(sigma=3, size=1024)
    found = G2rpo().advantages(values, np.repeat(np.arange(128), 8), ["math"] * 1024)
    assert abs(found.mean()) < 1e-12
    # rank k of 8 is shared by 128 groups, so there are 8 values: the means of the normal's eighths
    assert len(set(found.tolist())) == 8
    assert found.max() == pytest.approx(1.6473, abs=2e-3)  # 8 φ(1.1503), the mean of its uppermost eighth


def test_g2rpo_ties_share_the_mean_of_their_quantiles() -> None:
    # one group: both stages rank alike; quantiles of 4 are ±1.1503 and ±0.3186
    found = G2rpo().advantages([0.0, 1.0, 1.0, 1.0], list("gggg"))
    np.testing.assert_allclose(found, [-1.15035, 0.38345, 0.38345, 0.38345], atol=1e-5)
    np.testing.assert_allclose(G2rpo().advantages([0.0, 0.0, 1.0, 1.0], list("gggg"))[2:], 0.73449, atol=1e-5)


def test_g2rpo_keeps_constant_groups_out_of_the_second_ranking() -> None:
    lone = G2rpo().advantages([0.0, 0.0, 0.0, 1.0], list("gggg"))
    beside = G2rpo().advantages([0.0, 0.0, 0.0, 1.0] + [0.5] * 4, list("gggghhhh"))
    np.testing.assert_array_equal(beside, [*lone, 0, 0, 0, 0])


def test_g2rpo_scores_that_differ_by_rounding_alone_tie() -> None:
    """The middle of three and the middle six of ten are both the median, though six quantiles add up to -2e-17."""
    found = G2rpo().advantages([1, 2, 3, 1, 2, 3, 3, 3, 3, 3, 3, 4, 5], list("aaabbbbbbbbbb"))
    assert len({found[1], *found[5:11]}) == 1
