"""accuracy: keep traces whose answer is right enough, from 0 to 1 and apart from its form.

    - accuracy: {min: 0.6, by_task: {tracking: 0.5}}

Reason: accuracy_below_min.
"""

import duckdb

from filters.candidates import Candidates
from filters.steps._threshold import ThresholdOptions, below


class Options(ThresholdOptions):
    """`min` for all; `by_task`, and over it `by_problem_type`, replace it."""


def drops(candidates: Candidates, options: Options) -> duckdb.DuckDBPyRelation:
    """The traces whose accuracy is less than asked for."""
    return below(candidates, "accuracy", options, "accuracy_below_min")
