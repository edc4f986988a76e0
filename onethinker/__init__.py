"""Make, verify, version and train on multi-task visual reasoning data.

    import onethinker as ot

    with ot.open("demo/corpus") as corpus:
        ot.annotate(corpus, teacher="local:pixels-1", where="task = 'tracking'", n=2)
        ot.verify(corpus)
        ot.select(corpus, "demo", "demo")

Each name is imported on first use, so that `import onethinker` loads no heavy library.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onethinker.shadowing import refuse_shadowing

if TYPE_CHECKING:
    from annotators import annotate
    from corpus import Corpus, OneThinkerError, UsageError
    from corpus.ingest import ingest
    from corpus.snapshots import Snapshot
    from corpus.tasks import task, tasks
    from filters import score, select, verify
    from trainers.advantages import DrGrpo, EmaGrpo, G2rpo, Gdpo, Grpo
    from trainers.rl.config import RlConfig
    from trainers.rl.train import train as train_rl
    from trainers.sft.config import SftConfig
    from trainers.sft.train import train as train_sft

__all__ = [
    "Corpus",
    "DrGrpo",
    "EmaGrpo",
    "G2rpo",
    "Gdpo",
    "Grpo",
    "OneThinkerError",
    "RlConfig",
    "SftConfig",
    "Snapshot",
    "UsageError",
    "annotate",
    "create",
    "ingest",
    "open",
    "score",
    "select",
    "task",
    "tasks",
    "train_rl",
    "train_sft",
    "verify",
]

# Public name → where it is defined: the run-time counterpart of the imports above (a test compares the two).
_SOURCES = {
    "Corpus": "corpus:Corpus",
    "DrGrpo": "trainers.advantages:DrGrpo",
    "EmaGrpo": "trainers.advantages:EmaGrpo",
    "G2rpo": "trainers.advantages:G2rpo",
    "Gdpo": "trainers.advantages:Gdpo",
    "Grpo": "trainers.advantages:Grpo",
    "OneThinkerError": "corpus:OneThinkerError",
    "RlConfig": "trainers.rl.config:RlConfig",
    "SftConfig": "trainers.sft.config:SftConfig",
    "Snapshot": "corpus.snapshots:Snapshot",
    "UsageError": "corpus:UsageError",
    "annotate": "annotators:annotate",
    "ingest": "corpus.ingest:ingest",
    "score": "filters:score",
    "select": "filters:select",
    "task": "corpus.tasks:task",
    "tasks": "corpus.tasks:tasks",
    "train_rl": "trainers.rl.train:train",
    "train_sft": "trainers.sft.train:train",
    "verify": "filters:verify",
}

refuse_shadowing()


def open(url: str | Path, *, at: str | None = None) -> "Corpus":
    """Open the corpus at `url`, a folder or a URL; with `at="NAME@V"`, as it was when that snapshot was made.

    Raises OneThinkerError if there is no corpus at `url`, or if this version of the code cannot read it.
    """
    from corpus import Corpus

    return Corpus.open(url, at=at)


def create(url: str | Path, *, catalog: str | None = None) -> "Corpus":
    """Create an empty corpus at `url` and open it; `catalog` is `postgres:dbname=… host=…`, or a file in the folder.

    Raises OneThinkerError if something exists at `url` already.
    """
    from corpus import Corpus

    return Corpus.create(url, catalog=catalog)


def __getattr__(name: str) -> Any:
    if name not in _SOURCES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _SOURCES[name].partition(":")
    value = globals()[name] = getattr(importlib.import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
