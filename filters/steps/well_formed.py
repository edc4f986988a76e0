"""well_formed: keep responses that are `<think>…</think><answer>…</answer>` and nothing else.

    - well_formed

Reason: not_well_formed.
"""

import duckdb

from filters.candidates import Candidates
from filters.recipe import StepOptions


class Options(StepOptions):
    """This step has none."""


def drops(candidates: Candidates, options: Options) -> duckdb.DuckDBPyRelation:
    """The traces whose format did not count as 1."""
    return candidates.sql("select trace_id, 'not_well_formed' as reason from candidates where format < 1")
