"""pass_rate: keep samples that are neither too easy nor too hard.

    - pass_rate: {min: 0.125, max: 0.875, passing: 0.5, traces: 4}

The rate is the share of a sample's scored traces in the slice, those dropped by earlier steps included, whose accuracy
reaches `passing`. A sample with fewer than `traces` of them stays: too little is known. Reasons: too_easy, too_hard.
"""

import duckdb
from pydantic import Field, model_validator

from corpus.ranges import MOST
from filters.candidates import Candidates
from filters.recipe import StepOptions


class Options(StepOptions):
    """Rates from `min` to `max`, both included, are kept."""

    min: float = Field(default=0.0, ge=0, le=1)
    max: float = Field(default=1.0, ge=0, le=1)
    passing: float = Field(default=0.5, gt=0, le=1)
    traces: int = Field(default=2, ge=1, le=MOST)

    @model_validator(mode="after")
    def _ordered(self) -> "Options":
        if self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}: no sample has such a rate")
        return self


def drops(candidates: Candidates, options: Options) -> duckdb.DuckDBPyRelation:
    """The traces of samples outside the band."""
    return candidates.sql(
        """with rates as (
             select sample_id, avg((accuracy >= $passing)::int) as rate from considered where accuracy is not null
             group by 1 having count(*) >= $traces)
           select trace_id, case when rate > $max then 'too_easy' else 'too_hard' end as reason
           from candidates join rates using (sample_id) where rate > $max or rate < $min""",
        options.model_dump(),
    )
