"""`onethinker check`: do gold answers earn full marks, and do all media open."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import pyarrow as pa
from cyclopts import Parameter

from corpus import Corpus
from onethinker.options import DEFAULT_CORPUS, CorpusUrl, Format, Where
from onethinker.output import show


def check(
    *files: Path,
    reader: str = "onethinker",
    media_root: Annotated[Path | None, Parameter(name="--media-root")] = None,
    profile: Annotated[tuple[str, ...], Parameter(name="--profile", negative="")] = ("strict",),
    where: Where = None,
    format: Format = "table",
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> int:
    """Score every gold answer against itself and open every medium, before anyone pays for them; exit 1 if any fails.

    Checks the corpus, or annotation files without a corpus. One row a kind of failure, with its first example.

    Example: `onethinker check demo/world/world_rl_train.json`

    Parameters
    ----------
    files
        Annotation files to check instead of the corpus.
    reader
        Their format.
    media_root
        The folder that their media paths are relative to; each file's own folder when left out.
    profile
        A reward profile under which gold answers must earn full marks; may be given more than once.
    """
    from corpus.check import check_corpus, check_files

    if files:
        report = check_files(reader, files, media_root=media_root, profiles=profile, score=_score)
    else:
        with Corpus.open(corpus) as opened:
            report = check_corpus(opened, where=where, profiles=profile, score=_score)
    found = sum(report.failures.values())
    looked = f"{report.samples:,} samples and {report.media:,} media checked"
    print(f"{looked}: {f'{found:,} failures' if found else 'all is well'}", file=sys.stderr)
    if found or format != "table":
        show(report.table(), format)
    return 1 if found else 0


def _score(tables: Iterable[pa.Table], profile: str) -> Iterator[pa.Table]:
    from filters.score import scored

    return scored(tables, profile)
