"""TRL's SFTTrainer with our loader: rows stream from the snapshot, workers decode them, none is truncated."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from datasets import Dataset
from torch.utils.data import DataLoader
from trl import SFTConfig as TrlConfig
from trl import SFTTrainer

from corpus.snapshots import Snapshot
from trainers.batching import Collator, RowBatches, RowPassthrough
from trainers.encoding import Encoder, MediaLimits, Row
from trainers.estimate import media_tokens
from trainers.models import adapters, load_model, load_processor
from trainers.run import trl_arguments, world_size
from trainers.sft.config import SftConfig


class SnapshotSftTrainer(SFTTrainer):  # type: ignore[misc]
    """TRL's trainer over a snapshot. `dropped` counts dropped rows by reason."""

    def __init__(self, snapshot: Snapshot, config: SftConfig, encoder: Encoder, **kwargs: Any) -> None:
        self.dropped: Counter[str] = Counter()
        self._snapshot, self._config, self._encoder = snapshot, config, encoder
        super().__init__(data_collator=Collator(encoder), processing_class=encoder.processor, **kwargs)
        # Qwen3-VL declares that it takes no token count, so every micro-batch would weigh the same regardless of its
        # tokens. TRL computes the loss itself and does take the count, so that every token weighs the same.
        self.model_accepts_loss_kwargs = True

    def get_train_dataloader(self) -> "SnapshotLoader":
        """Our own loader, which gives each rank its own rows, so accelerate need not wrap it."""
        rank, ranks = self.accelerator.process_index, self.accelerator.num_processes
        return loader(self._snapshot, self._config, self._encoder, rank, ranks)

    def _prepare_inputs(self, inputs: Any) -> Any:
        for row_id, reason in inputs.pop("dropped", ()):
            self.dropped[reason] += 1
            print(f"row {row_id} dropped: {reason}", file=sys.stderr)
        return super()._prepare_inputs(inputs)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log TRL's metrics and the rows that this rank has dropped so far, by reason."""
        super().log(logs | {f"dropped/{why}": n for why, n in self.dropped.items()}, start_time)


class SnapshotLoader(DataLoader):  # type: ignore[misc]
    """A DataLoader that passes the epoch to its batch sampler."""

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration."""
        self.batch_sampler.set_epoch(epoch)


def build(snapshot: Snapshot, config: SftConfig) -> SnapshotSftTrainer:
    """Build the trainer. Raises UsageError if the batch does not divide among the ranks."""
    own = {
        "max_length": None,  # the encoder drops rows that are too long; TRL would truncate inside media tokens
        "dataset_kwargs": {"skip_prepare_dataset": True},
        "learning_rate": config.learning_rate,
        "num_train_epochs": config.epochs,
    }
    return SnapshotSftTrainer(
        snapshot,
        config,
        Encoder(load_processor(config.model), config.media, config.max_length),
        args=trl_arguments(config, own, TrlConfig, config.accumulation(world_size(config))),
        model=load_model(config.model),
        train_dataset=Dataset.from_dict({"row": range(snapshot.rows)}),  # only its length is used
        peft_config=adapters(config.model),
    )


def loader(snapshot: Snapshot, config: SftConfig, encoder: Encoder, rank: int, ranks: int) -> SnapshotLoader:
    """The batches of one rank, collated in `config.workers` processes."""

    def order(epoch: int) -> Iterator[Row]:
        # Every rank reads every row as text, and decodes only its own.
        return iter(snapshot.stream(epoch=epoch, seed=config.seed).decode(False))

    batches = RowBatches(
        order,
        snapshot.rows,
        config.per_device,
        config.accumulation(ranks),
        rank,
        ranks,
        length_of=lengths(snapshot, config.media) if config.group_by_length else None,
        seed=config.seed,
    )
    return SnapshotLoader(
        RowPassthrough(),
        batch_sampler=batches,
        collate_fn=Collator(encoder, anchored=ranks > 1),
        num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
        multiprocessing_context="forkserver" if config.workers else None,
    )


def lengths(snapshot: Snapshot, media: MediaLimits) -> Callable[[Row], int]:
    """An estimator of a row's tokens, from its text and the size of its media; holds about 100 bytes per row."""
    tokens: dict[bytes, int] = {}
    for batch in snapshot.batches(["trace_id", "prompt", "response", "media"]):
        for row in batch.to_pylist():
            text = (len(row["prompt"]) + len(row["response"] or "")) // 4
            tokens[bytes.fromhex(row["trace_id"])] = text + media_tokens(row["media"], media)
    return lambda row: tokens[bytes.fromhex(row["trace_id"])]
