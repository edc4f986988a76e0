"""Blind, the default: the teacher sees the question and the media. The true answer is not even read."""

from typing import Any

from annotators.modes import SHOWN
from corpus.task import Task

COLUMNS = SHOWN
FROM = "samples"
WHERE = "true"


def template(template: str, task: Task) -> str:
    """The task's prompt as it is."""
    return template


def fields(row: dict[str, Any], question: str) -> dict[str, str]:
    """The question."""
    return {"question": question}
