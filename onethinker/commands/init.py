"""`onethinker init`: create an empty corpus."""

from corpus import Corpus
from onethinker.options import DEFAULT_CORPUS, CorpusUrl


def init(*, catalog: str | None = None, corpus: CorpusUrl = DEFAULT_CORPUS) -> None:
    """Create an empty corpus.

    Example: `onethinker init --corpus corpus-data`

    Parameters
    ----------
    catalog
        A PostgreSQL catalog instead of a file in the folder, for several machines: `postgres:dbname=lake host=db`.
        Put passwords in PGPASSWORD or ~/.pgpass.
    """
    with Corpus.create(corpus, catalog=catalog) as made:
        print(made.root)
