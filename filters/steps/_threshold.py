"""A least value for a number of the verdict, for all or for some problem types and tasks."""

from collections.abc import Mapping

import duckdb
from pydantic import Field, field_validator

from corpus.errors import UsageError, near
from filters.candidates import Candidates
from filters.recipe import Options


class Least(Options):
    """`min` for all; `by_task` and then `by_problem_type` say otherwise for some."""

    min: float
    by_task: dict[str, float] = Field(default={})
    by_problem_type: dict[str, float] = Field(default={})

    @field_validator("by_problem_type")
    @classmethod
    def _known(cls, given: dict[str, float]) -> dict[str, float]:
        from corpus.tasks import tasks

        check_names(given, tasks(), "by_problem_type")
        return given


def check_names(given: Mapping[str, object], known: Mapping[str, object], key: str) -> None:
    """Raise UsageError, with near names, for a name that is not known: a misspelt threshold would not be one."""
    for name in given:
        if name not in known:
            raise UsageError(f"{key}: unknown name '{name}'{near(name, known)}")


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
