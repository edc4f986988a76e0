"""Every known hole of the released reward, what it pays for it, and what `strict` pays.

Each line is an answer and its `paper` and `strict` rewards side by side (at most 1.5 and 1.0), with the reason word of
`strict`. A right answer that the released reward misses is a hole as well.
"""

import json
import math

import numpy as np
import pytest
from pycocotools import mask as coco

from corpus.answers.numbers import read_number
from corpus.errors import OneThinkerError
from corpus.response import split, split_released
from corpus.scores import Unparsed
from corpus.scoring import score, table_of
from corpus.tasks import task

BOX = [100, 100, 300, 300]
OPTIONS = ["A. the cat", "B. the dog", "C. a bird"]
TEN = {"time": [1, 10], "boxes": {str(k): BOX for k in range(1, 11)}}
TRACK = {"boxes": {str(k): BOX for k in range(1, 5)}}
SEG = {"boxes": BOX, "positive_points": [[150, 150], [200, 200], [250, 250]]}
SEG["negative_points"] = [[50, 50], [350, 200], [200, 350]]
CLIP = {**SEG, "time": 4.0}
TIMED = "temporal grounding"
PLACED = "spatial grounding"
TUBE = "spatial-temporal grounding"
CHOICE = "multiple choice"


def hole(name, problem_type, answer, truth, paper, strict, reason=None, **more):
    """One test case; `paper` None: too slow to run, or not to be had."""
    text = answer if isinstance(answer, str) else json.dumps(answer)
    body = truth if isinstance(truth, str) else json.dumps(truth)
    given = {"response": f"<think>Let me look.</think><answer>{text}</answer>", "ground_truth": body}
    return pytest.param({**given, "problem_type": problem_type, **more}, paper, strict, reason, id=name)


HOLES = [
    # what any well-formed wrong answer earns
    hole("zero box", PLACED, {"boxes": [0, 0, 0, 0]}, {"boxes": BOX}, 0.6, 0.1, "box_swapped_or_empty"),
    hole("zero span", TIMED, {"time": [0, 0]}, {"time": [4, 8]}, 0.6, 0.1, "time_swapped_or_empty"),
    hole("wrong letter", CHOICE, "B", "A", 0.6, 0.1, options=OPTIONS),
    hole("nothing in the tags", CHOICE, "", "A", 0.6, 0, "empty_answer", options=OPTIONS),
    hole("no tags at all", CHOICE, "", "A", 0.9, 0, "no_answer_block", options=OPTIONS, response="A"),
    # what is graded
    hole(
        "thinking graded",
        "math",
        "",
        "5",
        1.5,
        0,
        "empty_answer",
        response="<think>3, 4, 7, 5</think><answer></answer>",
    ),
    hole(
        *("draft in the thinking", "numerical", "", "5", 1.5, 0.1),
        response="<think>maybe <answer>5</answer></think><answer>9</answer>",
    ),
    hole(
        *("several answers", "numerical", "", "5", 1.5, 0, "several_answers"),
        response="<think>t</think><answer>5</answer><answer>9</answer>",
    ),
    hole("slash in the text", "OCR", "a / b < c", "a / b < c", 0.6, 1),
    hole("code fence", PLACED, f'```json\n{{"boxes": {BOX}}}\n```', {"boxes": BOX}, 0.1, 0.1, "code_fence"),
    # what counts as a number
    hole(
        "booleans", PLACED, '{"boxes": [false, false, true, true]}', {"boxes": [0, 0, 1, 1]}, 1.5, 0.1, "not_a_number"
    ),
    hole("strings", TIMED, {"time": ["4", "8"]}, {"time": [4, 8]}, 1.5, 0.1, "not_a_number"),
    hole("NaN time", "segmentation", {**CLIP, "time": math.nan}, CLIP, math.nan, 0.1, "not_finite", data_type="video"),
    hole(
        *("point at 1e200", "segmentation", {**SEG, "positive_points": [[1e200, 0]] * 3}, SEG, 0.6, 0.1),
        "point_outside_image",
    ),
    hole("a key twice", TIMED, '{"time": [0, 1], "time": [4, 8]}', {"time": [4, 8]}, 1.5, 0.1, "duplicate_key"),
    # grounding and tracking
    hole(
        "one lucky frame", TUBE, {"time": [1, 10], "boxes": {"5": BOX}}, TEN, 1.275, 0.9 * 0.55 + 0.1, data_type="video"
    ),
    hole(
        *("sixty zero boxes", TUBE, {"time": [0, 0], "boxes": {str(k): [0] * 4 for k in range(60)}}, TEN, 0.6, 0.1),
        "time_swapped_or_empty",
    ),
    hole("null boxes", "tracking", {"boxes": {str(k): None for k in range(1, 5)}}, TRACK, 0.35, 0.1, "not_a_list"),
    hole(
        "whole-image boxes",
        "tracking",
        {"boxes": {str(k): [0, 0, 1000, 1000] for k in range(1, 5)}},
        TRACK,
        0.636,
        0.1,
    ),
    hole("only the given frame", "tracking", {"boxes": {"1": BOX}}, TRACK, 0.225 + 0.1 + 0.25 + 0.0625, 0.1),
    hole(
        *("right time alone", "segmentation"),
        {**CLIP, "boxes": [900, 900, 999, 999], "positive_points": [[999, 999]] * 3, "negative_points": [[999, 0]] * 3},
        *(CLIP, 0.87, 0.1),
        data_type="video",
    ),
    hole("video-image", "segmentation", CLIP, CLIP, 0.1, 1, data_type="video-image"),
    # multiple choice
    hole("algebra", CHOICE, "2A-A", "A", 1.5, 0.1, "not_an_option", options=OPTIONS),
    hole("unit behind the letter", CHOICE, "A cm", "A", 1.5, 0.1, "not_an_option", options=OPTIONS),
    hole("percent behind the letter", CHOICE, "A%", "A", 1.5, 0.1, "not_an_option", options=OPTIONS),
    hole("letter and full stop", CHOICE, "A.", "A", 0.6, 1, options=OPTIONS),
    hole("letter and text", CHOICE, "A. the cat", "A", 0.6, 1, options=OPTIONS),
    hole("letter and another's text", CHOICE, "A. the dog", "A", 0.6, 0.1, "letter_and_text_disagree", options=OPTIONS),
    hole("own text", CHOICE, "The cat", "A", 0.6, 1, options=OPTIONS),
    hole("all letters", CHOICE, "A, B, C", "A", 0.6, 0.1, options=OPTIONS),
    hole("power tower", CHOICE, "9**9**9**9", "A", None, 0.1, "not_an_option", options=OPTIONS),
    hole("factorial", CHOICE, "999999!", "A", None, 0.1, "not_an_option", options=OPTIONS),
    hole("blanks", CHOICE, "x" + " " * 20_000 + "x", "A", None, 0.1, "answer_too_long", options=OPTIONS),
    # math
    hole("no dollars", "math", "\\sqrt{2}", "\\sqrt{2}", 0.6, 1),
    hole("a tuple", "math", "(1,2)", "(1,2)", 0.6, 1),
    hole("part of a product", "math", "2", "2\\sqrt{3}", 1.5, 0.1),
    hole("other unit", "math", "10 cm", "10 m", 1.5, 0.1, "unit_differs"),
    hole("list of guesses", "math", "1, 2, 3, 4, 5", "5", 1.5, 0.1, "other_number_of_parts"),
    hole("power tower in LaTeX", "math", "$9^{9^{9^{9}}}$", "5", None, 0.1, "too_complex"),
    # numbers
    hole("too coarse for small ones", "numerical", "0.004", "0.001", 1.5, 0.1),
    hole("percent", "numerical", "40%", "0.4", 0.6, 1),
    hole("unit", "numerical", "12 cm", "12", 0.6, 1),
    hole("fraction", "numerical", "3/4", "0.75", 0.6, 1),
    hole("mixed fraction", "numerical", "2 1/2", "2.5", 0.6, 1),
    hole("rounding of 32-bit floats", "regression", "9", "10", 0.9 * 0.9 + 0.6, 0.9 * 0.8 + 0.1),
    hole("nearly nothing for nothing", "regression", "0.001", "0", 0.6, 1),
    # text
    hole("one wrong character", "OCR", "今天天气很好", "今天天汽很好", 0.6, 0.9 * 5 / 6 + 0.1),
    hole("one word", "open-ended", "Paris", "Paris", 1.2, 1),
    hole("Chinese", "open-ended", "一只红色的猫", "一只红色的猫", 0.6, 1),
    hole(
        "negated", "open-ended", "The man is not riding a brown horse.", "The man is riding a brown horse.", 1.391, 0.1
    ),
]


def both(given: dict) -> dict[str, dict]:
    row = {"data_type": "image", **given}
    return {name: score(table_of([row]), name).to_pylist()[0] for name in ("paper", "strict")}


@pytest.mark.parametrize(("given", "paper", "strict", "reason"), HOLES)
def test_hole(given: dict, paper: float | None, strict: float, reason: str | None):
    row = {"data_type": "image", **given}
    if paper is not None:
        assert score(table_of([row]), "paper")["reward"][0].as_py() == pytest.approx(paper, abs=5e-3, nan_ok=True)
    found = score(table_of([row]), "strict").to_pylist()[0]
    assert found["reward"] == pytest.approx(strict, abs=1e-3)
    assert found["reason"] == reason


def test_unknown_type_earns_under_paper_and_raises_under_strict():
    row = {"response": "<think>t</think><answer>x</answer>", "ground_truth": "y", "problem_type": "free-form"}
    assert score(table_of([row]), "paper")["reward"].to_pylist() == [0.6]
    with pytest.raises(OneThinkerError, match="unknown problem_type"):
        score(table_of([row]), "strict")


# ---- masks --------------------------------------------------------------------------------------------------------


def square(x1: int, y1: int, x2: int, y2: int) -> dict:
    """A 200 × 100 picture's mask of one rectangle, as COCO RLE."""
    pixels = np.zeros((100, 200), dtype=np.uint8, order="F")
    pixels[y1:y2, x1:x2] = 1
    rle = coco.encode(pixels)
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def scored(answer: dict, masks: dict, data_type: str = "image") -> dict:
    row = {"response": f"<think>t</think><answer>{json.dumps(answer)}</answer>", "problem_type": "segmentation"}
    truth = {**SEG, "time": 0.5} if data_type == "video" else SEG
    row |= {"ground_truth": json.dumps(truth), "data_type": data_type, "truth": json.dumps({"masks": masks})}
    found = score(table_of([row])).to_pylist()[0]
    return {**found, **dict(found["components"])}


IMAGE = {"rle": square(50, 20, 100, 60)}  # 250–500 by 200–600 in 1000ths
ON, OFF = [[300, 300], [400, 400], [450, 500]], [[100, 100], [600, 400], [400, 800]]
GOOD = {"boxes": [250, 200, 500, 600], "positive_points": ON, "negative_points": OFF}


def test_the_mask_judges_where_there_is_one():
    found = scored(GOOD, IMAGE)
    assert found["reward"] == pytest.approx(1)
    assert (found["iou"], found["positive"], found["negative"], found["judged_by_mask"]) == (1, 1, 1, 1)


def test_negative_points_on_the_object_and_positive_ones_beside_it_lose():
    assert scored({**GOOD, "negative_points": [[375, 400]] * 3}, IMAGE)["negative"] < 0.1
    assert scored({**GOOD, "positive_points": [[900, 900]] * 3}, IMAGE)["positive"] < 0.001
    near = scored({**GOOD, "positive_points": [[245, 400]] * 3}, IMAGE)["positive"]
    assert 0.95 < near < 1  # a pixel off the edge


def test_points_are_free_to_lie_anywhere_on_the_mask():
    elsewhere = {**GOOD, "positive_points": [[260, 210], [490, 590], [260, 590]]}
    assert scored(elsewhere, IMAGE)["reward"] == pytest.approx(1)
    assert both({**row_of(elsewhere), "problem_type": "segmentation"})["strict"]["accuracy"] < 1


def row_of(answer: dict) -> dict:
    return {"response": f"<think>t</think><answer>{json.dumps(answer)}</answer>", "ground_truth": json.dumps(GOOD)}


def test_the_answered_second_chooses_the_mask_of_a_video():
    moving = {"fps": 2, "frames": {str(k).zfill(5): square(10 * k, 20, 10 * k + 50, 60) for k in range(4)}}
    for k in range(4):
        box = [50 * k, 200, 50 * k + 250, 600]
        points = [[50 * k + 100, 300], [50 * k + 120, 400], [50 * k + 140, 500]]
        answer = {"time": k / 2, "boxes": box, "positive_points": points, "negative_points": [[900, 900]] * 3}
        assert scored(answer, moving, "video")["reward"] == pytest.approx(1)
        if k:
            assert scored({**answer, "time": 0}, moving, "video")["reward"] < 0.95


def test_a_second_without_the_object_earns_nothing():
    frames = {"fps": 1, "frames": {"00000": square(50, 20, 100, 60), "00001": square(0, 0, 0, 0)}}
    assert scored({**GOOD, "time": 0}, frames, "video")["accuracy"] == 1
    assert scored({**GOOD, "time": 1}, frames, "video")["accuracy"] == 0
    assert scored({**GOOD, "time": 99}, frames, "video")["accuracy"] == 0


def test_malformed_masks_leave_a_row_unscored():
    for masks in ({"fps": 0, "frames": {"a": 1}}, {"frames": []}, [], {"rle": {}}, {"rle": {"size": [1], "counts": 3}}):
        found = scored(GOOD, masks)
        assert (found["accuracy"], found["reward"], found["reason"]) == (None, None, "truth_unreadable")


# ---- reading ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("42", 42, ""),
        ("-3.5", -3.5, ""),
        ("−3.5", -3.5, ""),
        (".5", 0.5, ""),
        ("1,234,567.8", 1234567.8, ""),
        ("1 234", 1234, ""),
        ("12,5", 12.5, ""),
        ("1.5e3", 1500, ""),
        ("3 × 10^4", 30000, ""),
        ("7/2", 3.5, ""),
        ("3 1/2", 3.5, ""),
        ("-3 1/2", -3.5, ""),
        ("2½", 2.5, ""),
        ("\\frac{3}{4}", 0.75, ""),
        ("$1\\frac{1}{2}$", 1.5, ""),
        ("\\boxed{12}", 12, ""),
        ("40%", 40, "%"),
        ("40 percent", 40, "%"),
        ("$25", 25, "$"),
        ("25 dollars", 25, "$"),
        ("12 cm", 12, "cm"),
        ("12 centimeters", 12, "cm"),
        ("5 m^2", 5, "m2"),
        ("5 m²", 5, "m2"),
        ("30°", 30, "°"),
        ("30^\\circ", 30, "°"),
        ("60 km/h", 60, "km/h"),
        ("3 apples", 3, "apple"),
        ("2 million", 2e6, ""),
        ("5.", 5, ""),
    ],
)
def test_numbers_as_people_write_them(text: str, value: float, unit: str):
    found = read_number(text)
    assert (found.value, found.unit) == (pytest.approx(value), unit)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not_a_number"),
        (".", "not_a_number"),
        ("five", "not_a_number"),
        ("5 or 6", "not_a_number"),
        ("5 and 6", "not_a_number"),
        ("5, 6", "not_a_number"),
        ("the answer is 5", "not_a_number"),
        ("1_000", "not_a_number"),
        ("1,00,0", "not_a_number"),
        ("nan", "not_a_number"),
        ("inf", "not_a_number"),
        ("True", "not_a_number"),
        ("0x10", "not_a_number"),
        ("1e999", "not_finite"),
        ("1/0", "not_finite"),
        ("9" * 101, "answer_too_long"),
        ("(" * 90, "not_a_number"),
    ],
)
def test_what_is_no_number(text: str, reason: str):
    with pytest.raises(Unparsed, match=rf"^{reason}$"):
        read_number(text)


@pytest.mark.parametrize(
    ("text", "answer", "well_formed", "reason"),
    [
        ("<think>a</think><answer>b</answer>", "b", True, None),
        ("  <think>a</think>\n\n<answer> b </answer>\n", "b", True, None),
        ("<answer>b</answer>", "b", False, None),
        ("a</think><answer>b</answer>", "b", False, None),
        ("<think>a</think>so<answer>b</answer>", "b", False, None),
        ("<think>a<think>a</think><answer>b</answer>", "b", False, None),
        ("<think>a</think>a</think><answer>b</answer>", "b", False, None),
        ("<think>x <answer>a</answer> y</think><answer>b</answer>", "b", True, None),
        ("<think>a</think><answer>b", None, False, "answer_not_closed"),
        ("<think>a</think>b", None, False, "no_answer_block"),
        ("<think>a</think><answer>b</answer>.", None, False, "text_after_answer"),
        ("<think>a</think><answer>b</answer><answer>c</answer>", None, False, "several_answers"),
        ("<think>a</think><answer><answer>c</answer>", None, False, "several_answers"),
        ("<think>a</think><answer>x<think>c</answer>", None, False, "tags_in_answer"),
        ("<think>a</think><answer> </answer>", None, False, "empty_answer"),
        ("<THINK>a</THINK><ANSWER>b</ANSWER>", None, False, "no_answer_block"),
        ("< think >a</ think >< answer >b</ answer >", None, False, "no_answer_block"),
        ("", None, False, "no_response"),
        (" \n", None, False, "no_response"),
        (None, None, False, "no_response"),
    ],
)
def test_responses_taken_apart(text: str | None, answer: str | None, well_formed: bool, reason: str | None):
    found = split(text)
    assert (found.answer, found.well_formed, found.reason) == (answer, well_formed, reason)


def test_the_released_reading_keeps_its_oddities():
    assert split_released("< think >a</ think >< answer > b / c </ answer >") == (1, "b/c")
    assert split_released("<think>a</think><answer></answer>") == (1, "<think>a</think><answer></answer>")
    assert split_released("b") == (0, "b")


def test_every_read_json_task_refuses_what_is_out_of_range():
    place = task(PLACED)
    for boxes, reason in [
        ([0, 0, 100, 1001], "box_outside_image"),
        ([-1, 0, 100, 100], "box_outside_image"),
        ([100, 0, 50, 100], "box_swapped_or_empty"),
        ([0, 0, 100], "wrong_length"),
        ([0, 0, 100, None], "not_a_number"),
        ([[0, 0, 9, 9], [0, 0, 8, 8]], "wrong_length"),
        ("0,0,1,1", "not_a_list"),
    ]:
        with pytest.raises(Unparsed, match=rf"^{reason}$"):
            place.parse(json.dumps({"boxes": boxes}))
    for text, reason in [
        ('{"boxes": [0, 0, 1e999, 9]}', "not_finite"),
        ('{"boxes": [0, 0, Infinity, 9]}', "not_finite"),
        ('{"boxes": [0, 0, 9, 9], "label": 1}', "unexpected_key"),
        ('{"box": [0, 0, 9, 9]}', "missing_key"),
        ("[0, 0, 9, 9]", "not_an_object"),
        ("{'boxes': [0, 0, 9, 9]}", "not_json"),
        ("[" * 20_000, "not_json"),
        ("[" * 20_001, "answer_too_long"),
    ]:
        with pytest.raises(Unparsed, match=rf"^{reason}$"):
            place.parse(text)
    for key in ("0", "01", "1.0", " 1", "1 ", "-1", "a", "", "²", "1" * 9):
        with pytest.raises(Unparsed, match=r"^bad_frame_key$"):
            task("tracking").parse(json.dumps({"boxes": {key: BOX}}))
