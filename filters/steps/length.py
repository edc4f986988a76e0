"""length: keep traces whose reasoning is neither too short to teach anything nor too long to train on.

    - length: {min: 80, max: 12000}

Counts characters of the thinking, or with `tokens: true` the output tokens that the teacher reported (traces without
that number stay). Reasons: too_short, too_long.
"""

import duckdb
from pydantic import Field, model_validator

from corpus.ranges import MOST
from filters.candidates import Candidates
from filters.recipe import StepOptions


class Options(StepOptions):
    """`min` and `max` are both still kept."""

    min: int = Field(default=0, ge=0, le=MOST)
    max: int | None = Field(default=None, ge=0, le=MOST)
    tokens: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> "Options":
        if self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}: no trace has such a length")
        return self


def drops(candidates: Candidates, options: Options) -> duckdb.DuckDBPyRelation:
    """The traces outside the band."""
    size = "output_tokens" if options.tokens else "coalesce(thinking_characters, 0)"
    return candidates.sql(
        f"""select trace_id, case when {size} < $min then 'too_short' else 'too_long' end as reason from candidates
            where {size} < $min or {size} > coalesce($max, {size})""",
        {"min": options.min, "max": options.max},
    )
