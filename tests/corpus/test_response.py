"""The released parsing of a response against its definition."""

import re

from hypothesis import given
from hypothesis import strategies as st

from corpus.response import split_released

TAGS = ["<think>", "</think>", "<answer>", "</answer>", "< / answer >", "</think>\n<answer>", "<\nanswer\n>"]
parts = st.sampled_from([*"<>/ \n\t\u2003\x1fa", *TAGS, "think", "answer", "<think> x", "</ think> <answer >", "1 / 2"])


def defined(text: str) -> tuple[float, str]:
    text = re.sub(r"\s*([<>/])\s*", r"\1", text)
    form = re.fullmatch(r"<think>.*</think><answer>.*</answer>", text, re.DOTALL)
    found = re.search(r"<answer>(.*?)</answer>", text, re.DOTALL)
    return float(form is not None), (found[1].strip() if found else "") or text.strip()


@given(st.lists(parts, max_size=12).map("".join))
def test_as_defined(text: str):
    assert split_released(text) == defined(text)


@given(st.tuples(*[st.lists(parts, max_size=3).map("".join)] * 3))
def test_as_defined_when_well_formed(text: tuple[str, str, str]):
    whole = f"<think>{text[0]}</think>{text[1]}<answer>{text[2]}</answer>"
    assert split_released(whole) == defined(whole)
