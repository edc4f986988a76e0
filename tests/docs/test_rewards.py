"""Every example of the page on rewards scores as the page says."""

import re
from pathlib import Path

import pytest

from corpus.scoring import score, table_of

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "rewards.md"
EXAMPLE = re.compile(
    r"^  (`{1,2})(?P<type>[^‖\[(\n`]+?)(?: \[(?P<options>.*)\])?(?P<video> \(video\))? ‖ (?P<answer>.*) ‖ (?P<truth>.*)"
    r" → (?P<reward>null|[\d.]+)(?: (?P<reason>[a-z_]+))?\1$",
    re.MULTILINE,
)
VIDEOS = {"temporal grounding", "spatial-temporal grounding", "tracking"}


def examples() -> list[re.Match[str]]:
    return list(EXAMPLE.finditer(PAGE.read_text(encoding="utf-8")))


def test_every_line_that_looks_like_an_example_is_one():
    text = PAGE.read_text(encoding="utf-8")
    assert len(examples()) == text.count(" ‖ ") / 2 >= 59


@pytest.mark.parametrize("example", examples(), ids=lambda example: example[0].strip(" `")[:60])
def test_each_rule_holds(example: re.Match[str]):
    answer = example["answer"]
    response = answer if "</think>" in answer else f"<think>Let me look.</think><answer>{answer}</answer>"
    kind = "video" if example["video"] or example["type"] in VIDEOS else "image"
    row = {"response": response, "ground_truth": example["truth"], "problem_type": example["type"], "data_type": kind}
    row["options"] = example["options"].split("; ") if example["options"] else None
    found = score(table_of([row])).to_pylist()[0]
    wanted = None if example["reward"] == "null" else pytest.approx(float(example["reward"]), abs=1e-9)
    assert (found["reward"], found["reason"]) == (wanted, example["reason"])
