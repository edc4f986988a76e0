"""Ways of asking, one file each, found by walking this folder; the file's name is the mode's, and traces keep it.

Each says with `COLUMNS` what of a sample it may show, with `FROM` and `WHERE` which rows it is for, and with
`template(task_template, task)` and `fields(row, question)` what the teacher reads.
"""

from typing import Any, Protocol

from corpus.accuracy import PASS_ACCURACY
from corpus.discovery import modules
from corpus.task import Task

SHOWN = ("sample_id", "problem_type", "data_type", "problem", "options", "media")
"""What a teacher may see of a sample that must not learn its answer."""

UNSOLVED = f"""sample_id in (select sample_id from traces) and sample_id not in (
    select sample_id from scored_traces where profile = 'strict' and accuracy >= {PASS_ACCURACY})"""
"""Samples that were asked about, and no trace of theirs verified."""


class Mode(Protocol):
    """What a mode's file holds."""

    COLUMNS: tuple[str, ...]
    FROM: str  # a relation with the columns of samples; one with a column `about` is asked once for each of its values
    WHERE: str

    def template(self, template: str, task: Task) -> str:
        """The mode's prompt template, made from the task's (or from the user's own)."""

    def fields(self, row: dict[str, Any], question: str) -> dict[str, str]:
        """What goes into the template's braces for one row."""


def mode(name: str) -> Mode:
    """The mode of that name."""
    found: Any = modules(__name__)[name]
    return found  # type: ignore[no-any-return]
