"""`onethinker init`: make an empty corpus."""

from corpus import Corpus
from onethinker.options import DEFAULT_CORPUS, CorpusUrl


def init(*, corpus: CorpusUrl = DEFAULT_CORPUS) -> None:
    """Make an empty corpus.

    Example: `onethinker init --corpus corpus-data`
    """
    with Corpus.create(corpus) as made:
        print(made.root)
