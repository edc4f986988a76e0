"""leak: keep reasoning that arrives at its answer instead of starting from it.

    - leak: {head: 0.15}

Starting from it is announcing the answer ("the answer is B") in the first `head` of the thinking, or answering before
it begins; and so is speaking of an answer that was given ("the ground truth says", "as the reference answer").
Reasons: answer_before_reasoning, refers_to_given_answer.
"""

import re
from functools import partial

import pyarrow as pa
from pydantic import Field

from filters.candidates import Candidates
from filters.recipe import StepOptions

_GIVEN_WORDS = ("ground", "reference", "provided", "given", "known", "gold", "annotated", "hint", "i was", "according")
_ANNOUNCED = re.compile(
    r"\b(?:answer|choice|option|result|solution)\s*(?:is|:|=|would be|should be|must be)\s*(?:option\s*)?[(\"'`*$\\]*",
    re.IGNORECASE,
)
_GIVEN = re.compile(
    r"\b(?:ground[- ]truth|(?:reference|provided|given|known|gold|annotated) (?:answer|solution|label)"
    r"(?: (?:is|was|says?|states?|indicates?|given|provided|shows?)\b|,)|the hint\b|i was\stold\b"
    r"|according to the (?:answer|label|annotation|solution))",
    re.IGNORECASE,
)


class Options(StepOptions):
    """The first `head` of the thinking, as a share of its characters, may not announce the answer."""

    head: float = Field(default=0.15, gt=0, le=1)


def drops(candidates: Candidates, options: Options) -> pa.Table:
    """The traces that leak."""
    return candidates.check_texts(partial(check, head=options.head), "response, thinking, answer")


def check(texts: pa.Table, head: float) -> pa.Table:
    """A reason, or null, for each row of response, thinking and answer."""
    rows = zip(*(texts[name].to_pylist() for name in ("response", "thinking", "answer")), strict=True)
    return pa.table({"reason": pa.array([_reason(r or "", t or "", a or "", head) for r, t, a in rows], pa.string())})


def _reason(response: str, thinking: str, answer: str, head: float) -> str | None:
    before, found, _ = response.partition("<think>")
    if found and answer and (_announces(before, answer) or "<answer>" in before):
        return "answer_before_reasoning"
    lowered = thinking.casefold()
    if any(word in lowered for word in _GIVEN_WORDS) and _GIVEN.search(thinking):  # a word search first is much faster
        return "refers_to_given_answer"
    if answer and _announces(thinking, answer, int(len(thinking) * head)):
        return "answer_before_reasoning"
    return None


def _announces(text: str, answer: str, end: int | None = None) -> bool:
    """Whether the answer itself is announced within the first `end` characters (that is where the words begin)."""
    wanted = answer.strip().casefold()
    for found in _ANNOUNCED.finditer(text[: end + 40] if end is not None else text):
        if end is not None and found.start() > end:
            return False
        rest = text[found.end() : found.end() + len(wanted) + 1].casefold()
        if rest.startswith(wanted) and not rest[len(wanted) :].isalnum():
            return True
    return False
