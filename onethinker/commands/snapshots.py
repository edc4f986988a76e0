"""`onethinker snapshots`: the named dataset versions."""

from pathlib import Path
from typing import Annotated

import pyarrow as pa
from cyclopts import App, Parameter

from corpus import Corpus
from onethinker.options import DEFAULT_CORPUS, CorpusUrl, Format, Out
from onethinker.output import show

snapshots = App(name="snapshots", help="List, check and export the named dataset versions.")


@snapshots.command(name="list")
def list_(*, format: Format = "table", corpus: CorpusUrl = DEFAULT_CORPUS) -> None:
    """List the dataset versions.

    Example: `onethinker snapshots list`
    """
    query = """select name || '@' || version as snapshot, "rows", fingerprint, parent, created_at, run_id
               from snapshots order by name, version"""
    with Corpus.open(corpus) as opened:
        show(opened.sql(query).to_arrow_table(), format)


@snapshots.command(name="show")
def show_(ref: str, /, *, format: Format = "table", corpus: CorpusUrl = DEFAULT_CORPUS) -> None:
    """Show one version: rows by task, what was dropped and why, and the recipe.

    Example: `onethinker snapshots show demo@1`

    Parameters
    ----------
    ref
        NAME@V, or NAME for its newest version.
    """
    with Corpus.open(corpus) as opened:
        snapshot = opened.snapshots.get(ref)
        kept = [{"rows": n, "what": f"kept: {task}"} for task, n in snapshot.counts.items()]
        dropped = opened.sql(
            "select count(*) as \"rows\", 'dropped: ' || reason as what from snapshot_drops "
            "where name = ? and version = ? group by 2 order by 1 desc, 2",
            [snapshot.name, snapshot.version],
        ).to_arrow_table()
        title = f"{snapshot.ref}  {snapshot.rows:,} rows  fingerprint {snapshot.fingerprint}"
        show(pa.concat_tables([pa.Table.from_pylist(kept).cast(dropped.schema), dropped]), format, title)
        if format == "table":
            print(snapshot.recipe)


@snapshots.command
def verify(ref: str | None = None, /, *, corpus: CorpusUrl = DEFAULT_CORPUS) -> int:
    """Read every frozen byte of a version, or of all, and compare it with its manifest; exit 1 names what changed.

    Example: `onethinker snapshots verify demo@1`

    Parameters
    ----------
    ref
        NAME@V, or NAME for its newest version; every version when left out.
    """
    with Corpus.open(corpus) as opened:
        chosen = [opened.snapshots.get(ref)] if ref else opened.snapshots.list()
        damage = [line for snapshot in chosen for line in snapshot.damage()]
    print("\n".join(damage) if damage else f"{len(chosen)} snapshots: every byte is as it was made")
    return 1 if damage else 0


@snapshots.command
def export(
    ref: str,
    /,
    *,
    out: Out,
    layout: Annotated[str, Parameter(name="--format", help="The layout, a file of corpus/exports.")] = "llamafactory",
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> None:
    """Write a version in another trainer's layout.

    Example: `onethinker snapshots export demo@1 --format llamafactory --out export`

    Parameters
    ----------
    ref
        NAME@V, or NAME for its newest version.
    """
    from corpus.exports import export as write

    with Corpus.open(corpus) as opened:
        counts = write(opened.snapshots.get(ref), layout, Path(out))
    for name, rows in counts.items():
        print(f"{Path(out) / name}: {rows:,} rows")
