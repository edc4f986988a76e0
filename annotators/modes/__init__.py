"""Ways of asking, one file each, found by walking this folder; the file's name is the mode's.

Each says with `COLUMNS` which columns of a sample it may show, with `WHERE` which samples of a slice it is for, and
with `template(task_template)` and `fill(template, sample, task)` what the teacher reads.
"""

from typing import Any, Protocol

from corpus.discovery import modules


class Mode(Protocol):
    """What a mode's file holds."""

    COLUMNS: tuple[str, ...]
    WHERE: str

    def template(self, template: str) -> str:
        """The mode's prompt template, made from the task's (or from the user's own)."""

    def fields(self, sample: dict[str, Any], question: str) -> dict[str, str]:
        """What goes into the template's braces for one sample."""


def mode(name: str) -> Mode:
    """The mode of that name."""
    found: Any = modules(__name__)[name]
    return found  # type: ignore[no-any-return]
