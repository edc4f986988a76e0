"""What `reproduce` tells: intervals over seeds, differences seed by seed, shares that add up, bars where they stand."""

import re

import pytest

from trainers.experiment.report import MEAN, Results, differences, draw, interval, report, table
from trainers.svg import bar_panel, render_panels


@pytest.fixture
def results() -> Results:
    """Two seeds of SFT, GRPO, EMA-GRPO on two tasks, and EMA-GRPO without one; the seeds differ more than the arms."""
    made = Results({"removed": "a", "estimators": ["grpo", "ema_grpo"]})
    for seed, base in ((0, 0.2), (1, 0.6)):
        made.add("sft", seed, {"a": base, "b": base}, {})
        for arm, gain in (("grpo", 0.1), ("ema_grpo", 0.2), ("without a", 0.0)):
            curves = {
                "reward": [(1, base), (2, base + gain)],
                "task/a/share": [(1, 1.0)],
                "task/b/share": [(2, 1.0), (3, 1.0)],
                "task/a/rows": [(1, 8.0)],
                "task/b/rows": [(2, 8.0), (3, 8.0)],
            }
            made.add(arm, seed, {"a": base + gain, "b": base + gain / 2}, curves)
    return made


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.5], "0.500"),
        ([0.4, 0.6], "0.500 ± 1.271"),  # 12.706 × 0.1414 / √2
        ([0.4, 0.5, 0.6], "0.500 ± 0.248"),
        ([0.5, 0.5, 0.5, 0.5], "0.500 ± 0.000"),
        ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], "4.000 ± 2.105"),  # nine: t is 2.306, std 2.7386
    ],
)
def test_an_interval_is_students_over_seeds(values: list[float], text: str) -> None:
    assert interval(values) == text


def test_differences_are_taken_seed_by_seed(results: Results) -> None:
    found = differences(results, "grpo", ["ema_grpo"])["ema_grpo"]
    assert [round(one["a"], 6) for one in found.values()] == [0.1, 0.1]
    assert interval([one["a"] for one in found.values()], signed=True) == "+0.100 ± 0.000"
    assert interval([one["a"] for one in results.rewards["ema_grpo"].values()]) == "0.600 ± 2.541", "seeds differ more"


def test_shares_add_up_to_one_and_a_step_without_a_task_counts_as_nothing(results: Results) -> None:
    assert results.shares["grpo"][0] == pytest.approx({"a": 1 / 3, "b": 2 / 3})
    assert results.rows["grpo"][0] == pytest.approx({"a": 1 / 3, "b": 2 / 3})


def test_the_report_has_every_table_and_transfer_leaves_the_removed_task_out_of_the_mean(results: Results) -> None:
    text = report(results)
    assert re.findall(r"^\| ([a-zA-Z -]+) \|(?= [a-z_]+)", text, re.M)[:1] == ["mean reward after training"]
    for title in ("above SFT alone", "above GRPO", "above EMA-GRPO with all tasks", "share of the gradient"):
        assert f"| {title} |" in text
    assert "| mean over tasks kept | -0.100 ± 0.000 |" in text, "b alone: half of the gain that went missing"
    assert f"| {MEAN} | 0.400 ± 2.541 | 0.475 ± 2.541 |" in text


def test_a_table_leaves_blank_what_an_arm_has_not_got() -> None:
    text = table("t", {"x": {0: {"a": 1.0}}, "y": {0: {"b": 2.0}}})
    assert text.splitlines()[2:] == ["| a | 1.000 |  |", "| b |  | 2.000 |"]


def test_plots_hold_a_line_for_each_arm_and_a_bar_for_each_task(results: Results) -> None:
    svg = draw(results)
    assert svg.count("<polyline") == 3
    assert (
        svg.count("<rect x=") == 4 * 3 + 3 * 2
    )  # rewards of four arms with their mean, shares of two estimators and of the rows


def test_bars_stand_on_nought_and_hang_from_it() -> None:
    svg = render_panels([bar_panel("t", {"x": {"up": 1.0, "down": -1.0}})])
    up, down = re.findall(r'<rect x="[\d.]+" y="([\d.]+)" width="[\d.]+" height="([\d.]+)"', svg)
    assert float(up[0]) + float(up[1]) == pytest.approx(float(down[0]), abs=0.1)
    assert float(up[1]) == pytest.approx(float(down[1]), abs=0.1)
    assert ">up<" in svg
