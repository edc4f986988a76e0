"""group_score: keep traces that a scorer puts high within their sample's group.

    - group_score: {component: reward_model, min: 0.5}

A reward model's raw scores have no common zero: what is high for one question is low for another. Here each score is
put between its group's lowest (0) and highest (1), the group being the sample's traces in the slice. The verdicts keep
the raw numbers, so nothing of this is final. Traces without that component stay, and so do groups of one or of equals.
Reason: group_score_below_min.
"""

import duckdb
from pydantic import Field

from filters.candidates import Candidates
from filters.recipe import StepOptions


class Options(StepOptions):
    """`component` is a verdict's component: reward_model, judge, overlap, or one of a task's own."""

    component: str = "reward_model"
    min: float = Field(default=0.5, ge=0, le=1)


def drops(candidates: Candidates, options: Options) -> duckdb.DuckDBPyRelation:
    """The traces that stand low in their group."""
    candidates.load(
        "component",
        """select trace_id, components[$name] as value from latest_verdicts
           where profile = $profile and components[$name] is not null""",
        {"name": options.component, "profile": candidates.profile},
    )
    return candidates.sql(
        """with placed as (
             select trace_id, (value - min(value) over g) / nullif(max(value) over g - min(value) over g, 0) as place
             from considered join component using (trace_id) window g as (partition by sample_id))
           select trace_id, 'group_score_below_min' as reason from candidates join placed using (trace_id)
           where place < $min""",
        {"min": options.min},
    )
