"""Hinted: the teacher sees the true answer and is asked for the reasoning that leads to it.

Such traces can state what nobody could see, so they say `hinted` for ever; `judge` asks a second model whether the
reasoning can be followed from the media alone.
"""

from typing import Any

from annotators.modes import SHOWN
from corpus.task import Task

COLUMNS = (*SHOWN, "answer")
FROM = "samples"
WHERE = "answer is not null"

_HINT = """

The correct answer is known to be: {answer}
Write the reasoning with which somebody who sees only what you were shown, without the answer, would find it. \
Reason from what can be seen, never mention that the answer was given, and end with that answer in the form above."""


def template(template: str, task: Task) -> str:
    """The task's prompt and the answer after it."""
    return template + _HINT


def fields(row: dict[str, Any], question: str) -> dict[str, str]:
    """The question and the true answer."""
    return {"question": question, "answer": row["answer"]}
