"""JSON lines in, the same lines with numbers out."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from corpus.errors import OneThinkerError
from filters.jsonl import score_lines

GOOD = {"response": "<think>a</think><answer>4</answer>", "ground_truth": "4", "data_type": "image"}
GOOD |= {"problem_type": "numerical"}


def run(*lines: Any, profile: str = "strict") -> tuple[list[dict[str, Any]], list[str]]:
    """What comes out for lines (objects, or text as it stands), and what was told of them."""
    told: list[str] = []
    given = [(line if isinstance(line, str) else json.dumps(line)).encode() + b"\n" for line in lines]
    out = [json.loads(line) for line in score_lines(given, profile, name="in", on_fault=told.append)]
    return out, told


def test_fields_pass_through_in_order_and_numbers_follow() -> None:
    line = {"id": 7, "note": {"a": [1, 2.50, None]}, **GOOD, "last": "ä"}
    (out,), told = run(line)
    assert list(out) == [*line, "format", "accuracy", "structure_reward", "overall", "reason"]
    assert {name: out[name] for name in line} == line
    assert (out["format"], out["accuracy"], out["reason"], told) == (1.0, 1.0, None, [])


def test_scores_already_there_are_replaced() -> None:
    (out,), _ = run({"accuracy": "old", **GOOD})
    assert out["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("line", "reason", "words"),
    [
        ('{"response": ', "not_json", "in:2: not a line of JSON"),
        ("[1]", "not_an_object", "in:2: a JSON list where an object with response, ground_truth"),
        ({**GOOD, "problem_type": "numrical"}, "unknown_problem_type", "did you mean 'numerical'?"),
        ({**GOOD, "data_type": 5}, "field_not_text", "in:2: field 'data_type' is 5, not text"),
        ({k: v for k, v in GOOD.items() if k != "ground_truth"}, "field_missing", "in:2: no field 'ground_truth'"),
    ],
)
def test_a_line_that_cannot_be_read_comes_out_with_its_reason(line: Any, reason: str, words: str) -> None:
    out, (told,) = run(GOOD, line, GOOD)
    assert [row["reason"] for row in out] == [None, reason, None]
    assert [row["accuracy"] for row in out] == [1.0, None, 1.0]
    assert words in told
    if isinstance(line, str):
        assert out[1]["raw"] in (line, [1])


def test_what_json_can_say_and_utf8_cannot_passes_through() -> None:
    line = json.dumps({"id": "\ud800", "big": 2**70, "nan": math.nan, **GOOD})
    (out,), told = run(line)
    assert (out["id"], out["big"], math.isnan(out["nan"]), told) == ("\ud800", 2**70, True, [])


def test_a_score_that_is_not_finite_is_a_word() -> None:
    answer = '{"time": NaN, "boxes": [1, 2, 3, 4], "positive_points": [[1, 1], [2, 2], [3, 3]], "negative_points": '
    answer += "[[5, 5], [6, 6], [7, 7]]}"
    line = {
        "response": f"<think>a</think><answer>{answer}</answer>",
        "ground_truth": answer.replace("NaN", "3"),
        "data_type": "video",
        "problem_type": "segmentation",
    }
    (paper,), _ = run(line, profile="paper")
    assert (paper["accuracy"], paper["overall"]) == ("NaN", "NaN")
    (strict,), _ = run(line)
    assert strict["accuracy"] == 0
    assert strict["reason"]


@pytest.mark.parametrize("truth", [4, 4.0, "4", "<answer>4</answer>"])
def test_a_true_answer_may_be_a_number(truth: Any) -> None:
    (out,), _ = run({**GOOD, "ground_truth": truth})
    assert out["accuracy"] == 1.0


def test_an_unreadable_true_answer_is_not_zero() -> None:
    (out,), _ = run({**GOOD, "ground_truth": None})
    assert out["accuracy"] is None
    assert out["reason"]


def test_an_unknown_profile_lists_those_that_are_there() -> None:
    with pytest.raises(OneThinkerError, match=r"unknown profile 'papr'.*paper.*strict|strict.*paper"):
        run(GOOD, profile="papr")


def test_lines_are_read_a_few_thousand_at_a_time() -> None:
    read = 0

    def lines() -> Any:
        nonlocal read
        for _ in range(40_000):
            read += 1
            yield json.dumps(GOOD).encode()

    out = score_lines(lines(), on_fault=print)
    next(out)
    assert read <= 5 * 2048
    assert sum(1 for _ in out) == 39_999


def test_the_released_reward_is_equalled_on_every_reference_line(shared: Path) -> None:
    lines = (shared / "golden" / "dev_rewards.jsonl").read_bytes().splitlines(keepends=True)
    told: list[str] = []
    for line in score_lines(lines, "paper", on_fault=told.append):
        out = json.loads(line)
        for name, value in out["expected"].items():
            assert float(out[name]) == pytest.approx(float(value), abs=1e-6, nan_ok=True), (out["id"], name)
    assert told == []


def test_the_command_exits_with_1_once_all_lines_are_done(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join([json.dumps(GOOD), "oops", "", json.dumps(GOOD)]))
    command = [sys.executable, "-m", "onethinker.cli", "score"]
    done = subprocess.run([*command, path], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert [json.loads(line)["accuracy"] for line in done.stdout.splitlines()] == [1.0, None, 1.0]
    assert f"{path}:2: not a line of JSON" in done.stderr
    piped = subprocess.run(
        [*command, "-"], input=json.dumps(GOOD), capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(piped.stdout)["accuracy"] == 1.0
    missing = subprocess.run([*command, tmp_path / "no"], capture_output=True, text=True, check=False, timeout=60)
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "no file" in missing.stderr
