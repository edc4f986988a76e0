"""`onethinker train`: supervised fine-tuning and reinforcement learning on a snapshot, and comparison of runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from corpus import Corpus
from onethinker.options import DEFAULT_CORPUS, CorpusUrl, Format
from onethinker.output import show

train = App(name="train", help="Train on a dataset version, and compare training runs.")

Resume = Annotated[str | None, Parameter(help="A checkpoint folder to continue from, or `last`.")]
DryRun = Annotated[
    bool,
    Parameter(name="--dry-run", negative=(), help="Print the resolved config and the memory it needs; train nothing."),
]


@train.command
def sft(config: str, /, *, resume: Resume = None, dry_run: DryRun = False, corpus: CorpusUrl = DEFAULT_CORPUS) -> None:
    """Fine-tune on the responses of a snapshot; leaves the model, its card and checkpoints in the output folder.

    On several GPUs start it with torchrun or accelerate: `torchrun --nproc-per-node 8 -m onethinker.cli train …`

    Example: `onethinker train sft sft_24gb --dry-run`

    Parameters
    ----------
    config
        The name of a config of trainers/configs (sft_24gb, sft_8x80gb, sft_32x80gb), or a YAML file.
    """
    from trainers.sft.config import SftConfig
    from trainers.sft.train import train as run

    _train(run, config, SftConfig, resume, dry_run, corpus)


@train.command
def rl(config: str, /, *, resume: Resume = None, dry_run: DryRun = False, corpus: CorpusUrl = DEFAULT_CORPUS) -> None:
    """Train with rewards on the questions of a snapshot, by EMA-GRPO or another estimator of the config.

    On several GPUs start it with torchrun or accelerate: `torchrun --nproc-per-node 8 -m onethinker.cli train …`

    Example: `onethinker train rl rl_24gb --dry-run`

    Parameters
    ----------
    config
        The name of a config of trainers/configs (rl_24gb, rl_8x80gb, rl_32x80gb), or a YAML file.
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
    plots: Annotated[Path | None, Parameter(help="Also plot the curves of both runs into this SVG file.")] = None,
    format: Format = "table",
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> None:
    """Compare two training runs: the settings that differ, and the final value of each metric.

    Example: `onethinker train compare grpo ema --plots curves.svg`

    Parameters
    ----------
    a
        A run id, or the name of an output folder, for its newest run.
    b
        The run to compare it with.
    """
    from trainers.comparison import compare_runs

    with Corpus.open(corpus) as opened:
        comparison = compare_runs(opened, a, b)
        show(comparison.settings, format, "Settings that differ")
        show(comparison.metrics, format, f"{a} and {b}: each metric's mean over the last tenth of the steps")
        if plots is not None:
            plots.write_text(comparison.svg())


def _train(run: Callable[..., Path], name: str, kind: Any, resume: str | None, dry_run: bool, corpus: str) -> None:
    """Train as the config `name` says and print the model's folder, or, with `dry_run`, describe the training."""
    from trainers.config import load

    config = load(name, kind)
    with Corpus.open(corpus) as opened:
        if dry_run:
            from trainers.dry_run import describe

            print(describe(opened, config))
        else:
            print(run(opened, config, resume=resume))
