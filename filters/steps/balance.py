"""balance: keep a number of traces in all, shared out over the values of a column.

    - balance: {by: task, rows: 340000}
    - balance: {by: data_type, rows: 1000, shares: {image: 3, video: 1}}

Each value gets a part in proportion to its share (1 unless `shares` says otherwise); what a value cannot fill goes to
the others, in the same proportions. Which traces stay is drawn by the seed. Reason: over_balance.
"""

from typing import Annotated

import duckdb
from pydantic import Field

from corpus.ranges import MOST
from filters.candidates import Candidates
from filters.recipe import StepOptions


class Options(StepOptions):
    """`rows` in all, over the values of the column `by`."""

    by: str
    rows: int = Field(ge=1, le=MOST)
    shares: dict[str, Annotated[float, Field(ge=0)]] = Field(default={})


def drops(candidates: Candidates, options: Options) -> duckdb.DuckDBPyRelation:
    """The traces beyond each value's part."""
    candidates.require([options.by], "balance")
    counted = candidates.sql(
        f'select "{options.by}"::varchar, count(*) from candidates group by 1 order by 1'
    ).fetchall()
    parts = share_out(dict(counted), options.rows, options.shares)
    return candidates.sql(
        f"""select trace_id, 'over_balance' as reason from candidates
            join (select unnest($values::varchar[]) as value, unnest($parts::bigint[]) as part)
              on value is not distinct from "{options.by}"::varchar
            qualify row_number() over (partition by value order by draw) > part""",
        {"values": list(parts), "parts": list(parts.values())},
    )


def share_out(there: dict[str | None, int], rows: int, shares: dict[str, float]) -> dict[str | None, int]:
    """How many of each value to take, so that they are `rows` together, or all that there are.

    Values that have no more than their part give all they have, and the rest is shared out again among the others;
    what rounding down leaves over goes to the first values by name.
    """
    part: dict[str | None, int] = {}
    open_values = {value: shares.get(value or "", 1.0) for value in there}
    left = rows
    while open_values:
        total = sum(open_values.values())
        full = {v for v, share in open_values.items() if total and there[v] <= left * share / total}
        if not full:
            part |= {v: int(left * share / total) if total else 0 for v, share in open_values.items()}
            spare = left - sum(part[v] for v in open_values) if total else 0
            for value in sorted(open_values, key=lambda v: v or "")[:spare]:
                part[value] += 1
            break
        part |= {v: there[v] for v in full}
        left -= sum(there[v] for v in full)
        open_values = {v: share for v, share in open_values.items() if v not in full}
    return part
