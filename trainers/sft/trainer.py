"""TRL's SFTTrainer, fed by our loader: rows streamed from the snapshot, decoded in workers, never cut."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from datasets import Dataset
from torch.utils.data import DataLoader
from trl import SFTConfig as TrlConfig
from trl import SFTTrainer

from corpus.snapshots import Snapshot
from trainers.batching import AsAsked, Collator, RowBatches
from trainers.encoding import Encoder, MediaLimits, Row
from trainers.estimate import media_tokens
from trainers.models import adapters, load_model, load_processor
from trainers.run import ranks as world_size
from trainers.run import trl_arguments
from trainers.sft.config import SftConfig


class SnapshotSftTrainer(SFTTrainer):  # type: ignore[misc]
    """TRL's trainer over a snapshot. Rows that had to be dropped are counted by reason in `dropped`."""

    def __init__(self, snapshot: Snapshot, config: SftConfig, encoder: Encoder, **kwargs: Any) -> None:
        self.dropped: Counter[str] = Counter()
        self._snapshot, self._config, self._encoder = snapshot, config, encoder
        super().__init__(data_collator=Collator(encoder), processing_class=encoder.processor, **kwargs)
        # Qwen3-VL says that it takes no token count, and then every micro-batch weighs the same however few tokens it
        # has. TRL computes the loss itself and does take the count: a token weighs the same wherever it stands.
        self.model_accepts_loss_kwargs = True

    def get_train_dataloader(self) -> "Loader":
        """Our own loader; accelerate need not touch it, since it gives each rank its own rows."""
        rank, ranks = self.accelerator.process_index, self.accelerator.num_processes
        return loader(self._snapshot, self._config, self._encoder, rank, ranks)

    def _prepare_inputs(self, inputs: Any) -> Any:
        for row_id, reason in inputs.pop("dropped", ()):
            self.dropped[reason] += 1
            print(f"row {row_id} dropped: {reason}", file=sys.stderr)
        return super()._prepare_inputs(inputs)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """TRL's numbers, and how many rows this rank has dropped so far, by reason."""
        super().log(logs | {f"dropped/{why}": n for why, n in self.dropped.items()}, start_time)


class Loader(DataLoader):  # type: ignore[misc]
    """A DataLoader that passes the epoch on to its batches."""

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next iteration goes over."""
        self.batch_sampler.set_epoch(epoch)


def build(snapshot: Snapshot, config: SftConfig) -> SnapshotSftTrainer:
    """The trainer, ready to `train()`."""
    own = {
        "max_length": None,  # a row too long is dropped by the encoder; TRL would cut it inside its media tokens
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
        train_dataset=Dataset.from_dict({"row": range(snapshot.rows)}),  # its length is all that is asked of it
        peft_config=adapters(config.model),
    )


def loader(snapshot: Snapshot, config: SftConfig, encoder: Encoder, rank: int, ranks: int) -> Loader:
    """The batches of one rank, collated in `config.workers` processes."""

    def order(epoch: int) -> Iterator[Row]:
        # Every rank reads every row, which is text, and decodes its own only: so batches can be dealt out freely.
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
    return Loader(
        AsAsked(),
        batch_sampler=batches,
        collate_fn=Collator(encoder, anchored=ranks > 1),
        num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
        multiprocessing_context="forkserver" if config.workers else None,
    )


def lengths(snapshot: Snapshot, media: MediaLimits) -> Callable[[Row], int]:
    """A guess at a row's tokens, from its text and the size of its media; some 100 bytes a row are held in memory."""
    guesses: dict[bytes, int] = {}
    for batch in snapshot.batches(["trace_id", "prompt", "response", "media"]):
        for row in batch.to_pylist():
            text = (len(row["prompt"]) + len(row["response"] or "")) // 4
            guesses[bytes.fromhex(row["trace_id"])] = text + media_tokens(row["media"], media)
    return lambda row: guesses[bytes.fromhex(row["trace_id"])]
