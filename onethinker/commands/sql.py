"""`onethinker sql`: query the corpus."""

from typing import Annotated

from cyclopts import Parameter

from corpus import Corpus
from onethinker.options import DEFAULT_CORPUS, At, CorpusUrl, Format
from onethinker.output import show


def sql(
    query: str,
    /,
    *,
    at: At = None,
    files: Annotated[bool, Parameter(name="--files", negative="")] = False,
    format: Format = "table",
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> None:
    """Query the corpus, read-only: samples, traces, verdicts, prompts, rejects, runs, snapshots and the views.

    Example: `onethinker sql "select task, count(*) from samples group by 1" --corpus demo/corpus`

    Parameters
    ----------
    query
        One SELECT in DuckDB's SQL.
    files
        Let the query read files too, as in `from read_parquet('x.parquet')` or `from 'x.csv'`.
    """
    with Corpus.open(corpus, at=at) as opened:
        relation = opened.query(query, files=files)
        if not files:
            opened.restrict_files()
        show(relation.to_arrow_reader(10_000), format)
