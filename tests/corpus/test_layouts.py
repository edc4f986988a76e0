"""Answers read together are read as each would be alone: the same numbers, the same scores, the same reasons."""

import json
import random
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from corpus.answers.layouts import BOX, SPAN, LayoutReader
from corpus.scores import Unparsed
from corpus.scoring import score, table_of
from corpus.tasks import task

TYPES = [
    ("temporal grounding", "video"),
    ("spatial grounding", "image"),
    ("spatial-temporal grounding", "video"),
    ("tracking", "video"),
    ("segmentation", "image"),
    ("segmentation", "video"),
]
every_type = pytest.mark.parametrize(("name", "data_type"), TYPES)

number = st.one_of(
    st.integers(0, 12), st.integers(0, 1001), st.floats(0, 1001).map(lambda x: round(x, 2)), st.floats(0, 1e7)
)


@st.composite
def ascending(draw):
    low, high = sorted((draw(number), draw(number)))
    return [low, high if draw(st.booleans()) else low + 1]


@st.composite
def box(draw):
    (x1, x2), (y1, y2) = draw(ascending()), draw(ascending())
    return [x1, y1, x2, y2]


boxes = st.dictionaries(st.integers(0, 12).map(str), box(), min_size=1, max_size=4)
three = st.lists(st.lists(number, min_size=2, max_size=2), min_size=3, max_size=3)
prompt = {"boxes": box(), "positive_points": three, "negative_points": three}
ANSWERS = {
    ("temporal grounding", "video"): st.fixed_dictionaries({"time": ascending()}),
    ("spatial grounding", "image"): st.fixed_dictionaries({"boxes": box() | box().map(lambda one: [one])}),
    ("spatial-temporal grounding", "video"): st.fixed_dictionaries({"time": ascending(), "boxes": boxes}),
    ("tracking", "video"): st.fixed_dictionaries({"boxes": boxes}),
    ("segmentation", "image"): st.fixed_dictionaries(prompt),
    ("segmentation", "video"): st.fixed_dictionaries({"time": number, **prompt}),
}
# What digits can spoil, and what stands between them.
BREAKS = [
    *((r"\d+", change) for change in ("0", "00", "01", "1001", "-0", "1e2", "1E-2", "0.50", "1.", ".5", "", "9" * 25)),
    *((r"\d+", change) for change in ("1 2", "3.14159265358979", "604800.123456789", "1_0", "٣", "true", '"4"', "NaN")),
    (r"\d(?=\d)", r"\g<0> "),
    (r"(\d+)(\D)", r"\2\1"),
    (r"(\D)(\d+)", r"\2\1"),
    (r" ", ""),
    (r", ", " ,"),
    (r"\[", "[ "),
    (r"\[", "7["),
    (r"boxes|time", r"\g<0>1"),
    (r"b", r"\\u0062"),
    (r"\}$", ""),
    (r"\}$", "}}"),
    (r"$", "\0"),
    (r"$", "\n"),
    (r'"(\d+)"', r'"0\1"'),
    (r'"(\d+)"', r'"\1.0"'),
    (r'"(\d+)"', '"7"'),
]


def to_text(answer: dict, chance: random.Random) -> str:
    names = list(answer)
    chance.shuffle(names)
    return json.dumps(
        {name: answer[name] for name in names}, separators=chance.choice([(", ", ": "), (",", ":"), (" , ", " : ")])
    )


def variants(text: str, chance: random.Random, count: int = 6) -> list[str]:
    """Texts that differ from one in digits alone, mostly, and some of those broken in one place."""
    found = [text, text]
    for _ in range(count):
        other = re.sub(r"\d", lambda digit: str((int(digit[0]) + chance.choice([0, 0, 0, 1, 2])) % 10), text)
        pattern, change = chance.choice(BREAKS)
        places = list(re.finditer(pattern, text))
        if places:
            spot = chance.choice(places)
            broken = text[: spot.start()] + spot.expand(change) + text[spot.end() :]
            found += [broken, broken]
        found += [other, text]
    return found


def alone(name: str, text: str, data_type: str) -> object:
    try:
        return [float(value) for value in task(name).read(text, data_type)]
    except Unparsed as error:
        return error.reason


@every_type
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_together_as_alone(name: str, data_type: str, data, seed: int):
    chance = random.Random(seed)
    texts = variants(to_text(data.draw(ANSWERS[name, data_type]), chance), chance)
    together = [
        found.reason if isinstance(found, Unparsed) else [float(value) for value in found]
        for found in task(name).read_many(texts, [data_type] * len(texts))
    ]
    assert together == [alone(name, text, data_type) for text in texts]


@every_type
@pytest.mark.parametrize("profile", ["strict", "paper"])
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_scores_are_the_same_without_it(name: str, data_type: str, profile: str, data, seed: int):
    chance = random.Random(seed)
    answers, truths = (variants(to_text(data.draw(ANSWERS[name, data_type]), chance), chance, 4)[:9] for _ in range(2))
    rows = [
        {
            "response": f"<think>t</think><answer>{answer}</answer>",
            "ground_truth": truth,
            "problem_type": name,
            "data_type": data_type,
        }
        for answer in answers
        for truth in [truths[0], chance.choice(truths)]
    ]
    found = score(table_of(rows), profile)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LayoutReader, "read_alike", lambda reader, texts: [None] * len(texts))
        expected = score(table_of(rows), profile)
    assert str(found.to_pylist()) == str(expected.to_pylist())  # as text, since a NaN is not equal to itself


def parsed(text: str) -> list[float]:
    return json.loads(text)


@given(values=st.lists(st.tuples(st.integers(0, 604_799), st.text("0123456789", min_size=1, max_size=9)), min_size=2))
@example(values=[(604_799, "999999999"), (0, "1"), (3, "100000000"), (3, "000000001")])
def test_decimals_are_exact(values: list[tuple[int, str]]):
    texts = [f"[{start}.{part}, 604799.999999999]" for start, part in values]
    found = LayoutReader(parsed, lambda count: "t" * count).read_alike(texts)
    assert [one.tolist() for one in found] == [parsed(text) for text in texts]


def test_only_what_is_like_another_is_read():
    reader = LayoutReader(parsed, lambda count: BOX)
    assert reader.read_alike(["[1, 2, 3, 4]", None, ""]) == [None] * 3
    good, other, *odd = reader.read_alike(
        ["[5, 6, 70, 80]", "[1, 2, 3, 4]", "[5, 6, 70, 1001]", "[70, 6, 5, 80]", "[5, 6, 070, 80]", "[5, 6 70, 80]", ""]
    )
    assert (good.tolist(), other.tolist()) == ([5, 6, 70, 80], [1, 2, 3, 4])
    assert odd == [None] * 5


def test_what_was_refused_once_is_not_tried_again():
    tried: list[str] = []

    def refusing(text: str) -> list[float]:
        tried.append(text)
        raise ValueError

    reader = LayoutReader(refusing, lambda count: SPAN)
    for _ in range(5):
        assert reader.read_alike(["[1, 2?"] * 3) == [None] * 3
    assert tried == ["[1, 2?"]
    assert reader.read_alike(["[1 ,2?", "[1 ,2?"]) == [None, None]
