"""`onethinker train`: supervised fine-tuning and reinforcement learning on a snapshot, and comparison of runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from corpus import Corpus
from corpus.extras import TRAINING, require_extra
from onethinker.options import DEFAULT_CORPUS, CorpusUrl, Format
from onethinker.output import show
from onethinker.output_path import writable_file

train = App(name="train", help="Train on a dataset version, and compare training runs.")

SnapshotRef = Annotated[
    str | None, Parameter(name="--snapshot", help="NAME@V, or NAME for its newest version; overrides the config's.")
]
Resume = Annotated[str | None, Parameter(help="A checkpoint folder to continue from, or `last`.")]
DryRun = Annotated[
    bool,
    Parameter(name="--dry-run", negative=(), help="Print the resolved config and the memory it needs; train nothing."),
]


@train.command
def sft(
    config: str,
    /,
    *,
    snapshot: SnapshotRef = None,
    resume: Resume = None,
    dry_run: DryRun = False,
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> None:
    """Fine-tune on the responses of a snapshot; leaves the model, its card and checkpoints in the output folder.

    On several GPUs start it with torchrun or accelerate: `torchrun --nproc-per-node 8 -m onethinker.cli train …`

    Example: `onethinker train sft sft_24gb --snapshot demo@1 --dry-run --corpus demo/corpus`

    Parameters
    ----------
    config
        The name of a config of trainers/configs (sft_24gb, sft_8x80gb, sft_32x80gb), or a YAML file.
    """
    from trainers.sft.config import SftConfig
    from trainers.sft.train import train as run

    _train(run, _load(config, SftConfig, snapshot), resume, dry_run, corpus)


@train.command
def rl(
    config: str,
    /,
    *,
    snapshot: SnapshotRef = None,
    resume: Resume = None,
    dry_run: DryRun = False,
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> None:
    """Train with rewards on the questions of a snapshot, by EMA-GRPO or another estimator of the config.

    On several GPUs start it with torchrun or accelerate: `torchrun --nproc-per-node 8 -m onethinker.cli train …`

    Example: `onethinker train rl rl_24gb --snapshot demo@1 --dry-run --corpus demo/corpus`

    Parameters
    ----------
    config
        The name of a config of trainers/configs (rl_24gb, rl_8x80gb, rl_32x80gb), or a YAML file.
    """
    from trainers.rl.config import RlConfig
    from trainers.rl.train import train as run

    _train(run, _load(config, RlConfig, snapshot), resume, dry_run, corpus)


@train.command
def compare(
    a: str,
    b: str,
    /,
    *,
    plots: Annotated[
        Path | None, Parameter(validator=writable_file, help="Also plot the curves of both runs into this SVG file.")
    ] = None,
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


def _load(name: str, kind: Any, snapshot: str | None) -> Any:
    """The config `name`, of the snapshot given or else its own. Raises UsageError if anything in it is wrong."""
    from trainers.config import load

    return load(name, kind, **({} if snapshot is None else {"snapshot": snapshot}))


def _train(run: Callable[..., Path], config: Any, resume: str | None, dry_run: bool, corpus: str) -> None:
    """Train as `config` says and print the model's folder, or, with `dry_run`, describe the training.

    Raises OneThinkerError if the packages of the extra `train` are not installed.
    """
    require_extra("train", *TRAINING)
    with Corpus.open(corpus) as opened:
        if dry_run:
            from trainers.dry_run import describe

            print(describe(opened, config))
        else:
            print(run(opened, config, resume=resume))
