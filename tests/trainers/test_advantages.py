"""What holds for every estimator: order, shards, what is left out, tensors, and the words of each refusal."""

import math
import subprocess
import sys
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.advantages import DrGrpo, EmaGrpo, Estimator, G2rpo, Gdpo, Grpo, by_task, create_estimator

ALL: list[Callable[[], Estimator]] = [
    Grpo,
    DrGrpo,
    EmaGrpo,
    lambda: EmaGrpo(guard="clip"),
    lambda: EmaGrpo(precision="float64"),
    Gdpo,
    G2rpo,
]
NAMES = ["grpo", "dr_grpo", "ema_grpo", "ema_grpo clip", "ema_grpo float64", "gdpo", "g2rpo"]
every = pytest.mark.parametrize("make", ALL, ids=NAMES)
centred = pytest.mark.parametrize("make", [Grpo, DrGrpo, EmaGrpo, Gdpo])

rewards = st.one_of(st.sampled_from([0.0, 0.1, 0.6, 1.0, 1.5]), st.floats(-2, 2, allow_subnormal=False))
odd_rewards = st.one_of(rewards, st.sampled_from([math.nan, math.inf, -math.inf, 1e200]))


@st.composite
def batches(draw: Any, reward: Any = rewards) -> tuple[list[float], list[str], list[str]]:
    """Whole groups of up to 8 rows, each of one task."""
    sizes = draw(st.lists(st.integers(1, 8), min_size=1, max_size=8))
    names = [draw(st.sampled_from(["math", "tracking", "OCR"])) for _ in sizes]
    groups = [f"g{i}" for i, size in enumerate(sizes) for _ in range(size)]
    tasks = [name for name, size in zip(names, sizes, strict=True) for _ in range(size)]
    return draw(st.lists(reward, min_size=len(groups), max_size=len(groups))), groups, tasks


def permuted(order: Any, *columns: list[Any]) -> list[list[Any]]:
    return [[column[row] for row in order] for column in columns]


# ---- every estimator


@every
@given(batch=batches(odd_rewards), seed=st.integers(0, 2**32 - 1))
def test_the_order_of_rows_changes_nothing_not_even_the_last_bit(
    make: Callable[[], Estimator], batch: Any, seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(len(batch[0]))
    straight, shuffled = make(), make()
    for _ in range(2):  # the second time with moments already there
        here = straight.estimate(*batch)
        there = shuffled.estimate(*permuted(order, *batch))
        np.testing.assert_array_equal(here.advantages[order], there.advantages)
        assert here.excluded == there.excluded
        assert here.guarded == there.guarded
    assert straight.state_dict() == shuffled.state_dict()


@every
@given(batch=batches(odd_rewards), ranks=st.sampled_from([1, 2, 4]))
def test_ranks_that_hold_shards_and_gather_agree_exactly(make: Callable[[], Estimator], batch: Any, ranks: int) -> None:
    """However rows are dealt to ranks, the gathered batch gives each row what one rank alone would give it."""
    whole, gathered = make(), make()
    alone = whole.estimate(*batch).advantages
    dealt = [row for rank in range(ranks) for row in range(rank, len(batch[0]), ranks)]
    together = gathered.estimate(*permuted(dealt, *batch)).advantages
    np.testing.assert_array_equal(alone[dealt], together)
    assert whole.state_dict() == gathered.state_dict()


@every
@given(batch=batches(odd_rewards))
def test_what_cannot_be_used_gets_zero_and_is_counted(make: Callable[[], Estimator], batch: Any) -> None:
    given_rewards, groups, _ = batch
    found = make().estimate(*batch)
    usable = np.abs(given_rewards) <= 1e18
    assert np.isfinite(found.advantages).all()
    assert (found.advantages[~usable] == 0).all()
    assert sum(found.excluded.values()) == (~usable).sum()
    for group in set(groups):
        mine = np.array([g == group for g in groups])
        left = np.array(given_rewards)[mine & usable]
        if len(left) < 2 or (left == left[0]).all():
            assert (found.advantages[mine] == 0).all()


@every
@given(batch=batches(odd_rewards))
def test_rows_that_are_left_out_might_as_well_not_have_been_there(make: Callable[[], Estimator], batch: Any) -> None:
    usable = np.flatnonzero(np.abs(batch[0]) <= 1e18)
    given_all, given_usable = make(), make()
    found = given_all.estimate(*batch).advantages[usable]
    np.testing.assert_array_equal(found, given_usable.estimate(*permuted(usable, *batch)).advantages)
    assert given_all.state_dict() == given_usable.state_dict()


@every
def test_left_out_rewards_are_reported_by_task(make: Callable[[], Estimator], caplog: pytest.LogCaptureFixture) -> None:
    make().advantages([1.0, None, 0.0, math.inf, 1.0, 0.0], list("aaabbb"), ["OCR"] * 3 + ["math"] * 3)
    assert "1 reward(s) of task 'OCR' are not finite: excluded, advantage 0" in caplog.text
    assert "1 reward(s) of task 'math' are not finite: excluded, advantage 0" in caplog.text


@every
def test_an_empty_batch_gives_no_advantages(make: Callable[[], Estimator]) -> None:
    assert make().advantages([], [], []).shape == (0,)


@every
def test_constant_groups_of_a_value_that_does_not_add_up_are_exactly_zero(make: Callable[[], Estimator]) -> None:
    """0.1 + 0.1 + 0.1 is not 3 × 0.1; divided by an eps of 1e-6 the difference would be an advantage."""
    found = make().advantages([0.1, 0.1, 0.1, 0.0, 1.0, 1.0], list("aaabbb"), ["math"] * 6)
    assert found[:3].tolist() == [0, 0, 0]
    assert found[3] < 0 < found[4] == found[5]


@pytest.mark.parametrize("estimator", [Grpo(eps=0), EmaGrpo(eps=0), Gdpo(eps=0)], ids=lambda e: e.name)
def test_without_an_eps_constant_groups_are_still_zero_and_nothing_is_divided_by_nothing(estimator: Estimator) -> None:
    with np.errstate(all="raise"):
        assert estimator.advantages([0.6] * 4, list("aabb")).tolist() == [0] * 4
        assert estimator.advantages([0.6, 0.6, 0.0, 1.0], list("aabb"))[:2].tolist() == [0, 0]


@every
def test_without_tasks_all_rows_are_one_task(make: Callable[[], Estimator]) -> None:
    values, groups = [0.0, 1.0, 0.5, 0.2], [7, 7, 9, 9]
    np.testing.assert_array_equal(
        make().advantages(values, groups), make().advantages(np.array(values), np.array(groups), ["all"] * 4)
    )


@every
def test_the_inputs_are_left_as_they_were(make: Callable[[], Estimator]) -> None:
    values = np.array([0.0, 9.0, 0.5, math.nan])
    make().advantages(values, list("aabb"), ["math"] * 4)
    np.testing.assert_array_equal(values, [0.0, 9.0, 0.5, math.nan])


@centred
@given(batch=batches())
def test_a_centred_group_adds_up_to_zero(make: Callable[[], Estimator], batch: Any) -> None:
    found = make().advantages(*batch)
    for group in set(batch[1]):
        mine = found[[g == group for g in batch[1]]]
        assert abs(mine.sum()) <= 1e-9 * max(1, np.abs(mine).max())


# ---- each by itself


def test_grpo_divides_by_the_unbiased_std_of_the_group() -> None:
    found = Grpo(eps=0).advantages([0.0, 0.0, 1.0, 2.0, 4.0], list("aaabb"))
    np.testing.assert_allclose(found, [-(3**-0.5), -(3**-0.5), 2 * 3**-0.5, -(2**-0.5), 2**-0.5])


@given(batch=batches(), scale=st.floats(0.1, 10), shift=st.floats(-3, 3))
def test_grpo_forgets_scale_and_dr_grpo_keeps_it(batch: Any, scale: float, shift: float) -> None:
    values, groups, _ = batch
    rounded = [round(value, 3) for value in values]
    moved = [shift + scale * value for value in rounded]
    grpo, dr_grpo = Grpo(eps=0), DrGrpo()
    np.testing.assert_allclose(grpo.advantages(moved, groups), grpo.advantages(rounded, groups), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(
        dr_grpo.advantages(moved, groups), scale * dr_grpo.advantages(rounded, groups), rtol=1e-9, atol=1e-9
    )


@given(batch=batches(), later=batches())
def test_a_state_that_was_saved_and_loaded_goes_on_as_if_nothing_had_happened(batch: Any, later: Any) -> None:
    kept, restored = EmaGrpo(), EmaGrpo()
    kept.advantages(*batch)
    restored.load_state_dict(kept.state_dict())
    np.testing.assert_array_equal(kept.advantages(*later), restored.advantages(*later))
    assert kept.state_dict() == restored.state_dict()


def ranked(values: list[float]) -> list[float]:
    """The definition in words: place i of n earns Φ⁻¹((i − ½) / n), equal values the mean of their places."""
    places: dict[float, list[float]] = {}
    for place, value in enumerate(sorted(values), start=1):
        places.setdefault(value, []).append(NormalDist().inv_cdf((place - 0.5) / len(values)))
    return [sum(places[value]) / len(places[value]) for value in values]


@given(batch=batches())
def test_g2rpo_is_its_definition_written_out(batch: Any) -> None:
    values, groups, tasks = batch
    members = {group: [row for row in range(len(values)) if groups[row] == group] for group in groups}
    within = {}
    for those in members.values():
        if len({values[row] for row in those}) > 1:
            within.update(zip(those, ranked([values[row] for row in those]), strict=True))
    expected = np.zeros(len(values))
    for task in set(tasks):
        those = [row for row in within if tasks[row] == task]
        expected[those] = ranked([round(within[row], 12) for row in those])
    np.testing.assert_allclose(G2rpo().advantages(*batch), expected, atol=1e-9)


# ---- summaries, tensors, names, errors


def test_a_summary_tells_each_task_apart() -> None:
    found = by_task([0.0, 1.0, math.nan, 0.5, math.nan], ["OCR", "OCR", "OCR", "math", "late"], [-3.0, 0, 0, 4.0, 0])
    assert list(found) == ["OCR", "late", "math"]
    assert (found["OCR"].rows, found["OCR"].excluded) == (3, 1)
    assert (found["OCR"].reward_mean, found["OCR"].reward_std) == (0.5, 0.5)
    assert found["OCR"].share == pytest.approx(9 / 25)
    assert math.isnan(found["late"].reward_mean)
    assert by_task([1.0], ["OCR"], [0.0])["OCR"].share == 0


class Tensor:
    """Behaves like a torch tensor on a GPU: numpy may have it only after detach, cpu and a float64 cast."""

    def __init__(self, values: list[float], steps: tuple[str, ...] = ()) -> None:
        self.values, self.steps = values, steps

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def __getattr__(self, step: str) -> Any:
        if step in ("detach", "cpu", "double"):
            return lambda: Tensor(self.values, (*self.steps, step))
        raise AttributeError(step)

    def numpy(self) -> np.ndarray:
        assert self.steps == ("detach", "cpu", "double")
        return np.array(self.values)

    def tolist(self) -> list[float]:
        return self.values


def test_tensors_are_taken_where_they_are_handed_in() -> None:
    found = EmaGrpo().advantages(Tensor([0.0, 1.0, 0.5, 0.2]), Tensor([0, 0, 1, 1]), ["math"] * 4)
    np.testing.assert_array_equal(found, EmaGrpo().advantages([0.0, 1.0, 0.5, 0.2], [0, 0, 1, 1], ["math"] * 4))


def test_torch_tensors_of_short_floats_are_taken() -> None:
    torch = pytest.importorskip("torch")
    values = torch.tensor([0.0, 1.0, 0.5, 0.25], dtype=torch.bfloat16, requires_grad=True)
    found = Grpo().advantages(values, torch.tensor([0, 0, 1, 1]))
    np.testing.assert_array_equal(found, Grpo().advantages([0.0, 1.0, 0.5, 0.25], [0, 0, 1, 1]))


def test_neither_torch_nor_a_database_is_imported() -> None:
    code = (
        "import sys, trainers.advantages, trainers.task_keys; print({'torch', 'duckdb', 'corpus'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


@pytest.mark.parametrize("name", ["grpo", "dr_grpo", "ema_grpo", "gdpo", "g2rpo"])
def test_configs_name_estimators(name: str) -> None:
    assert create_estimator(name).name == name
    assert create_estimator("ema_grpo", guard="clip") == EmaGrpo(guard="clip")


def ema(**config: Any) -> Callable[[], Any]:
    return lambda: EmaGrpo(**config)


def loading(state: Any) -> Callable[[], Any]:
    return lambda: EmaGrpo().load_state_dict(state)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (
            lambda: create_estimator("ppo"),
            "unknown advantage estimator 'ppo'; known: dr_grpo, ema_grpo, g2rpo, gdpo, grpo",
        ),
        (ema(decay=1.0), "decay must be at least 0 and below 1, not 1.0"),
        (ema(decay=math.nan), "decay must be at least 0 and below 1, not nan"),
        (ema(min_std=0), "min_std must be above 0, not 0"),
        (ema(eps=-1), "eps must be 0 or more, not -1"),
        (ema(guard="none"), "unknown guard 'none'; known: group_std, clip"),
        (ema(guard_abs_max=0), "guard_abs_max must be above 0, not 0"),
        (ema(precision="half"), "unknown precision 'half'; known: float32, float64"),
        (lambda: Grpo(eps=-1e-6), "eps must be 0 or more, not -1e-06"),
        (lambda: Gdpo(eps=-1), "eps must be 0 or more, not -1"),
        (loading({"OCR": {"m1": 0.5}}), "the state of task 'OCR' needs numbers m1 and m2, not {'m1': 0.5}"),
        (loading({"OCR": 3}), "the state of task 'OCR' needs numbers m1 and m2, not 3"),
        (loading({"OCR": {"m1": math.nan, "m2": 1}}), "the state of task 'OCR' is not usable: m1 nan, m2 1.0"),
        (loading({"OCR": {"m1": 0, "m2": -1}}), "the state of task 'OCR' is not usable: m1 0.0, m2 -1.0"),
        (
            lambda: Grpo().load_state_dict({"OCR": {"m1": 0.5, "m2": 0.5}}),
            "grpo has no state, but the checkpoint holds state for 'OCR'",
        ),
        (lambda: Grpo().advantages([1, 2], ["a"]), "2 rewards but 1 groups: there must be one per row"),
        (lambda: Grpo().advantages([1], ["a"], []), "1 rewards but 0 task keys: there must be one per row"),
        (
            lambda: Grpo().advantages([[1, 2]], ["a"]),
            "grpo takes one reward per row, not shape (1, 2); Gdpo takes components",
        ),
        (lambda: Gdpo().advantages({}, []), "gdpo needs at least one reward component"),
        (
            lambda: Gdpo().advantages(np.zeros((1, 1, 1)), [1]),
            "gdpo takes rewards of shape (rows, components), not (1, 1, 1)",
        ),
        (
            lambda: Gdpo().advantages(np.zeros((2, 0)), [1, 2]),
            "gdpo takes rewards of shape (rows, components), not (2, 0)",
        ),
        (lambda: Gdpo(weights=[1.0]).advantages([[1, 2]], [1]), "gdpo has 1 weights for 2 components"),
        (
            lambda: Gdpo(weights={"a": 1}).advantages([[1]], [1]),
            "gdpo has weights by component name, so rewards must be {component: numbers}",
        ),
        (
            lambda: Gdpo(weights=[1]).advantages({"a": [1]}, [1]),
            "gdpo has weights by position, so rewards must be an array; name the weights instead",
        ),
        (
            lambda: Gdpo(weights={"a": 1}).advantages({"b": [1]}, [1]),
            "gdpo has weights for ['a'], rewards have ['b']",
        ),
        (
            lambda: Gdpo().advantages({"a": [1], "b": [1, 2]}, [1]),
            "gdpo's components must each have one number per row: a (1,), b (2,)",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_by_these_words(act: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the words are compared whole
        act()
    assert str(raised.value) == words
