"""A least value for a number of the verdict, for all or for some problem types and tasks."""

from collections.abc import Iterable
from functools import cache

import duckdb
from pydantic import Field, field_validator

from corpus.errors import near
from filters.candidates import Candidates
from filters.recipe import Options


class Least(Options):
    """`min` for all; `by_task` and then `by_problem_type` say otherwise for some."""

    min: float
    by_task: dict[str, float] = Field(default={})
    by_problem_type: dict[str, float] = Field(default={})

    @field_validator("by_problem_type")
    @classmethod
    def _types(cls, given: dict[str, float]) -> dict[str, float]:
        known_types(given, "by_problem_type")
        return given

    @field_validator("by_task")
    @classmethod
    def _tasks(cls, given: dict[str, float]) -> dict[str, float]:
        _check(given, families(), "by_task")
        return given


def below(candidates: Candidates, number: str, least: Least, reason: str) -> duckdb.DuckDBPyRelation:
    """The candidates whose `number` is less than asked for."""
    return candidates.sql(
        f"""select trace_id, $reason as reason from candidates
            left join (select unnest($tasks::varchar[]) as task, unnest($task_mins::double[]) as task_min)
              using (task)
            left join (select unnest($types::varchar[]) as problem_type, unnest($type_mins::double[]) as type_min)
              using (problem_type)
            where {number} < coalesce(type_min, task_min, $least)""",
        {
            "reason": reason,
            "least": least.min,
            "tasks": list(least.by_task),
            "task_mins": list(least.by_task.values()),
            "types": list(least.by_problem_type),
            "type_mins": list(least.by_problem_type.values()),
        },
    )


def known_types(given: Iterable[str], key: str) -> list[str]:
    """The problem types given; raises ValueError, with near names, for one that no task has."""
    from corpus.tasks import tasks

    return _check(given, tasks(), key)


@cache
def families() -> frozenset[str]:
    """The task families that samples can belong to."""
    from corpus.tasks import tasks

    return frozenset(name for task in tasks().values() for name in task.families)


def _check(given: Iterable[str], known: Iterable[str], key: str) -> list[str]:
    names = list(given)
    for name in names:
        if name not in known:  # a misspelt threshold would silently be none
            raise ValueError(f"{key}: unknown name '{name}'{near(name, known)}")
    return names
