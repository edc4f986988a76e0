"""A minimum for a number of the verdict, for all traces or by task or problem type."""

from collections.abc import Iterable
from functools import cache
from typing import ClassVar

import duckdb
from pydantic import Field, field_validator, model_validator

from corpus.errors import near
from filters.candidates import Candidates
from filters.recipe import StepOptions


class ThresholdOptions(StepOptions):
    """`min` for all; `by_task`, and over it `by_problem_type`, replace it."""

    most: ClassVar[float] = 1.0  # the highest value of the number
    min: float
    by_task: dict[str, float] = Field(default={})
    by_problem_type: dict[str, float] = Field(default={})

    @field_validator("by_problem_type")
    @classmethod
    def _types(cls, given: dict[str, float]) -> dict[str, float]:
        check_types(given, "by_problem_type")
        return given

    @field_validator("by_task")
    @classmethod
    def _tasks(cls, given: dict[str, float]) -> dict[str, float]:
        _check_names(given, list_families(), "by_task")
        return given

    @model_validator(mode="after")
    def _in_range(self) -> "ThresholdOptions":
        for name, value in {"min": self.min, **self.by_task, **self.by_problem_type}.items():
            if not 0 <= value <= self.most:
                raise ValueError(f"'{name}' must be at least 0 and at most {self.most:g}, not {value:g}")
        return self


def below(candidates: Candidates, number: str, options: ThresholdOptions, reason: str) -> duckdb.DuckDBPyRelation:
    """The candidates whose `number` is below its minimum."""
    return candidates.sql(
        f"""select trace_id, $reason as reason from candidates
            left join (select unnest($tasks::varchar[]) as task, unnest($task_mins::double[]) as task_min)
              using (task)
            left join (select unnest($types::varchar[]) as problem_type, unnest($type_mins::double[]) as type_min)
              using (problem_type)
            where {number} < coalesce(type_min, task_min, $min)""",
        {
            "reason": reason,
            "min": options.min,
            "tasks": list(options.by_task),
            "task_mins": list(options.by_task.values()),
            "types": list(options.by_problem_type),
            "type_mins": list(options.by_problem_type.values()),
        },
    )


def check_types(given: Iterable[str], key: str) -> list[str]:
    """The problem types given; raises ValueError, with near names, for one that no task has."""
    from corpus.tasks import tasks

    return _check_names(given, tasks(), key)


@cache
def list_families() -> frozenset[str]:
    """The task families that samples can belong to."""
    from corpus.tasks import tasks

    return frozenset(name for task in tasks().values() for name in task.families)


def _check_names(given: Iterable[str], known: Iterable[str], key: str) -> list[str]:
    names = list(given)
    for name in names:
        if name not in known:  # a misspelt name would silently have no threshold
            raise ValueError(f"{key}: unknown name '{name}'{near(name, known)}")
    return names
