"""`onethinker init`: make an empty corpus."""

from corpus import Corpus
from onethinker.options import DEFAULT_CORPUS, CorpusUrl


def init(*, catalog: str | None = None, corpus: CorpusUrl = DEFAULT_CORPUS) -> None:
    """Make an empty corpus.

    Example: `onethinker init --corpus corpus-data`

    Parameters
    ----------
    catalog
        Where its catalog is, if not in the folder: `postgres:dbname=lake host=db`, for several machines that share the
        folder. Passwords belong in PGPASSWORD or ~/.pgpass.
    """
    with Corpus.create(corpus, catalog=catalog) as made:
        print(made.root)
