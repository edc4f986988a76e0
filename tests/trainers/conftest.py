"""Shared by tests of training: a snapshot of the demo's world, an untrained tiny model, and one after a little SFT."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # 7 times as fast for a model this small, and one order of sums


@pytest.fixture(scope="session")
def training(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Training]":
    """A corpus with a snapshot of all ten families, and a tiny Qwen3-VL beside it."""
    pytest.importorskip("trl", reason="the training stack is not installed: pip install -e '.[train]'")
    from tests.trainers.making import make

    made = make(tmp_path_factory.mktemp("training"))
    yield made
    made.corpus.close()


@pytest.fixture(scope="session")
def taught(training: "Training") -> Path:
    """The tiny model after forty steps of SFT: its loss has halved, and it samples text like the snapshot's."""
    from trainers.sft.train import train

    config = training.sft(output=training.root / "taught", **SFT)
    return train(training.corpus, config)


# At this rate the loss falls steadily; what the tests ask of it leaves wide margins for other processors' rounding.
SFT = {
    "max_steps": 40, "batch": 8, "per_device": 8, "learning_rate": 3e-3, "schedule": "linear",
    "warmup": 0.1, "max_length": 2048,
}  # fmt: skip

if False:  # for annotations only: the module needs the training stack
    from tests.trainers.making import Training
