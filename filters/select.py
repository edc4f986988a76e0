"""Selection: a recipe applied to a corpus, and what it keeps frozen as a named snapshot.

Each step is SQL over the traces still in; a trace that a step takes out keeps the first reason it got, in
`snapshot_drops`, so that one query tells where the data went.
"""

from dataclasses import dataclass
from pathlib import Path

from corpus import Corpus
from corpus.errors import OneThinkerError
from corpus.progress import progress
from corpus.snapshots import Snapshot
from filters.candidates import Candidates
from filters.recipe import Recipe, load


@dataclass(frozen=True)
class Selection:
    """What a selection did: its snapshot, how many traces each step took out by reason, and how many there were."""

    snapshot: Snapshot
    considered: int
    dropped: dict[str, dict[str, int]]


def select(corpus: Corpus, recipe: Recipe | Path | str, name: str, *, workers: int | None = None) -> Selection:
    """Freeze what `recipe` (a file, or one loaded) keeps as the next version of the snapshot `name`.

    Traces without a verdict under the recipe's profile are dropped as `unverified`, those whose verdict holds no number
    as `unscored`; samples of the slice without any trace are counted as `no_trace`. The same corpus and recipe give the
    same rows in the same order; where the newest version has them already, that one is returned.

    Raises UsageError for a recipe that is wrong, OneThinkerError where nothing is kept.
    """
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
            picks, drops = candidates.picks(), candidates.dropped()
            for reasons in candidates.counts.values():
                run.counts.update(reasons)
        if not len(picks):
            told = ", ".join(f"{reason} {n:,}" for reason, n in run.counts.most_common())
            raise OneThinkerError(f"the recipe keeps none of {considered:,} traces ({told or 'the slice is empty'})")
        run.counts["kept"] = len(picks)
        snapshot = corpus.snapshots.freeze(
            name, picks, profile=recipe.profile, recipe=recipe.text, run=run, drops=drops
        )  # fmt: skip
        bar.advance()
        return Selection(snapshot, considered, candidates.counts)
