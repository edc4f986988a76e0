"""`onethinker report`: an HTML page on verified traces."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from corpus import Corpus
from onethinker.options import DEFAULT_CORPUS, CorpusUrl
from onethinker.output_path import writable_file


def report(
    run: str | None = None,
    /,
    *,
    profile: str = "strict",
    out: Annotated[Path, Parameter(name="--out", validator=writable_file, help="The HTML file to write.")] = Path(
        "report.html"
    ),
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> None:
    """Write a page on verified traces: pass rates, rewards, reasons, disagreements between profiles, drawn examples.

    Example: `onethinker report --out report.html --corpus demo/corpus`

    Parameters
    ----------
    run
        The id of a verification run (`onethinker sql "from runs where kind = 'verify'"` lists them); by default the
        newest verdict of each trace.
    profile
        The profile of the verdicts, if no run is given.
    """
    from onethinker.report_page import write

    with Corpus.open(corpus) as opened:
        done = write(opened, out, run=run, profile=profile)
    print(f"{done.path}: {done.traces:,} traces, profile {done.profile}")
