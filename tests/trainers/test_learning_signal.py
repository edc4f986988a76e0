"""From scored responses to advantages and metrics: what is filtered or unscored enters nothing."""

import numpy as np
import pytest

from trainers.advantages import create_estimator
from trainers.learning_signal import compute_signal
from trainers.rewards import ScoredResponse


def row(reward: float | None, task: str = "math", **components: float) -> ScoredResponse:
    return ScoredResponse(task, reward, reward, 1.0, 0.0, components)


ROWS = [row(r) for r in (1.0, 0.0, 0.0, 1.0)] + [row(r, "OCR", wer=r) for r in (0.5, 0.7, 0.5, 0.7)]


def everything(rows: list[ScoredResponse] = ROWS) -> list[tuple[ScoredResponse, bool]]:
    return [(one, True) for one in rows]


def test_each_rank_has_its_slice_of_what_one_would_have() -> None:
    whole = compute_signal(create_estimator("ema_grpo"), everything(), 4, mine=slice(0, 8), seen=ROWS)
    halves = [
        compute_signal(create_estimator("ema_grpo"), everything(), 4, mine=slice(a, a + 4), seen=ROWS) for a in (0, 4)
    ]
    assert whole.mine.values == halves[0].mine.values + halves[1].mine.values
    assert whole.metrics == halves[0].metrics == halves[1].metrics
    assert whole.metrics["task/math/share"] == pytest.approx(0.5, abs=0.01)
    assert whole.metrics["task/OCR/component/wer"] == pytest.approx(0.6)
    assert whole.metrics["task/OCR/m1"] == pytest.approx(0.6)


@pytest.mark.parametrize("name", ["grpo", "dr_grpo", "ema_grpo", "g2rpo", "gdpo"])
@pytest.mark.parametrize("bad", [None, float("nan"), float("inf")])
def test_a_response_without_a_score_is_not_learnt_from_and_is_counted(name: str, bad: float | None) -> None:
    rows = [row(bad), *ROWS[1:]]
    signal = compute_signal(create_estimator(name), everything(rows), 4, mine=slice(0, 8), seen=rows)
    assert signal.mine.learnt == [False] + [True] * 7
    assert signal.mine.values[0] == 0.0
    assert np.isfinite(signal.mine.values).all()
    assert signal.metrics["advantages/excluded"] == 1
    assert signal.metrics["task/math/unscored"] == 1


def test_rows_left_out_by_the_filter_enter_no_statistic_unless_told() -> None:
    rows = everything(ROWS[:4]) + [(one, False) for one in ROWS[4:]]
    after, before = create_estimator("ema_grpo"), create_estimator("ema_grpo")
    signal = compute_signal(after, rows, 4, mine=slice(0, 8), seen=ROWS)
    assert set(after.state_dict()) == {"math"}
    assert signal.mine.learnt == [True] * 4 + [False] * 4
    assert signal.mine.values[4:] == [0.0] * 4
    compute_signal(before, rows, 4, mine=slice(0, 8), seen=ROWS, observe_seen=True)
    assert set(before.state_dict()) == {"math", "OCR"}


def test_evaluation_leaves_the_moments_alone_and_an_empty_batch_is_one() -> None:
    estimator = create_estimator("ema_grpo")
    compute_signal(estimator, everything(), 4, mine=slice(0, 8), seen=ROWS, update=False)
    assert estimator.state_dict() == {}
    nothing = [(one, False) for one in ROWS]
    signal = compute_signal(estimator, nothing, 4, mine=slice(0, 8), seen=ROWS)
    assert signal.mine.learnt == [False] * 8
    assert signal.metrics["task/math/reward_mean"] == 0.5, "metrics describe dropped responses too"
