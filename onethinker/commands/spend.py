"""`onethinker spend`: the cost of the traces."""

from typing import Literal

from corpus import Corpus
from corpus.accuracy import PASS_ACCURACY
from onethinker.options import DEFAULT_CORPUS, CorpusUrl, Format, Where
from onethinker.output import show

_BY = {
    "run": "t.run_id",
    "teacher": "t.teacher",
    "task": "s.task",
    "day": "t.created_at::date",
    "mode": "t.mode",
}


def spend(
    *,
    by: list[Literal["run", "teacher", "task", "day", "mode"]] | None = None,
    where: Where = None,
    format: Format = "table",
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> None:
    """Sum the cost and the tokens of the traces, and the cost of each one that passes (accuracy of at least 0.6).

    Traces of a teacher without a known price count in `unpriced`.

    Example: `onethinker spend --by task --by teacher --corpus demo/corpus`

    Parameters
    ----------
    by
        Group by run, teacher, task, day or mode; repeatable. By default by teacher.
    """
    groups = ", ".join(f"{_BY[name]} as {name}" for name in by or ["teacher"])
    query = f"""
        with kept as (select trace_id, bool_or(accuracy >= {PASS_ACCURACY}) as kept from latest_verdicts
                      where profile = 'strict' group by 1)
        select {groups}, count(*) as traces, sum(input_tokens)::bigint as input_tokens,
               sum(cached_tokens)::bigint as cached_tokens, sum(output_tokens)::bigint as output_tokens,
               sum(reasoning_tokens)::bigint as reasoning_tokens, coalesce(sum(cost_usd), 0) as usd,
               count(*) filter (cost_usd is null) as unpriced, count(*) filter (kept) as kept,
               round(sum(cost_usd) / nullif(count(*) filter (kept), 0), 9) as usd_per_kept
        from traces t join samples s using (sample_id) left join kept using (trace_id)
        where t.origin is null and s.sample_id in (select sample_id from samples where ({where or "true"}\n))
        group by all order by all"""
    with Corpus.open(corpus) as opened:
        show(opened.sql(query).to_arrow_table(), format)
