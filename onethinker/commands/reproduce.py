"""`onethinker reproduce`: compare EMA-GRPO with other estimators on a tiny model, on any laptop."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from corpus.extras import TRAINING, require_extra
from corpus.ranges import AT_LEAST_1, Range
from onethinker.options import Out


def reproduce(
    *,
    out: Out = Path("reproduction"),
    seeds: Annotated[
        int, Parameter(validator=AT_LEAST_1, help="Repetitions; confidence intervals are over these.")
    ] = 3,
    sft_steps: Annotated[int, Parameter(validator=AT_LEAST_1, help="Steps of the SFT cold start.")] = 200,
    rl_steps: Annotated[int, Parameter(validator=AT_LEAST_1, help="Steps of each RL run.")] = 30,
    per_family: Annotated[
        int, Parameter(validator=Range(1, 10_000), help="Questions of each of the four task families.")
    ] = 12,
    processes: Annotated[
        int, Parameter(validator=Range(1, 1024), help="Training processes at the same time, each on one core.")
    ] = 2,
) -> None:
    """Train a tiny Qwen3-VL from scratch under five estimators; leaves tables and curves, and every run in OUT/corpus.

    Compares SFT alone with RL, each task's share of the gradient, and RL without one task. Takes about a quarter of
    an hour on two cores with the defaults; run again, it continues where it stopped.

    Example: `onethinker reproduce --out reproduction --seeds 1 --sft-steps 20 --rl-steps 4`
    """
    require_extra("train", *TRAINING)
    from onethinker.demo.world import write_world
    from trainers.experiment.run import ExperimentPlan
    from trainers.experiment.run import reproduce as run

    plan = ExperimentPlan(
        seeds=seeds, sft_steps=sft_steps, rl_steps=rl_steps, per_family=per_family, processes=processes
    )
    run(out, plan, write_world(out / "world", seed=0, per_family=per_family))
    print((out / "results.md").read_text())
    print(f"curves: {out / 'results.svg'}   every run: onethinker sql 'from runs' --corpus {out / 'corpus'}")
