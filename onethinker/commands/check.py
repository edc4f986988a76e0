"""`onethinker check`: whether gold answers earn full marks and all media open."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pyarrow as pa
from cyclopts import Parameter

from corpus import Corpus
from onethinker.options import DEFAULT_CORPUS, CorpusUrl, Format, Where
from onethinker.output import show

if TYPE_CHECKING:
    from corpus.integrity import Integrity


def check(
    *files: Path,
    reader: str = "onethinker",
    media_root: Annotated[Path | None, Parameter(name="--media-root")] = None,
    profile: Annotated[tuple[str, ...], Parameter(name="--profile", negative="")] = ("strict",),
    where: Where = None,
    format: Format = "table",
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> int:
    """Score every gold answer against itself, open every media file, compare every stored byte; exit 1 if any fails.

    Checks the corpus, or annotation files without a corpus. Prints one row for each kind of failure, with an example.

    Example: `onethinker check demo/world/world_rl_train.json`

    Parameters
    ----------
    files
        Annotation files to check instead of the corpus.
    reader
        The format of the files, a reader of corpus/sources.
    media_root
        The folder that media paths are relative to; by default the folder of each file.
    profile
        A reward profile under which gold answers must earn full marks; repeatable.
    """
    from corpus.check import check_corpus, check_files

    if files:
        report = check_files(reader, files, media_root=media_root, profiles=profile, score=_score)
    else:
        with Corpus.open(corpus) as opened:
            report = check_corpus(opened, where=where, profiles=profile, score=_score)
    failures = sum(report.failures.values()) + len(report.damages)
    if report.stored:
        _print_stored(report.stored)
    checked = f"{report.samples:,} samples and {report.media:,} media files checked"
    print(f"{checked}: {f'{failures:,} failures' if failures else 'no failures'}", file=sys.stderr)
    if failures or format != "table":
        show(report.table(), format)
    return 1 if failures else 0


def _print_stored(stored: "Integrity") -> None:
    lines = [f"{stored.files:,} stored files ({stored.size_bytes:,} bytes) compared with their SHA-256"]
    if stored.newly_recorded:
        lines.append(
            f"{stored.newly_recorded:,} data files had no SHA-256 on record (they are older than the records): "
            "recorded now, and compared from now on"
        )
    for ref, reasons in stored.snapshots.items():
        lines.append(f"snapshot {ref}: {'whole' if not reasons else 'damaged: ' + ', '.join(reasons)}")
    if not stored.is_lake_whole:
        lines.append("the lake is damaged: bring the files back from a copy; gold answers were not checked")
    print(*lines, sep="\n", file=sys.stderr)


def _score(tables: Iterable[pa.Table], profile: str) -> Iterator[pa.Table]:
    from filters.score import score_tables

    return score_tables(tables, profile)
