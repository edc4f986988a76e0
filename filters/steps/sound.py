"""sound: keep traces whose reasoning judges found to hold (see `onethinker annotate --mode judge`).

    - sound: {share: 0.5, by: 'anthropic:claude-sonnet-4-5'}

Reasons: reasoning_unsound, not_judged.
"""

import duckdb
from pydantic import Field

from filters.candidates import Candidates
from filters.recipe import StepOptions


class Options(StepOptions):
    """`share` of a trace's judgements, at least, must call it sound; `by` names one judge, else all count.

    `unjudged` traces are dropped unless it says `keep`.
    """

    share: float = Field(default=0.5, ge=0, le=1)
    by: str = ""
    unjudged: str = Field(default="drop", pattern="^(drop|keep)$")


def drops(candidates: Candidates, options: Options) -> duckdb.DuckDBPyRelation:
    """The traces that too few judges found sound, and those that none has read."""
    candidates.load(
        "judged",
        """select trace_id, avg(sound::int) as share from judgements
           where sound is not null and (judge = $by or $by = '') group by 1""",
        {"by": options.by},
    )
    return candidates.sql(
        """select trace_id, case when share is null then 'not_judged' else 'reasoning_unsound' end as reason
           from candidates left join judged using (trace_id)
           where coalesce(share < $share, $unjudged = 'drop')""",
        {"share": options.share, "unjudged": options.unjudged},
    )
