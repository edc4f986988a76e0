"""One test over all tasks: gold earns full marks, examples score as written, prompts ask, answers draw themselves."""

import json
import math
import re

import pytest
from PIL import Image, ImageChops

from corpus.canvas import Canvas
from corpus.errors import OneThinkerError
from corpus.response import split
from corpus.scores import Unparsed
from corpus.task import Task, format_answer
from corpus.tasks import task, tasks

FAMILIES = {
    "image QA",
    "video QA",
    "image captioning",
    "video captioning",
    "spatial grounding",
    "temporal grounding",
    "spatio-temporal grounding",
    "tracking",
    "image segmentation",
    "video segmentation",
}
PROBLEM_TYPES = [
    "OCR",
    "math",
    "multiple choice",
    "numerical",
    "open-ended",
    "regression",
    "segmentation",
    "spatial grounding",
    "spatial-temporal grounding",
    "temporal grounding",
    "tracking",
]

every_task = pytest.mark.parametrize("one", tasks().values(), ids=lambda one: one.name)


def test_tasks_are_the_problem_types_of_the_released_corpus():
    assert list(tasks()) == PROBLEM_TYPES


def test_unknown_task_lists_near_names():
    with pytest.raises(
        OneThinkerError, match="unknown problem_type 'temporal groundng'; did you mean 'temporal grounding'"
    ):
        task("temporal groundng")
    with pytest.raises(OneThinkerError, match="unknown problem_type 'ocr'"):
        task("ocr")  # names are compared case and all


@every_task
def test_gold_earns_full_marks(one: Task):
    for example in one.examples:
        given = {"data_type": example.data_type, "options": example.options}
        assert one.reward(example.truth, example.truth, **given) == pytest.approx(1, abs=1e-12)


@every_task
def test_examples_score_as_written_and_within_range(one: Task):
    assert len(one.examples) >= 2
    for example in one.examples:
        given = {"data_type": example.data_type, "options": example.options}
        assert one.reward(example.answer, example.truth, **given) == pytest.approx(example.reward, abs=1e-12)
        assert 0 <= one.reward(example.answer, example.truth, profile="paper", **given) <= 1


@every_task
def test_prompt_holds_the_question_the_format_and_an_example_that_parses(one: Task):
    for data_type in ("image", "video"):
        sample = {"problem": "<image>\nWhat is it?", "options": ["A. a cat", "B. a dog"], "data_type": data_type}
        prompt = one.prompt(sample)
        assert prompt.startswith("<image>\nWhat is it?\n\nOptions:\nA. a cat\nB. a dog\n\n")
        assert "{question}" in one.template_for(data_type)
        assert "{question}" not in prompt
        assert "{example}" not in prompt
        assert "{time}" not in prompt
        shown = split(re.findall(r"<think>.*</answer>", prompt)[-1])
        assert shown.well_formed
        assert one.parse(shown.answer, data_type) is not None


def test_a_question_without_options_has_no_options_line():
    assert "Options" not in task("numerical").prompt({"problem": "How many?", "options": [], "data_type": "image"})


def test_the_families_of_all_tasks_are_the_ten():
    assert {name for one in tasks().values() for name in one.families} == FAMILIES


@every_task
def test_a_sample_belongs_to_a_family_that_its_task_declares(one: Task):
    for data_type in ("image", "video", "video-image"):
        for problem in ("What is it?", "Describe it."):
            assert one.family({"problem": problem, "data_type": data_type}) in one.families


def test_a_task_that_declares_no_family_is_refused():
    class Plain(type(task("OCR"))):
        families = ()

    with pytest.raises(TypeError, match="the task Plain declares no `families`"):
        Plain()


def test_families_tell_captions_and_modalities_apart():
    def family(name: str, problem: str, data_type: str) -> str:
        return task(name).family({"problem": problem, "data_type": data_type})

    assert family("open-ended", "Describe the video in detail.", "video") == "video captioning"
    assert family("open-ended", "Write a caption for it.", "image") == "image captioning"
    assert family("open-ended", "Why is he running?", "image") == "image QA"
    assert family("multiple choice", "Which?", "video-image") == "video QA"
    assert family("segmentation", "Segment the dog.", "video") == "video segmentation"
    assert family("segmentation", "Segment the dog.", "image") == "image segmentation"
    assert family("spatial-temporal grounding", "Who?", "video") == "spatio-temporal grounding"


@every_task
def test_an_answer_survives_being_written_and_read(one: Task):
    for example in one.examples:
        if example.reward == 1:
            text = format_answer(example.answer)
            answer = one.parse(text, example.data_type)
            again = one.parse(format_answer(answer), example.data_type) if text.startswith("{") else answer
            assert again == answer


@every_task
def test_unreadable_answers_name_a_stable_reason(one: Task):
    with pytest.raises(Unparsed) as caught:
        one.parse("", "image")
    assert re.fullmatch(r"[a-z_]+", caught.value.reason)
    with pytest.raises(Unparsed, match="answer_too_long"):
        one.parse("9" * 30_000, "image")


@every_task
def test_an_unreadable_truth_is_not_a_zero(one: Task):
    assert math.isnan(one.reward("A", ""))


@every_task
def test_answers_draw_themselves(one: Task):
    for example in one.examples[:1]:
        canvas = Canvas(Image.new("RGB", (320, 240)), duration_s=10, time_s=2)
        before = canvas.image.copy()
        canvas.ink = "truth"
        one.draw(canvas, one.parse(format_answer(example.truth), example.data_type))
        changed = ImageChops.difference(before, canvas.image)
        assert changed.getbbox() is not None


def test_answer_and_truth_have_colours_of_their_own():
    canvas = Canvas(Image.new("RGB", (100, 100)))
    canvas.box([100, 100, 900, 900])
    canvas.ink = "truth"
    canvas.box([200, 200, 800, 800])
    assert canvas.image.getpixel((10, 50)) == (255, 122, 0)
    assert canvas.image.getpixel((20, 50)) == (0, 170, 90)


def test_json_answers_may_be_given_as_models_dicts_or_text():
    one = task("temporal grounding")
    truth = {"time": [4, 8]}
    for answer in ({"time": [2, 6]}, json.dumps({"time": [2, 6]}), one.parse('{"time": [2, 6]}')):
        assert one.reward(answer, truth, data_type="video") == pytest.approx(1 / 3)
