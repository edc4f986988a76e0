"""truncated: keep responses that their teacher finished.

    - truncated

A response was cut off when its teacher said so (finish_reason length, max_tokens, max_output_tokens, content_filter) or
it has no `</answer>`. Reason: truncated.
"""

import duckdb

from filters.candidates import Candidates
from filters.recipe import StepOptions

CUT = ("length", "max_tokens", "max_output_tokens", "content_filter", "model_context_window_exceeded")


class Options(StepOptions):
    """This step has none."""


def drops(candidates: Candidates, options: Options) -> duckdb.DuckDBPyRelation:
    """The traces that stop before their end."""
    return candidates.sql(
        """select trace_id, 'truncated' as reason from candidates
           where list_contains($cut, finish_reason) or not coalesce(closed, false)""",
        {"cut": list(CUT)},
    )
