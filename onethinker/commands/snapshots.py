"""`onethinker snapshots`: list, compare, check, export and delete dataset versions."""

import sys
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
from cyclopts import App, Parameter

from corpus import Corpus, UsageError
from onethinker.options import DEFAULT_CORPUS, CorpusUrl, Count, Format, Out
from onethinker.output import show
from onethinker.output_path import writable_file

snapshots = App(name="snapshots", help="List, compare, check, export and delete the named dataset versions.")


@snapshots.command(name="list")
def list_(*, format: Format = "table", corpus: CorpusUrl = DEFAULT_CORPUS) -> None:
    """List the dataset versions.

    Example: `onethinker snapshots list --corpus demo/corpus`
    """
    query = """select name || '@' || version as snapshot, "rows", fingerprint, parent, created_at, run_id
               from snapshots order by name, version"""
    with Corpus.open(corpus) as opened:
        show(opened.sql(query).to_arrow_table(), format)


@snapshots.command(name="show")
def show_(ref: str, /, *, format: Format = "table", corpus: CorpusUrl = DEFAULT_CORPUS) -> None:
    """Show one version: rows by task, dropped traces by reason, and the recipe.

    Example: `onethinker snapshots show demo@1 --corpus demo/corpus`

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
        if format in ("table", "lines"):
            print(snapshot.recipe)


@snapshots.command
def verify(ref: str | None = None, /, *, corpus: CorpusUrl = DEFAULT_CORPUS) -> int:
    """Compare every byte of a version, or of all versions, with the manifest; exit 1 and the file if one changed.

    Example: `onethinker snapshots verify demo@1 --corpus demo/corpus`

    Parameters
    ----------
    ref
        NAME@V, or NAME for its newest version; by default every version.
    """
    with Corpus.open(corpus) as opened:
        chosen = [opened.snapshots.get(ref)] if ref else opened.snapshots.list()
        damage = [line for snapshot in chosen for line in snapshot.damage()]
    print("\n".join(damage) if damage else f"{len(chosen)} snapshots verified: no byte has changed")
    return 1 if damage else 0


@snapshots.command
def export(
    ref: str,
    /,
    *,
    out: Out,
    layout: Annotated[str, Parameter(name="--format", help="The layout, one of corpus/exports.")] = "llamafactory",
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> None:
    """Write a version in another trainer's layout.

    Example: `onethinker snapshots export demo@1 --format llamafactory --out export --corpus demo/corpus`

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


@snapshots.command
def diff(
    old: str,
    new: str,
    /,
    *,
    html: Annotated[Path | None, Parameter(validator=writable_file)] = None,
    limit: Count = 20,
    format: Format = "table",
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> None:
    """Compare two versions: rows added, dropped (with reasons) and re-annotated, and rewards by task.

    The table format prints a summary and re-annotated answers side by side; other formats print one row per change.

    Example: `onethinker snapshots diff demo@1 demo --html diff.html --corpus demo/corpus`

    Parameters
    ----------
    old
        NAME@V to compare with.
    new
        NAME@V, or NAME for its newest version.
    html
        Also write a page with the old and the new trace of each change side by side.
    limit
        Show at most so many changes (of each kind, on the page).
    """
    from corpus.snapshots.diff import diff as compare

    with Corpus.open(corpus) as opened:
        found = compare(opened, old, new)
    if html:
        from onethinker.diff_page import write

        write(found, html, limit=limit)
    if format != "table":
        show(found.changes, format)
        return
    show(found.summary(), title=f"{found.old.ref} → {found.new.ref}: {found.old.rows:,} → {found.new.rows:,} rows")
    show(found.shifts, title="Rewards by task")
    both = found.changes.filter(pc.equal(found.changes["change"], "re-annotated")).slice(0, limit)
    if len(both):
        columns = ["task", "reason", "old_teacher", "old_reward", "new_teacher", "new_reward"]
        show(both.select([*columns, "old_response", "new_response"]), title="Re-annotated")


@snapshots.command
def delete(
    ref: str,
    /,
    *,
    yes: Annotated[bool, Parameter(name="--yes", negative="")] = False,
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> int:
    """Delete the files of a version; lists what refers to it, and deletes only with --yes.

    Its samples, traces and verdicts stay in the corpus, and its version number is never reused.

    Example: `onethinker snapshots delete demo@1 --yes --corpus demo/corpus`

    Parameters
    ----------
    ref
        NAME@V; the version is required.
    yes
        Delete without asking back.
    """
    if "@" not in ref:
        raise UsageError(f"'{ref}' has no version: give one, as in {ref}@1")
    with Corpus.open(corpus) as opened:
        snapshot = opened.snapshots.get(ref)
        for line in opened.snapshots.referrers(snapshot):
            print(line)
        if not yes:
            print(f"{snapshot.ref} ({snapshot.rows:,} rows) was not deleted: add --yes to delete it", file=sys.stderr)
            return 2
        opened.snapshots.delete(snapshot.ref)
    print(
        f"{snapshot.ref} ({snapshot.rows:,} rows) is deleted; `onethinker compact` frees the space that only it needed"
    )
    return 0
