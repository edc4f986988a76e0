"""A snapshot's questions for TRL: a dataset of prompts, and the order of each epoch."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from datasets import Dataset
from trl.trainer.utils import RepeatSampler

from corpus.snapshots import Snapshot


def prompt_dataset(snapshot: Snapshot) -> Dataset:
    """The snapshot's questions, once each regardless of its traces, with the columns `prompt` and `row`."""
    data = snapshot.dataset(decode=False)  # the encoder decodes media, and drops rows that fail
    first: dict[str, int] = {}
    for i, sample_id in enumerate(data.with_format("arrow")["sample_id"].to_pylist()):
        first.setdefault(sample_id, i)
    if len(first) < len(data):
        data = data.select(list(first.values()))
    return data.with_transform(_rows)


def _rows(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
    names = list(batch)
    rows = [dict(zip(names, values, strict=True)) for values in zip(*batch.values(), strict=True)]
    return {"prompt": batch["prompt"], "row": rows}


class EpochSampler(RepeatSampler):  # type: ignore[misc]
    """TRL's sampler with an order that depends on the seed and the epoch alone."""

    def __init__(self, epoch: Callable[[], int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        if self.shuffle:
            order = np.random.SeedSequence([self.seed, self._epoch()]).generate_state(1)
            self.generator.manual_seed(int(order[0]))
        yield from super().__iter__()
