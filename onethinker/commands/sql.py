"""`onethinker sql`: query the corpus."""

from corpus import Corpus
from onethinker.options import DEFAULT_CORPUS, At, CorpusUrl, Format
from onethinker.output import show


def sql(query: str, /, *, at: At = None, format: Format = "table", corpus: CorpusUrl = DEFAULT_CORPUS) -> None:
    """Query the corpus, read-only: samples, traces, verdicts, prompts, rejects, runs, snapshots and the views.

    Example: `onethinker sql "select task, count(*) from samples group by 1" --corpus demo/corpus`

    Parameters
    ----------
    query
        One SELECT in DuckDB's SQL.
    """
    with Corpus.open(corpus, at=at) as opened:
        show(opened.sql(query).to_arrow_reader(10_000), format)
