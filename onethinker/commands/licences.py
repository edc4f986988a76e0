"""`onethinker licences`: the licences of the samples."""

from corpus import Corpus
from onethinker.options import DEFAULT_CORPUS, CorpusUrl, Format
from onethinker.output import show

LICENCES = """
    select coalesce(licence, 'unknown') as licence, source, count(*) as samples
    from samples group by all order by samples desc, source"""


def licences(*, format: Format = "table", corpus: CorpusUrl = DEFAULT_CORPUS) -> None:
    """Count samples by licence and source.

    Example: `onethinker licences --corpus demo/corpus`
    """
    with Corpus.open(corpus) as opened:
        show(opened.sql(LICENCES).to_arrow_table(), format)
