"""reward: keep traces whose reward (0.9 accuracy + 0.1 format + structure, up to 1.5) reaches a least value.

    - reward: {min: 0.9, by_problem_type: {open-ended: 0.7}}

Reason: reward_below_min.
"""

import duckdb

from filters.candidates import Candidates
from filters.steps._threshold import ThresholdOptions, below


class Options(ThresholdOptions):
    """`min` for all; `by_task`, and over it `by_problem_type`, replace it."""

    most = 1.5


def drops(candidates: Candidates, options: Options) -> duckdb.DuckDBPyRelation:
    """The traces whose reward is less than asked for."""
    return below(candidates, "reward", options, "reward_below_min")
