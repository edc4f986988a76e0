"""`onethinker report`: what a verification found, as a page."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from corpus import Corpus
from onethinker.options import DEFAULT_CORPUS, CorpusUrl


def report(
    run: str | None = None,
    /,
    *,
    profile: str = "strict",
    out: Annotated[Path, Parameter(name="--out", help="The HTML file to write.")] = Path("report.html"),
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> None:
    """Write a page on verified traces: pass rates, rewards, reasons, disagreements between profiles, examples drawn.

    Example: `onethinker report --out report.html`

    Parameters
    ----------
    run
        A verification run's id (`onethinker sql "from runs where kind = 'verify'"` lists them); when left out, the
        newest verdict of every trace is reported on.
    profile
        Whose verdicts, where no run is named.
    """
    from onethinker.report_page import write

    with Corpus.open(corpus) as opened:
        done = write(opened, out, run=run, profile=profile)
    print(f"{done.path}: {done.traces:,} traces, profile {done.profile}")
