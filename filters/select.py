"""Selection: applies a recipe to a corpus and freezes what it keeps as a named snapshot.

Each step is SQL over the traces that remain; a dropped trace keeps its first reason, in `snapshot_drops`, so that one
query shows where the data went.
"""

from dataclasses import dataclass
from pathlib import Path

from corpus import Corpus
from corpus.errors import OneThinkerError, UsageError
from corpus.progress import progress
from corpus.snapshots import Snapshot
from corpus.snapshots.versions import require_name
from filters.candidates import Candidates
from filters.pool import WORKERS
from filters.recipe import Recipe, load


@dataclass(frozen=True)
class Selection:
    """A selection: its snapshot, the number of traces considered, and the numbers dropped by step and reason."""

    snapshot: Snapshot
    considered: int
    dropped: dict[str, dict[str, int]]


def select(corpus: Corpus, recipe: Recipe | Path | str, name: str, *, workers: int | None = None) -> Selection:
    """Freeze what `recipe` (a path, a name that ships, or a Recipe) keeps as the next version of the snapshot `name`.

    Traces without a verdict under the recipe's profile are dropped as `unverified`, those whose verdict has no reward
    as `unscored`; samples of the slice without any trace are counted as `no_trace`. The same corpus and recipe give the
    same rows in the same order; if the newest version has them already, it is returned.

    Raises UsageError if the recipe, the name or the number of workers is invalid, OneThinkerError if nothing is kept.
    """
    require_name(name)
    if problem := WORKERS.problem(workers):
        raise UsageError(f"--workers {problem}")
    recipe = recipe if isinstance(recipe, Recipe) else load(recipe)
    config = {"name": name, "recipe": recipe.text}
    with corpus.run("select", config) as run, progress("select", len(recipe.steps) + 2) as bar:
        with Candidates(
            corpus, profile=recipe.profile, seed=recipe.seed, where=recipe.where, workers=workers
        ) as candidates:
            (considered,) = candidates.sql("select (select count(*) from candidates) + count(*) from drops").fetchall()[
                0
            ]
            bar.advance()
            for label, step in zip(recipe.labels, recipe.steps, strict=True):
                candidates.drop(label, step.module.drops(candidates, step.options))
                bar.advance()
            picks, drops = candidates.picks(), candidates.drop_rows()
            for reasons in candidates.counts.values():
                run.counts.update(reasons)
        if not len(picks):
            dropped = ", ".join(f"{reason} {n:,}" for reason, n in run.counts.most_common())
            raise OneThinkerError(f"the recipe keeps none of {considered:,} traces ({dropped or 'the slice is empty'})")
        run.counts["kept"] = len(picks)
        snapshot = corpus.snapshots.freeze(
            name, picks, profile=recipe.profile, recipe=recipe.text, run=run, drops=drops
        )  # fmt: skip
        bar.advance()
        return Selection(snapshot, considered, candidates.counts)
