"""`onethinker demo`: the whole pipeline on a small world of our own, without a key."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from onethinker.options import Out


def demo(
    *,
    out: Out = Path("demo"),
    teacher: Annotated[
        str | None, Parameter(help="provider:model to use instead of the local teacher; its key must be set.")
    ] = None,
    seed: int = 0,
    per_family: Annotated[int, Parameter(help="Questions drawn for each of the ten task families.")] = 8,
    train: Annotated[
        bool, Parameter(negative=(), help="Also train a tiny model on what was kept (SFT, then RL): some minutes more.")
    ] = False,
) -> None:
    """Draw a world, ingest, annotate, verify, select, freeze, query; leaves OUT/corpus and OUT/index.html.

    Run again, it goes on from where it was stopped and writes nothing twice.

    Example: `onethinker demo --out demo`
    """
    from onethinker.demo.run import run

    run(out, teacher=teacher, seed=seed, per_family=per_family, train=train)
