"""best_of: keep the n best traces of each sample.

    - best_of: {n: 1}

Best is the highest reward; among equals the one that comes first by the seed. Reason: not_best.
"""

import duckdb
from pydantic import Field

from corpus.ranges import MOST
from filters.candidates import Candidates
from filters.recipe import StepOptions


class Options(StepOptions):
    """`n` traces of a sample stay."""

    n: int = Field(default=1, ge=1, le=MOST)


def drops(candidates: Candidates, options: Options) -> duckdb.DuckDBPyRelation:
    """The traces that others of their sample surpass."""
    return candidates.sql(
        """select trace_id, 'not_best' as reason from candidates
           qualify row_number() over (partition by sample_id order by reward desc, draw) > $n""",
        {"n": options.n},
    )
