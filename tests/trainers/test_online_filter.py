"""Which groups are kept, and which prompts take the place of the others."""

from collections import Counter
from typing import Any

import pytest

from trainers.online_filter import FilterSettings, Reserve

KEYS = ["math"] * 6 + ["OCR"] * 4


@pytest.mark.parametrize(
    ("accuracies", "kept", "why"),
    [
        ([0, 1, 0, 1], True, "half right"),
        ([0, 0, 0, 0], False, "all wrong"),
        ([1, 1, 1, 1], False, "all right"),
        ([0, 0, 0, 0.02], False, "a mean of 0.005"),
        ([0.3] * 4, True, "a task whose answers are never wholly right"),
        ([None, None, 1, 0], True, "half of it could not be scored"),
        ([None, None, None, 0.5], False, "one score alone has nothing to be compared with"),
        ([float("nan"), None], False, "nothing was scored"),
        ([], False, "nothing at all"),
    ],
)
def test_the_band(accuracies: Any, kept: bool, why: str) -> None:
    assert FilterSettings().keeps(accuracies) is kept, why


def test_every_row_comes_once_before_any_comes_again_over_all_ranks() -> None:
    reserves = [Reserve(KEYS, seed=1, rank=rank, ranks=2) for rank in range(2)]
    taken = [row for _ in range(5) for reserve in reserves for row in reserve.take([None])]
    assert sorted(taken) == list(range(10))
    again = [row for _ in range(5) for reserve in reserves for row in reserve.take([None])]
    assert sorted(again) == list(range(10))
    assert again != taken


def test_a_task_is_replaced_by_its_own() -> None:
    reserve = Reserve(KEYS, seed=1)
    assert Counter(KEYS[row] for row in reserve.take(["OCR", "math", "OCR"])) == {"OCR": 2, "math": 1}


def test_it_goes_on_where_a_checkpoint_left_it() -> None:
    whole = Reserve(KEYS, seed=1)
    rows = whole.take(["math", None, "OCR", None, "math"])
    first = Reserve(KEYS, seed=1)
    first.take(["math", None, "OCR"])
    second = Reserve(KEYS, seed=1)
    second.load_state_dict(first.state_dict())
    assert second.take([None, "math"]) == rows[3:]
