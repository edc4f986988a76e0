"""cap: keep at most so many traces of each value of a column, or of each combination of several.

    - cap: {by: source, rows: 20000, rows_for: {CLEVRER: 5000}}
    - cap: {by: [task, data_type], rows: 60000}

Which ones is drawn by the seed. A null counts as a value. Reason: over_cap.
"""

from typing import Annotated

import duckdb
from pydantic import Field, model_validator

from corpus.ranges import MOST
from filters.candidates import Candidates
from filters.recipe import StepOptions


class Options(StepOptions):
    """`rows` of each value of the column or columns `by`; `rows_for` says otherwise for values of a single column."""

    by: str | list[str]
    rows: int = Field(ge=0, le=MOST)
    rows_for: dict[str, Annotated[int, Field(ge=0, le=MOST)]] = Field(default={})

    @model_validator(mode="after")
    def _one_column(self) -> "Options":
        if self.rows_for and not isinstance(self.by, str) and len(self.by) != 1:
            raise ValueError("rows_for needs a single column in `by`")
        return self


def drops(candidates: Candidates, options: Options) -> duckdb.DuckDBPyRelation:
    """The traces beyond each value's number, in the seed's order."""
    columns = [options.by] if isinstance(options.by, str) else options.by
    candidates.require(columns, "cap")
    by = ", ".join(f'"{column}"' for column in columns)
    return candidates.sql(
        f"""select trace_id, 'over_cap' as reason from candidates
            left join (select unnest($values::varchar[]) as named, unnest($allowed::bigint[]) as allowed)
              on named = "{columns[0]}"::varchar
            qualify row_number() over (partition by {by} order by draw) > coalesce(allowed, $rows)""",
        {"values": list(options.rows_for), "allowed": list(options.rows_for.values()), "rows": options.rows},
    )
