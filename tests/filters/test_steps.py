"""The steps of recipes: what each takes out, with small odd inputs, one per reason."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from corpus import Corpus
from corpus.response import wrap
from filters import near_duplicates
from filters.candidates import Candidates
from filters.recipe import parse
from filters.steps.balance import share_out
from filters.steps.contradiction import find_conclusion
from filters.steps.repetition import repeats

Add = Callable[..., str]


def taken(corpus: Corpus, step: str) -> dict[str, str]:
    """The sample ids (each test gives a sample one trace) that a step takes out, with the reason."""
    (only,) = parse(f"steps: [{step}]").steps
    with Candidates(corpus, profile="strict", seed=1) as candidates:
        candidates.drop(only.name, only.module.drops(candidates, only.options))
        rows = candidates.sql("select sample_id, reason from drops where step <> 'slice' order by 1").fetchall()
    return dict(rows)


def test_truncated(corpus: Corpus, sample: Add, trace: Add) -> None:
    trace(sample("fine"), reward=1)
    trace(sample("stopped"), reward=1, finish_reason="length")
    trace(sample("open"), reward=1, response="<think>a</think><answer>4")
    trace(sample("unsaid"), reward=1, finish_reason=None)
    assert taken(corpus, "truncated") == {"stopped": "truncated", "open": "truncated"}


def test_length(corpus: Corpus, sample: Add, trace: Add) -> None:
    trace(sample("short"), thinking="a" * 9, reward=1, output_tokens=5)
    trace(sample("least"), thinking="a" * 10, reward=1, output_tokens=50)
    trace(sample("most"), thinking="a" * 20, reward=1)
    trace(sample("long"), thinking="a" * 21, reward=1)
    trace(sample("none"), thinking=None, reward=1, output_tokens=1000)
    assert taken(corpus, "length: {min: 10, max: 20}") == {
        "short": "too_short",
        "long": "too_long",
        "none": "too_short",
    }
    assert taken(corpus, "length: {min: 10}").keys() == {"short", "none"}
    assert taken(corpus, "length: {min: 10, max: 900, tokens: true}") == {"short": "too_short", "none": "too_long"}


def test_pass_rate_counts_the_traces_that_other_steps_took(corpus: Corpus, sample: Add, trace: Add) -> None:
    for name, passes in (("never", 0), ("once", 1), ("often", 3), ("always", 4)):
        sample(name)
        for attempt in range(4):
            trace(name, accuracy=float(attempt < passes), attempt=attempt)
    trace(sample("single"), accuracy=0.0)
    recipe = parse("steps: [accuracy: {min: 0.5}, pass_rate: {min: 0.3, max: 0.8, traces: 2}]")
    with Candidates(corpus, profile="strict") as candidates:
        for step in recipe.steps:
            candidates.drop(step.name, step.module.drops(candidates, step.options))
        left = candidates.sql("select distinct sample_id from candidates").fetchall()
        why = candidates.sql("select distinct sample_id, reason from drops where step = 'pass_rate'").fetchall()
    assert left == [("often",)]
    assert sorted(why) == [("always", "too_easy"), ("once", "too_hard")]


LOOP = "The ball rolls to the left and then it stops. "


@pytest.mark.parametrize(
    ("text", "times", "expected"),
    [
        (LOOP * 6, 5, True),
        (LOOP * 3, 5, False),
        ("".join(f"At second {i} the ball is at [{i * 37 % 91}, {i * 53 % 97}]. " for i in range(40)), 5, False),
        (
            "小球先向左滚动，然后停下来，再向右滚动，直到撞上墙壁为止，接着又弹了回来，最后静止不动了，如此而已。" * 6,
            5,
            True,
        ),
        ("a" * 500, 5, True),
        ("Once it\nrolls   far away to the other side of the room,\n" * 6, 5, True),
        ("", 5, False),
    ],
)
def test_repeats(text: str, times: int, expected: bool) -> None:
    assert repeats(text, times, 40) is expected


def test_repetition(corpus: Corpus, sample: Add, trace: Add) -> None:
    trace(sample("fine"), thinking="The ball rolls left, then right; it passes the box and stops.", reward=1)
    trace(sample("loop"), thinking=LOOP * 9, reward=1)
    trace(sample("broken"), thinking="The b\ufffd\ufffdll r\ufffdlls", reward=1)
    trace(sample("none"), thinking=None, reward=1)
    assert taken(corpus, "repetition") == {"loop": "repeated_text", "broken": "garbled_text"}


CHINESE = "首先观察图像，然后数一数红色的方块，一共有四个。"


@pytest.mark.parametrize(
    ("problem", "thinking", "dropped"),
    [
        ("How many are there?", "First I look, then I count four.", False),
        ("How many are there?", CHINESE, True),
        ("How many are there?", "First I look at it. " + CHINESE * 3, True),
        ("How many read 出口?", "The sign reads 出口, and there are four of them in all.", False),
        ("有多少个？", CHINESE, False),
        ("<image>有多少个？", "First I look, then I count four of them.", True),
        ("Сколько их?", "Всего четыре.", False),
        ("Find α + β.", "Since α = 2 and β = 2, the sum is 4.", False),
        ("<image>12 + 3 = ?", CHINESE, False),
    ],
)
def test_language(corpus: Corpus, sample: Add, trace: Add, problem: str, thinking: str, dropped: bool) -> None:
    trace(sample("a", problem=problem), thinking=thinking, reward=1)
    assert taken(corpus, "language") == ({"a": "language_switch"} if dropped else {})


LONG = " The picture shows a table. On it stand a red cube, a blue cube and a green ball, counted one by one." * 3


@pytest.mark.parametrize(
    ("thinking", "response", "reason"),
    [
        ("There are two and two." + LONG + " So the answer is 4.", None, None),
        ("The answer is 4." + LONG, None, "answer_before_reasoning"),
        ("The correct answer is (4), let me see why." + LONG, None, "answer_before_reasoning"),
        ("The answer is 42 or so, at first sight." + LONG, None, None),
        (LONG + " The ground truth says 4.", None, "refers_to_given_answer"),
        (LONG + " As the reference answer is 4, it must be so.", None, "refers_to_given_answer"),
        (LONG + " I must find the correct answer among these.", None, None),
        (LONG, "The answer is 4. <think>" + LONG + "</think><answer>4</answer>", "answer_before_reasoning"),
    ],
)
def test_leak(corpus: Corpus, sample: Add, trace: Add, thinking: str, response: str | None, reason: str | None) -> None:
    trace(sample("a"), thinking=thinking, reward=1, response=response or wrap(thinking, "4"))
    assert taken(corpus, "leak") == ({"a": reason} if reason else {})


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        ("Let me see. The answer is 5, since two and three make five.", "5"),
        ("The answer is 4. No, wait: the answer is 5.", "5"),
        ("Therefore \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"),
        ("So the final answer is $\\boxed{7}$ metres", "7"),
        ("The answer: (B) because the cat is black", "(B)"),
        ('I conclude that the answer is {"time": [2, 5.5]}.', '{"time": [2, 5.5]}'),
        ("There are five of them.", None),
        ("The answer is", None),
    ],
)
def test_conclusion(thinking: str, expected: str | None) -> None:
    assert find_conclusion(thinking) == expected


@pytest.mark.parametrize(
    ("problem_type", "thinking", "answer", "dropped"),
    [
        ("numerical", "Two and three: the answer is 5.", "4", True),
        ("numerical", "Two and two: the answer is 4.", "4.00", False),
        ("numerical", "The answer is 5. No: the answer is 4.", "4", False),
        ("numerical", "The answer is hard to see.", "4", False),
        ("multiple choice", "The cat is black, so the answer is (B).", "C", True),
        ("multiple choice", "The cat is black, so the answer is B. cat", "B", False),
        ("temporal grounding", 'The answer is {"time": [2, 5]}', '{"time": [20, 25]}', True),
        ("temporal grounding", 'The answer is {"time": [2, 5]}', '{"time": [2, 5.5]}', False),
        ("open-ended", "The answer is a dog.", "A cat.", False),
        ("math", "Hence \\boxed{\\frac{2}{4}}", "$\\frac{1}{2}$", False),
    ],
)
def test_contradiction(
    corpus: Corpus, sample: Add, trace: Add, problem_type: str, thinking: str, answer: str, dropped: bool
) -> None:
    trace(sample("a", problem_type=problem_type), answer=answer, thinking=thinking, reward=1)
    assert taken(corpus, "contradiction") == ({"a": "contradicts_answer"} if dropped else {})


def medium(sha256: str, kind: str = "image") -> list[dict[str, Any]]:
    return [{"kind": kind, "sha256": sha256, "width": 8, "height": 8}]


def test_near_duplicate_problems(corpus: Corpus, sample: Add, trace: Add) -> None:
    asked = "<image>How many red cubes stand on the wooden table to the left?"
    for name, problem, sha256 in [
        ("one", asked, "m1"),
        ("two", asked.replace("<image>", "<image> ").upper(), "m1"),
        ("three", asked.replace("wooden", "wood"), "m1"),
        ("other", "<image>What colour is the ball behind the sofa?", "m1"),
        ("elsewhere", asked, "m2"),
    ]:
        trace(sample(name, problem=problem, media=medium(sha256)), reward=1)
    same = taken(corpus, "near_duplicate_problems: {threshold: 0.7}")
    assert set(same.values()) == {"near_duplicate_problem"}
    assert len(same) == 2
    assert same.keys() < {"one", "two", "three"}
    assert taken(corpus, "near_duplicate_problems: {threshold: 1.0}").keys() < {"one", "two"}
    anywhere = taken(corpus, "near_duplicate_problems: {threshold: 0.7, media: any}")
    assert len(anywhere) == 3
    assert "other" not in anywhere


def test_near_duplicate_media(corpus: Corpus, sample: Add, trace: Add, tmp_path: Path) -> None:
    def picture(name: str, shift: int, **save: Any) -> list[dict[str, Any]]:
        image = Image.new("RGB", (160, 120), "white")
        pen = ImageDraw.Draw(image)
        for i in range(6):
            x, y = (shift * i * 37) % 130, (shift * i * 53) % 90
            pen.ellipse([x, y, x + 30, y + 30], fill=(40 * i, 10, 200 - 30 * i))
        path = tmp_path / name
        image.save(path, **save)
        return [corpus.media.add(path).row()]

    original = picture("a.png", 1)
    trace(sample("a", media=original), reward=1)
    trace(sample("same file", media=original, problem="<image>Another?"), reward=1)
    trace(sample("squeezed", media=picture("a.jpg", 1, quality=60)), reward=1)
    trace(sample("different", media=picture("b.png", 3)), reward=1)
    trace(sample("none", media=[]), reward=1)
    going = taken(corpus, "near_duplicate_media")
    assert going.keys() in ({"squeezed"}, {"a", "same file"})
    assert set(going.values()) == {"near_duplicate_media"}
    (corpus.root / "media").rename(tmp_path / "gone")
    assert taken(corpus, "near_duplicate_media") == going, "hashes are kept"


@pytest.mark.parametrize(
    ("there", "rows", "shares", "expected"),
    [
        ({"a": 10, "b": 10}, 10, {}, {"a": 5, "b": 5}),
        ({"a": 2, "b": 100, "c": 100}, 30, {}, {"a": 2, "b": 14, "c": 14}),
        ({"a": 100, "b": 100}, 40, {"a": 3}, {"a": 30, "b": 10}),
        ({"a": 100, "b": 100}, 41, {}, {"a": 21, "b": 20}),
        ({"a": 3, "b": 4}, 100, {}, {"a": 3, "b": 4}),
        ({"a": 100, None: 1}, 10, {}, {"a": 9, None: 1}),
        ({"a": 100, "b": 5}, 10, {"a": 0}, {"b": 5, "a": 0}),
        ({}, 10, {}, {}),
    ],
)
def test_shared_out(there: dict[Any, int], rows: int, shares: dict[str, float], expected: dict[Any, int]) -> None:
    assert share_out(there, rows, shares) == expected


def test_balance(corpus: Corpus, sample: Add, trace: Add) -> None:
    for i in range(12):
        trace(sample(f"i{i:02}", data_type="image"), reward=1)
    for i in range(3):
        trace(sample(f"v{i}", data_type="video"), reward=1)
    going = taken(corpus, "balance: {by: data_type, rows: 10}")
    assert len(going) == 5
    assert set(going.values()) == {"over_balance"}
    assert not [name for name in going if name.startswith("v")]


def test_sound(corpus: Corpus, sample: Add, trace: Add) -> None:
    said = {
        "held": ["sound", "Sound", 2],
        "fell": ["sound", 1, 3],
        "unread": [],
        "unclear": ["perhaps"],
        "by_another": [1],
    }
    for name, words in said.items():
        about = trace(sample(name), reward=1)
        for i, word in enumerate(words):
            teacher = "j:two" if name == "by_another" else "j:one"
            reply = json.dumps({"reasoning": word})
            trace(name, reply, attempt=i, mode="judge", teacher=teacher, params=json.dumps({"about": about}))
    expected = {"fell": "reasoning_unsound", "unread": "not_judged", "unclear": "not_judged"}
    assert taken(corpus, "sound") == expected | {"by_another": "reasoning_unsound"}
    assert taken(corpus, "sound: {by: 'j:one'}") == expected | {"by_another": "not_judged"}
    assert taken(corpus, "sound: {unjudged: keep, share: 0.3}") == {"by_another": "reasoning_unsound"}


@pytest.mark.parametrize("few", [0, 64])
def test_near_texts_finds_the_same_by_minhash_and_by_comparing_all(monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    monkeypatch.setattr(near_duplicates, "PAIRWISE_TEXTS", few)
    chance = random.Random(3)
    words = [
        "what",
        "which",
        "how",
        "many",
        "red",
        "blue",
        "cube",
        "ball",
        "left",
        "right",
        "of",
        "table",
        "person",
        "holds",
        "walks",
        "stops",
        "before",
        "after",
    ]
    texts, groups, expected = [], [], []
    for i in range(300):
        if i % 3 == 2:  # a word changed at the end of an earlier text, in its group or in another
            texts.append(texts[i - 2] + " now")
            groups.append(groups[i - 2] if i % 2 else "elsewhere")
            expected.append(i - 2 if i % 2 else None)
        else:
            texts.append(" ".join(chance.choices(words, k=25)) + f" {i}")
            groups.append("g" + str(i % 4))
            expected.append(None)
    assert near_duplicates.find_near_texts(texts, groups, 0.85) == expected
