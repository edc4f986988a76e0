"""`onethinker select`: freeze the traces that a recipe keeps as a dataset version."""

from pathlib import Path

import pyarrow as pa

from corpus import Corpus
from onethinker.options import DEFAULT_CORPUS, CorpusUrl, Format, Workers
from onethinker.output import show


def select(
    recipe: Path,
    /,
    *,
    name: str,
    workers: Workers = None,
    format: Format = "table",
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> None:
    """Apply a recipe and freeze what it keeps as the next version of a snapshot; shows what each step dropped and why.

    Example: `onethinker select demo --name demo --corpus demo/corpus`

    Parameters
    ----------
    recipe
        The name of a recipe of filters/recipes (demo, onethinker_sft_340k), or a YAML file with profile, seed, where
        and steps.
    name
        The name of the snapshot.
    workers
        Number of processes for steps that read the responses; by default one for each core.
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
