"""`onethinker demo`: the whole pipeline on a small synthetic dataset, without an API key."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from corpus.extras import TRAINING, require_extra
from corpus.ranges import Range
from onethinker.options import Out, Seed


def demo(
    *,
    out: Out = Path("demo"),
    teacher: Annotated[
        str | None, Parameter(help="provider:model to ask instead of the local teacher; its API key must be set.")
    ] = None,
    seed: Seed = 0,
    per_family: Annotated[
        int, Parameter(validator=Range(1, 10_000), help="Questions to generate for each of the ten task families.")
    ] = 8,
    train: Annotated[
        bool, Parameter(negative=(), help="Also train a tiny model on the result (SFT, then RL): a few minutes more.")
    ] = False,
) -> None:
    """Generate images, videos and questions; ingest, annotate, verify, select; leaves OUT/corpus and OUT/index.html.

    Run again, it continues where it stopped and writes nothing twice.

    Example: `onethinker demo --out demo`
    """
    if train:
        require_extra("train", *TRAINING)
    from onethinker.demo.run import run_demo

    run_demo(out, teacher=teacher, seed=seed, per_family=per_family, train=train)
