"""The tasks: one answer type per file, found by walking this folder."""

from functools import cache

from corpus.discovery import modules
from corpus.errors import OneThinkerError, near
from corpus.task import Task


@cache
def tasks() -> dict[str, Task]:
    """Every task by its name, the problem_type of the released corpus."""
    found = {}
    for module in modules(__name__).values():
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Task) and value.__module__ == module.__name__:
                found[value.name] = value()
    return dict(sorted(found.items()))


def task(name: str) -> Task:
    """The task of a problem_type (case-sensitive). Raises OneThinkerError, with near names, if it is unknown."""
    known = tasks().get(name)
    if known is None:
        raise OneThinkerError(f"unknown problem_type {name!r}{near(name, tasks())}; `onethinker tasks` lists them all")
    return known
