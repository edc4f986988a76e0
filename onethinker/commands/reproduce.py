"""`onethinker reproduce`: EMA-GRPO against its rivals with a tiny model, on any laptop."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from onethinker.options import Out


def reproduce(
    *,
    out: Out = Path("reproduction"),
    seeds: Annotated[int, Parameter(help="Repetitions; intervals are over these.")] = 3,
    sft_steps: Annotated[int, Parameter(help="Steps of the SFT cold start.")] = 200,
    rl_steps: Annotated[int, Parameter(help="Steps of each RL run.")] = 30,
    per_family: Annotated[int, Parameter(help="Questions of each of the four families that are learnt.")] = 12,
    processes: Annotated[int, Parameter(help="Trainings side by side, each on one processor.")] = 2,
) -> None:
    """Train a tiny Qwen3-VL from scratch under five estimators; leaves tables and curves, and every run in OUT/corpus.

    SFT alone against RL, the share of the gradient that each task gets, and RL without one task. Some quarter of an
    hour on two processors with the defaults; begun again, it goes on where it was stopped.

    Example: `onethinker reproduce --out reproduction --seeds 1 --sft-steps 20 --rl-steps 4`
    """
    from onethinker.demo.world import write_world
    from trainers.experiment.run import Plan
    from trainers.experiment.run import reproduce as run

    plan = Plan(seeds=seeds, sft_steps=sft_steps, rl_steps=rl_steps, per_family=per_family, processes=processes)
    run(out, plan, write_world(out / "world", seed=0, per_family=per_family))
    print((out / "results.md").read_text())
    print(f"curves: {out / 'results.svg'}   every run: onethinker sql 'from runs' --corpus {out / 'corpus'}")
