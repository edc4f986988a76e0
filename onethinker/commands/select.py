"""`onethinker select`: the traces worth training on, frozen under a name."""

from pathlib import Path

import pyarrow as pa

from corpus import Corpus
from onethinker.options import DEFAULT_CORPUS, CorpusUrl, Format
from onethinker.output import show


def select(
    recipe: Path,
    /,
    *,
    name: str,
    workers: int | None = None,
    format: Format = "table",
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> None:
    """Apply a recipe and freeze what it keeps as the next version of a snapshot; show what went, where and why.

    Example: `onethinker select demo --name demo`

    Parameters
    ----------
    recipe
        A YAML file: profile, seed, where, and the list of steps.
    name
        The snapshot's name.
    workers
        How many processes to use for steps that read the responses; all processors when left out.
    """
    from filters import select as select_corpus

    with Corpus.open(corpus) as opened:
        done = select_corpus(opened, recipe, name, workers=workers)
    rows = [
        {"step": step, "reason": reason, "traces": -traces}
        for step, reasons in done.dropped.items()
        for reason, traces in sorted(reasons.items())
    ]
    rows = [
        {"step": "considered", "reason": None, "traces": done.considered},
        *rows,
        {"step": "kept", "reason": None, "traces": done.snapshot.rows},
    ]
    schema = pa.schema([("step", pa.string()), ("reason", pa.string()), ("traces", pa.int64())])
    show(
        pa.Table.from_pylist(rows, schema=schema), format, f"snapshot {done.snapshot.ref}  {done.snapshot.fingerprint}"
    )
