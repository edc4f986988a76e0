"""`onethinker stats`: count samples, traces and verdicts."""

from corpus import Corpus
from onethinker.options import DEFAULT_CORPUS, At, CorpusUrl, Format
from onethinker.output import show

STATS = """
    with traced as (select sample_id, count(*) as traces, sum(cost_usd) as usd from traces group by 1),
         judged as (select sample_id, count(accuracy) as scored, avg(accuracy) as accuracy
                    from scored_traces where profile is not null group by 1)
    select task, problem_type, data_type, count(*) as samples, count(distinct source) as sources,
           sum(coalesce(traces, 0))::bigint as traces, sum(coalesce(scored, 0))::bigint as verdicts,
           avg(accuracy) as mean_accuracy, coalesce(sum(usd), 0) as usd
    from samples left join traced using (sample_id) left join judged using (sample_id)
    group by all order by task, problem_type, data_type"""


def stats(*, at: At = None, format: Format = "table", corpus: CorpusUrl = DEFAULT_CORPUS) -> None:
    """Count samples, traces and verdicts by task.

    Example: `onethinker stats --format csv --corpus demo/corpus`
    """
    with Corpus.open(corpus, at=at) as opened:
        show(opened.sql(STATS).to_arrow_table(), format)
