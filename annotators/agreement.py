"""How far teachers agree: each trace's answer scored against the answers of the other teachers, no truth needed."""

from collections import defaultdict
from typing import Any

import pyarrow as pa

from corpus import Corpus
from corpus.scoring import score
from corpus.sql_gate import condition

PROFILE, VERIFIER = "ensemble", "agreement@1"
_ROWS_AT_ONCE = 20_000

_PAIRS = """
    select a.trace_id, a.response, b.answer as ground_truth, s.problem_type, s.data_type, s.options, b.teacher as other
    from traces a join traces b on b.sample_id = a.sample_id and b.teacher <> a.teacher
         join samples s on s.sample_id = a.sample_id
    where a.mode = 'ensemble' and b.mode = 'ensemble' and a.answer is not null and b.answer is not null
      and s.sample_id in (select sample_id from samples where {where})
      and not exists (select 1 from verdicts v where v.trace_id = a.trace_id and v.profile = 'ensemble'
                      and v.components['teachers'] = (select count(distinct c.teacher) from traces c
                          where c.sample_id = a.sample_id and c.mode = 'ensemble' and c.answer is not null))
    order by a.trace_id"""


def record_agreement(corpus: Corpus, where: str = "true") -> int:
    """Give every ensemble trace a verdict under the profile `ensemble`; returns how many.

    Its accuracy is the mean, over the other teachers' traces of the sample, of the task's `strict` reward with their
    answer as the truth; the component `teachers` counts those who answered. When a further teacher has answered, a
    newer verdict says so. Every response must be of mode `ensemble`.
    """
    pairs = corpus.sql(_PAIRS.format(where=condition(where))).to_arrow_table()
    if not len(pairs):
        return 0
    with corpus.run("verify", {"profile": PROFILE, "verifier": VERIFIER, "where": where}) as run:
        found: dict[str, list[tuple[float, str]]] = defaultdict(list)
        for first in range(0, len(pairs), _ROWS_AT_ONCE):
            some = pairs.slice(first, _ROWS_AT_ONCE)
            accuracy = score(some.drop_columns(["trace_id", "other"]), "strict")["accuracy"].to_pylist()
            for trace_id, other, value in zip(
                some["trace_id"].to_pylist(), some["other"].to_pylist(), accuracy, strict=True
            ):
                if value is not None:
                    found[trace_id].append((value, other))
        rows = [_verdict(trace_id, values) for trace_id, values in found.items()]
        with run.transaction(f"agreement of {len(rows)} traces") as tx:
            added = tx.append("verdicts", pa.Table.from_pylist(rows, _schema())) if rows else 0
        run.counts["verdicts"] = added
    return added


def _verdict(trace_id: str, values: list[tuple[float, str]]) -> dict[str, Any]:
    agreement = sum(value for value, _ in values) / len(values)
    teachers = 1 + len({other for _, other in values})
    return {
        "trace_id": trace_id,
        "profile": PROFILE,
        "verifier": f"{VERIFIER}/{teachers}",  # a further teacher makes another verdict
        "accuracy": agreement,
        "components": [("teachers", float(teachers))],
    }


def _schema() -> pa.Schema:
    from corpus.schema import TABLES

    of = TABLES["verdicts"].schema
    return pa.schema([of.field(name) for name in ("trace_id", "profile", "verifier", "accuracy", "components")])
