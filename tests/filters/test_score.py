"""`score`: columns in, an Arrow table out, whatever processes it takes."""

import pyarrow as pa
import pytest

from corpus.errors import OneThinkerError, UsageError
from filters import score


def wrapped(answer: str) -> str:
    return f"<think>a</think><answer>{answer}</answer>"


def test_rows_are_scored_in_order_across_types() -> None:
    types = ["numerical", "multiple choice", "temporal grounding"] * 300
    right = ["4", "B", '{"time": [1, 3]}'] * 300
    given = [wrapped(a if i % 5 else "x") for i, a in enumerate(right)]
    out = score(given, right, types, ["video"] * 900)
    assert out.column_names == ["format", "accuracy", "structure", "reward", "components", "reason"]
    assert out["accuracy"].to_pylist() == [float(i % 5 > 0) for i in range(900)]


def test_processes_and_no_processes_say_the_same() -> None:
    columns = ([wrapped("4"), wrapped("5"), "4", None], ["4"] * 4, ["numerical"] * 4, ["image"] * 4)
    assert score(*columns, workers=0).equals(score(*columns))


def test_options_and_sources_are_used() -> None:
    out = score([wrapped("dog")], ["B"], ["multiple choice"], ["image"], options=[["A. cat", "B. dog"]])
    assert out["accuracy"].to_pylist() == [1.0]


def test_nothing_in_gives_an_empty_table() -> None:
    out = score([], [], [], [])
    assert isinstance(out, pa.Table)
    assert (out.num_rows, out.schema.names[:3]) == (0, ["format", "accuracy", "structure"])


def test_wrong_usage_is_told() -> None:
    with pytest.raises(UsageError, match="2 responses but 1 of ground_truth"):
        score(["a", "b"], ["a"], ["math", "math"], ["image", "image"])
    with pytest.raises(OneThinkerError, match="unknown problem_type 'maths'"):
        score(["a"], ["a"], ["maths"], ["image"])
    with pytest.raises(OneThinkerError, match="unknown profile 'lax'"):
        score(["a"], ["a"], ["math"], ["image"], profile="lax")


@pytest.mark.parametrize("profile", ["paper", "strict"])
@pytest.mark.parametrize(
    ("answer", "problem_type"),
    [
        ("9**9**9**9", "multiple choice"),
        ("999999!", "multiple choice"),
        ("$" + "9^{" * 8 + "9" + "}" * 8 + "$", "math"),
        ("9" * 300_000, "numerical"),
        ("(" * 5_000 + "1" + ")" * 5_000, "math"),
        ("[" * 200_000, "tracking"),
        ('{"a":' * 200_000, "segmentation"),
        (" " * 20_000 + "A", "multiple choice"),
        ("x " * 5_000_000, "OCR"),
        ("word " * 400_000, "open-ended"),
    ],
)
def test_a_pathological_answer_earns_no_more_than_a_wrong_one(answer: str, problem_type: str, profile: str) -> None:
    truth = {"tracking": '{"boxes": {"1": [1, 2, 3, 4]}}', "multiple choice": "A", "OCR": "a b", "open-ended": "a b"}
    responses = [wrapped(answer), wrapped("4")]
    out = score(responses, [truth.get(problem_type, "4")] * 2, [problem_type, "numerical"], ["image"] * 2, profile)
    assert out["accuracy"][0].as_py() in (0, None) or problem_type == "multiple choice", out["reason"][0]
    if profile == "strict":
        assert out["reward"][0].as_py() is None or out["reward"][0].as_py() <= 0.1 or out["accuracy"][0].as_py() == 1
        assert problem_type == "multiple choice" or out["reason"][0].as_py()  # there it is just another wrong text
