"""`onethinker pull`: download a published dataset version into a corpus."""

from corpus import Corpus
from corpus.location import Location
from onethinker.options import DEFAULT_CORPUS, CorpusUrl


def pull(source: str, /, *, corpus: CorpusUrl = DEFAULT_CORPUS) -> None:
    """Load a published version into a corpus: samples, traces, verdicts, media and the snapshot itself.

    Creates the corpus if there is none. Pulling again adds nothing.
    Every file, row, id and medium is checked first; a refused pull writes nothing.

    Example: `onethinker pull publication --corpus pulled`

    Parameters
    ----------
    source
        user/repo@V on the HF Hub, or the folder that `publish --dry-run` wrote.
    """
    from corpus.hub import find_publication
    from corpus.hub import pull as run

    there = Location.parse(corpus).exists()
    # A refused publication leaves no new corpus behind; a corpus may hold the version, and then nothing is to check.
    found = find_publication(source)
    publication = found if there else found.check()
    with Corpus.open(corpus) if there else Corpus.create(corpus) as opened:
        snapshot = run(opened, publication)
        print(f"{snapshot.ref}: {snapshot.rows:,} rows, fingerprint {snapshot.fingerprint}, in {opened.root}")
