"""The rows of an optimiser step do not depend on how many ranks and micro-batches share it."""

from collections.abc import Iterator
from typing import Any

import pytest

from trainers.batching import RowBatches

ROWS = [{"id": i, "length": (i * 37) % 101} for i in range(50)]


def order(epoch: int) -> Iterator[dict[str, Any]]:
    return iter(ROWS if epoch == 0 else ROWS[::-1])


def steps(per_device: int, accumulation: int, ranks: int, grouped: bool = True, epoch: int = 0) -> list[set[int]]:
    """The row ids of each optimiser step, over all ranks."""
    of_rank = []
    for rank in range(ranks):
        length_of = (lambda row: row["length"]) if grouped else None
        batches = RowBatches(order, len(ROWS), per_device, accumulation, rank, ranks, length_of, seed=3)
        batches.set_epoch(epoch)
        of_rank.append(list(batches))
        assert len(of_rank[-1]) == len(batches)
    made = []
    for step in range(0, len(of_rank[0]), accumulation):
        micro = [rows for batches in of_rank for rows in batches[step : step + accumulation]]
        made.append({row["id"] for rows in micro for row in rows})
    return made


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize(("per_device", "accumulation", "ranks"), [(1, 8, 1), (2, 2, 2), (1, 2, 4), (4, 1, 2)])
def test_a_step_is_the_same_rows_however_it_is_shared(
    per_device: int, accumulation: int, ranks: int, grouped: bool
) -> None:
    assert steps(per_device, accumulation, ranks, grouped) == steps(8, 1, 1, grouped)


def test_an_epoch_is_every_row_once_and_the_next_in_another_order() -> None:
    first, second = steps(2, 2, 2), steps(2, 2, 2, epoch=1)
    for made in (first, second):
        assert sorted(i for step in made for i in step) == list(range(50))
    assert first != second


def test_rows_of_a_batch_are_of_like_length() -> None:
    def spread(made: list[set[int]]) -> float:
        return sum(max(ROWS[i]["length"] for i in s) - min(ROWS[i]["length"] for i in s) for s in made) / len(made)

    assert spread(steps(8, 1, 1)) < spread(steps(8, 1, 1, grouped=False)) / 3


def test_ranks_differ_by_one_row_at_most() -> None:
    for rank in range(3):
        sizes = [len(rows) for rows in RowBatches(order, 50, 2, 1, rank, 3)]
        assert sizes[:-1] == [2] * 8
        assert sizes[-1] in (0, 1)
