"""`onethinker train`: supervised fine-tuning and reinforcement learning on a snapshot, and a look at how runs went."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from corpus import Corpus
from onethinker.options import DEFAULT_CORPUS, CorpusUrl, Format
from onethinker.output import show

train = App(name="train", help="Train on a dataset version, and compare training runs.")

Resume = Annotated[str | None, Parameter(help="A checkpoint folder to go on from, or `last`.")]
DryRun = Annotated[
    bool, Parameter(name="--dry-run", negative=(), help="Print what would be trained and what it needs; train nothing.")
]


@train.command
def sft(config: str, /, *, resume: Resume = None, dry_run: DryRun = False, corpus: CorpusUrl = DEFAULT_CORPUS) -> None:
    """Fine-tune on the responses of a snapshot; leaves the model, its card and its checkpoints in the output folder.

    On several GPUs start it with torchrun or accelerate launch: `torchrun --nproc-per-node 8 -m onethinker.cli train …`

    Example: `onethinker train sft sft_8x80gb --dry-run`

    Parameters
    ----------
    config
        A YAML file, or the name of one in trainers/configs/.
    """
    from trainers.sft.config import SftConfig
    from trainers.sft.train import train as run

    _train(run, config, SftConfig, resume, dry_run, corpus)


@train.command
def rl(config: str, /, *, resume: Resume = None, dry_run: DryRun = False, corpus: CorpusUrl = DEFAULT_CORPUS) -> None:
    """Learn from rewards on the questions of a snapshot: EMA-GRPO, or another estimator of the config.

    On several GPUs start it with torchrun or accelerate launch: `torchrun --nproc-per-node 8 -m onethinker.cli train …`

    Example: `onethinker train rl rl_8x80gb --dry-run`

    Parameters
    ----------
    config
        A YAML file, or the name of one in trainers/configs/.
    """
    from trainers.rl.config import RlConfig
    from trainers.rl.train import train as run

    _train(run, config, RlConfig, resume, dry_run, corpus)


@train.command
def compare(
    a: str,
    b: str,
    /,
    *,
    plots: Annotated[Path | None, Parameter(help="Also draw the curves of both runs into this SVG file.")] = None,
    format: Format = "table",
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> None:
    """Put two training runs side by side: what differs in their configs, and what each metric came to.

    Example: `onethinker train compare grpo ema --plots curves.svg`

    Parameters
    ----------
    a
        A run id, or the output folder's name of the newest run that has it.
    b
        Another.
    """
    from trainers.comparison import compared

    with Corpus.open(corpus) as opened:
        comparison = compared(opened, a, b)
        show(comparison.settings, format, "What differs")
        show(comparison.metrics, format, f"{a} and {b}, the mean of each metric's last tenth of steps")
        if plots is not None:
            plots.write_text(comparison.svg())


def _train(run: Callable[..., Path], name: str, kind: Any, resume: str | None, dry_run: bool, corpus: str) -> None:
    """Do as the config `name` says, or only say what that would be; prints the model's folder, or the description."""
    from trainers.config import load

    config = load(name, kind)
    with Corpus.open(corpus) as opened:
        if dry_run:
            from trainers.dry_run import describe

            print(describe(opened, config))
        else:
            print(run(opened, config, resume=resume))
