"""Scoring tables: equal to the released reward under `paper`, counted and named under `strict`, in the order given."""

import json
import math
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from corpus.errors import OneThinkerError
from corpus.scoring import score, table_of

NAMES = {"overall": "reward", "format": "format", "accuracy": "accuracy", "structure_reward": "structure"}
OWN = Path(__file__).with_name("rewards_own.jsonl")


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def row(answer: str, truth: str | None, problem_type: str = "OCR", data_type: str = "image", **more) -> dict:
    response = f"<think>Looking.</think><answer>{answer}</answer>"
    return {"response": response, "ground_truth": truth, "problem_type": problem_type, "data_type": data_type, **more}


def differences(rows: list[dict], expected: list[dict], profile: str) -> list[tuple]:
    found = score(table_of(rows), profile).to_pylist()
    wrong = []
    for given, want, got in zip(rows, expected, found, strict=True):
        for theirs, ours in NAMES.items():
            value = float(want[theirs])
            if not (math.isclose(value, got[ours], abs_tol=1e-6) or (math.isnan(value) and math.isnan(got[ours]))):
                wrong.append((given.get("id"), theirs, value, got[ours]))
    return wrong


def test_paper_equals_the_released_reward(shared: Path):
    rows = lines(shared / "golden" / "dev_rewards.jsonl")
    assert len(rows) == 1704
    assert differences(rows, [row["expected"] for row in rows], "paper") == []


def test_paper_on_rows_of_our_own():
    rows = lines(OWN)
    assert differences(rows, [row["paper"] for row in rows], "paper") == []


def test_strict_on_rows_of_our_own():
    rows = lines(OWN)
    for given, got in zip(rows, score(table_of(rows)).to_pylist(), strict=True):
        want = given["strict"]
        reward = None if want["reward"] is None else pytest.approx(want["reward"], abs=1e-6)
        assert (got["reward"], got["reason"]) == (reward, want["reason"]), given["id"]


def test_rows_come_back_in_order_whatever_their_types():
    rows = [row("a", "a"), row("5", "5", "numerical"), row("b", "a"), row("6", "5", "numerical")] * 3
    assert score(table_of(rows))["accuracy"].to_pylist() == [1, 1, 0, 0] * 3


def test_an_empty_table_is_scored():
    assert score(table_of([])).num_rows == 0


def test_unknown_profile_lists_those_that_exist():
    with pytest.raises(OneThinkerError, match=r"unknown profile 'papr'; did you mean 'paper'.*strict, paper"):
        score(table_of([]), "papr")


def test_unknown_type_raises_under_strict_and_is_named():
    with pytest.raises(OneThinkerError, match="unknown problem_type 'temporal groundng'"):
        score(table_of([row("a", "a", "temporal groundng")]))
    assert score(table_of([row("a", "a", "nonsense")]), "paper")["reward"].to_pylist() == [0.6]


def test_unreadable_truth_is_null_and_counted():
    got = score(
        table_of([row("5", "about five", "numerical"), row("5", None, "numerical"), row("5", "5", "numerical")])
    )
    assert got["accuracy"].to_pylist() == [None, None, 1]
    assert got["reward"].to_pylist() == [None, None, 1]
    assert got["reason"].to_pylist() == ["truth_unreadable", "truth_unreadable", None]


def test_components_are_recorded_for_their_own_rows():
    points = '"positive_points": [[1, 1], [2, 2], [3, 3]], "negative_points": [[20, 20], [30, 30], [40, 40]]'
    seg = '{"boxes": [0, 0, 9, 9], ' + points + "}"
    rows = [
        row('{"boxes": [0, 0, 9, 9]}', '{"boxes": [0, 0, 9, 9]}', "spatial grounding"),
        row("a", "a"),
        row(seg, seg, "segmentation"),
    ]
    parts = [dict(found) for found in score(table_of(rows))["components"].to_pylist()]
    assert parts[0] == {"iou": 1}
    assert parts[1] == {"characters": 1, "words": 1}
    assert parts[2] == {"iou": 1, "positive": 1, "negative": 1, "judged_by_mask": 0}  # an image has no time


def test_the_truth_may_be_wrapped_in_answer_tags():
    assert score(table_of([row("a", "<answer>a</answer>")]))["accuracy"].to_pylist() == [1]


def test_lone_surrogates_do_not_stop_a_file():
    assert score(table_of([row("caf\ud800", "cafe")]))["format"].to_pylist() == [1]


def test_a_table_without_options_and_truth_columns_is_enough():
    columns = {"response": ["<think>t</think><answer>A</answer>"], "ground_truth": ["A"]}
    table = pa.table({**columns, "problem_type": ["multiple choice"], "data_type": ["image"]})
    assert score(table)["reward"].to_pylist() == [1]


def test_math_scores_the_same_in_a_thread():
    """math-verify's time limit is a signal, which only a main thread gets; elsewhere a child process grades."""
    rows = [
        row("$\\frac{2}{4}$", "0.5", "math"),
        row("$\\sqrt{12}$", "$2\\sqrt{3}$", "math"),
        row("$x$", "$y$", "math"),
    ]
    here = [score(table_of(rows), profile)["accuracy"].to_pylist() for profile in ("paper", "strict")]
    there: list[list[float]] = []
    thread = threading.Thread(
        target=lambda: there.extend(score(table_of(rows), name)["accuracy"].to_pylist() for name in ("paper", "strict"))
    )
    thread.start()
    thread.join()
    assert there == here == [[1, 1, 0], [1, 1, 0]]


def test_importing_the_tasks_loads_no_grader():
    graders = {"sympy", "math_verify", "mathruler", "rouge_score", "nltk", "cv2", "decord", "torch"}
    code = "import sys, corpus.tasks, corpus.scoring; corpus.tasks.tasks();"
    code += f"print(*{graders} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
