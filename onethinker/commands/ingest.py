"""`onethinker ingest`: native files into the corpus."""

from pathlib import Path
from typing import Annotated

import pyarrow as pa
from cyclopts import Parameter

from corpus import Corpus
from onethinker.options import DEFAULT_CORPUS, CorpusUrl, Format
from onethinker.output import show


def ingest(
    reader: str,
    /,
    *paths: Path,
    media_root: Annotated[Path | None, Parameter(name="--media-root")] = None,
    split: str | None = None,
    limit: int | None = None,
    teacher: str | None = None,
    format: Format = "table",
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> None:
    """Read native files into the corpus; what cannot be used is set aside in `rejects` with its reason.

    Running it again adds only what is new, and completes a run that was stopped.

    Example: `onethinker ingest onethinker demo/world/world_rl_train.json`

    Parameters
    ----------
    reader
        The format: a file of corpus/sources, such as `onethinker`.
    paths
        Annotation files, or folders where the format is one.
    media_root
        The folder that media paths are relative to and may not leave; each file's own folder when left out.
    split
        train, eval or sft; told by the file's name when left out.
    limit
        Read at most so many records, over all files.
    teacher
        Who wrote the traces that come along; `release:` and the file's name when left out.
    """
    from corpus.ingest import ingest as read_in

    with Corpus.open(corpus) as opened:
        counts = read_in(opened, reader, paths, media_root=media_root, split=split, limit=limit, teacher=teacher)
    reasons = sorted(name for name in counts if ": " in name)
    told = ["records", "samples", "attached", "known", "rejects", *reasons, "traces"]
    rows = [{"count": counts[name], "of": name} for name in told]
    show(pa.Table.from_pylist(rows, schema=pa.schema([("count", pa.int64()), ("of", pa.string())])), format)
