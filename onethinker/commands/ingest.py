"""`onethinker ingest`: read annotation files into the corpus."""

import sys
from pathlib import Path
from typing import Annotated

import pyarrow as pa
from cyclopts import Parameter

from corpus import Corpus
from onethinker.options import DEFAULT_CORPUS, CorpusUrl, Format, Limit
from onethinker.output import show


def ingest(
    reader: str,
    /,
    *paths: Path,
    media_root: Annotated[Path | None, Parameter(name="--media-root")] = None,
    split: str | None = None,
    limit: Limit = None,
    teacher: str | None = None,
    format: Format = "table",
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> int:
    """Read annotation files into the corpus; unusable records go to `rejects` with a reason.

    Running it again adds only what is new, and completes an interrupted run. Exits with 1 if every record was rejected.

    Example: `onethinker ingest onethinker demo/world/world_rl_train.json --corpus demo/corpus`

    Parameters
    ----------
    reader
        The format: a reader of corpus/sources, such as `onethinker`.
    paths
        Annotation files, or folders if the format is a folder.
    media_root
        The folder that media paths are relative to and may not leave; by default the folder of each file.
    split
        train, eval or sft; by default inferred from the file's name.
    limit
        Read at most this many records over all files.
    teacher
        The author of traces in the files; by default `release:` and the file's name.
    """
    from corpus.ingest import ingest as read_in

    with Corpus.open(corpus) as opened:
        counts = read_in(opened, reader, paths, media_root=media_root, split=split, limit=limit, teacher=teacher)
    reasons = sorted(name for name in counts if ": " in name)
    names = ["records", "samples", "attached", "known", "rejects", *reasons, "traces"]
    rows = [{"count": counts[name], "of": name} for name in names]
    show(pa.Table.from_pylist(rows, schema=pa.schema([("count", pa.int64()), ("of", pa.string())])), format)
    if counts["records"] and counts["records"] == counts["rejects"]:
        run = "(select max_by(run_id, started_at) from runs where kind = 'ingest')"
        look = f'onethinker sql "select file, \\"row\\", field, reason, detail from rejects where run_id = {run}"'
        print(f"all {counts['records']:,} records were rejected; to see why: {look}", file=sys.stderr)
        return 1
    return 0
