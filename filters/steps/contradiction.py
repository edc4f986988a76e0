"""contradiction: keep traces whose answer is what their reasoning arrived at.

    - contradiction: {agreement: 0.5}

The last "the answer is …" or \\boxed{…} of the thinking is scored as if it were the answer, with the trace's own answer
as the truth, by the task's own rules; less than `agreement` is a contradiction. Reasoning that announces nothing, or
nothing that can be read, stays, and so do tasks not named in `problem_types`: in free text two wordings may both be
right. Reason: contradicts_answer.
"""

import re
from functools import partial

import pyarrow as pa
from pydantic import Field, field_validator

from filters.candidates import Candidates
from filters.recipe import StepOptions
from filters.score import warm
from filters.steps._threshold import check_types

_ANNOUNCED = re.compile(
    r"\banswer\s*(?:is|:|=|would be|should be|must be)\s*:?\s*(?:option\s*)?(?=(?P<text>[^\n]+))", re.IGNORECASE
)
_BOXED = re.compile(r"\\boxed\s*\{(?P<text>[^{}\n]+(?:\{[^{}\n]*\}[^{}\n]*)*)\}")
_END = re.compile(r"(?:[.;]|,(?= )|!| because\b| since\b| so\b| as\b)(?:\s|$)")
_AROUND = " \t.,;:!*_\"'`"


class Options(StepOptions):
    """Which problem types are looked at, and how far the two must agree (an accuracy)."""

    agreement: float = Field(default=0.5, gt=0, le=1)
    problem_types: list[str] = Field(
        default=[
            "multiple choice",
            "numerical",
            "regression",
            "math",
            "temporal grounding",
            "spatial grounding",
        ]
    )

    @field_validator("problem_types")
    @classmethod
    def _known(cls, given: list[str]) -> list[str]:
        return check_types(given, "problem_types")


def drops(candidates: Candidates, options: Options) -> pa.Table:
    """The traces whose answer contradicts their reasoning."""
    return candidates.check_texts(
        partial(check, agreement=options.agreement, types=frozenset(options.problem_types)),
        "thinking, answer",
        "problem_type, data_type, options",
        only="regexp_matches(thinking, '(?i)answer|boxed')",
        by="problem_type",
        prepare=partial(warm, profile="strict"),
    )


def check(texts: pa.Table, agreement: float, types: frozenset[str]) -> pa.Table:
    """A reason, or null, for each row of thinking, answer, problem_type, data_type and options."""
    from corpus.response import wrap
    from corpus.scoring import score

    reasons: list[str | None] = [None] * texts.num_rows
    rows = zip(texts["thinking"].to_pylist(), texts["problem_type"].to_pylist(), strict=True)
    conclusions = [find_conclusion(text or "") if name in types else None for text, name in rows]
    places = [i for i, (c, a) in enumerate(zip(conclusions, texts["answer"].to_pylist(), strict=True)) if c and a]
    if places:
        chosen = texts.take(pa.array(places))
        asked = pa.table(
            {
                "response": pa.array([wrap("", conclusions[i] or "") for i in places], pa.string()),
                "ground_truth": chosen["answer"],
                "problem_type": chosen["problem_type"],
                "data_type": chosen["data_type"],
                "options": chosen["options"],
            }
        )
        scores = score(asked, "strict")
        for i, accuracy, reason in zip(places, *(scores[c].to_pylist() for c in ("accuracy", "reason")), strict=True):
            if accuracy is not None and reason is None and accuracy < agreement:
                reasons[i] = "contradicts_answer"
    return pa.table({"reason": pa.array(reasons, pa.string())})


def find_conclusion(thinking: str) -> str | None:
    """The answer that the reasoning announces last, or None."""
    last = max(
        (found for pattern in (_ANNOUNCED, _BOXED) for found in pattern.finditer(thinking)),
        key=lambda found: found.start(),
        default=None,
    )
    if last is None:
        return None
    text = last["text"]
    if last.re is _ANNOUNCED:
        if boxed := _BOXED.search(text):
            text = boxed["text"]
        elif text.startswith("{"):
            text = text[: text.rfind("}") + 1]
        elif end := _END.search(text):
            text = text[: end.start()]
    return text.strip(_AROUND) or None
