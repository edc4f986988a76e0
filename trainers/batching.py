"""Encoded rows as one batch for the model, and the order of rows in batches.

The global batch of an optimiser step has the same rows for any number of ranks, rows per device and accumulation
steps: it is cut from one order of the epoch and then divided.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from corpus.media.video import Frames
from trainers.encoding import EncodedRow, Encoder, Media, Row, RowDropped

if TYPE_CHECKING:
    import torch

KIND_KEYS = {1: "image_grid_thw", 2: "video_grid_thw"}  # media kind → the key of a batch that has any
WINDOW_BATCHES = 32  # global batches within which rows are grouped by length


def pad_rows(rows: Sequence[EncodedRow], pad_id: int, *, side: str = "right") -> dict[str, "torch.Tensor"]:
    """Pad rows to one length: input_ids, attention_mask, labels, mm_token_type_ids (rows, tokens), and all pixels."""
    import torch

    longest = max(len(row) for row in rows)

    def fill(name: str, value: int) -> torch.Tensor:
        out = np.full((len(rows), longest), value, dtype=np.int64)
        for i, row in enumerate(rows):
            place = slice(len(row)) if side == "right" else slice(longest - len(row), longest)
            out[i, place] = getattr(row, name) if name else 1
        return torch.from_numpy(out)

    batch = {
        "input_ids": fill("ids", pad_id),
        "attention_mask": fill("", 0),
        "labels": fill("labels", -100),
        "mm_token_type_ids": fill("kinds", 0),
    }
    return batch | join_pixels(row.pixels for row in rows)


def join_pixels(pixels: "Iterator[Mapping[str, torch.Tensor]]") -> dict[str, "torch.Tensor"]:
    """Concatenate the pixels of several rows, under the model's own input names."""
    found: dict[str, list[torch.Tensor]] = {}
    for row in pixels:
        for name, value in row.items():
            found.setdefault(name, []).append(value)
    return {name: _concatenate(values) for name, values in found.items()}


def _concatenate(parts: list["torch.Tensor"]) -> "torch.Tensor":
    """The parts as one tensor, without a copy if they are contiguous, as those of one processor call are."""
    import torch

    first, end = parts[0], parts[0].storage_offset()
    memory = first.untyped_storage().data_ptr()
    for part in parts:
        if not part.is_contiguous() or part.storage_offset() != end or part.untyped_storage().data_ptr() != memory:
            return torch.cat(parts)
        end += part.numel()
    return first.as_strided((sum(map(len, parts)), *first.shape[1:]), first.stride())


@dataclass
class Anchors:
    """A tiny image and a tiny video without loss, for batches that have none.

    If a model's weights are sharded over ranks (FSDP, ZeRO-3), every rank must call the vision tower equally often, or
    all ranks deadlock. The anchors follow a row's last token, where no token with a loss attends to them.
    """

    encoder: Encoder
    _made: dict[int, EncodedRow] = field(default_factory=dict)

    def add(self, batch: dict[str, "torch.Tensor"]) -> int:
        """Append the kinds that `batch` lacks to its first row; returns the number of added tokens."""
        import torch

        grown = 0
        for kind, key in KIND_KEYS.items():
            if key in batch or kind not in self.kinds:
                continue
            anchor = self.of(kind)
            grown += len(anchor)
            device = batch["input_ids"].device
            for name, values, blank in (
                ("input_ids", anchor.ids, self.encoder.tokenizer.pad_token_id),
                ("attention_mask", [1] * len(anchor), 0),
                ("labels", anchor.labels, -100),
                ("mm_token_type_ids", anchor.kinds, 0),
            ):
                tail = torch.full((len(batch[name]), len(anchor)), blank, dtype=torch.long, device=device)
                tail[0] = torch.tensor(values, device=device)
                batch[name] = torch.cat([batch[name], tail], dim=1)
            batch.update({name: value.to(device) for name, value in anchor.pixels.items()})
        return grown

    @property
    def kinds(self) -> set[int]:
        """The kinds of media that the processor supports."""
        p = self.encoder.processor
        return {k for k, name in ((1, "image_processor"), (2, "video_processor")) if getattr(p, name, None) is not None}

    def of(self, kind: int) -> EncodedRow:
        """The image's or the video's anchor, cached."""
        if kind not in self._made:
            from PIL import Image

            black = np.zeros((2, 32, 32, 3), np.uint8)
            if kind == 1:
                word, media = "image", Media(images=(Image.fromarray(black[0]),))
            else:
                word, media = "video", Media(clips=(Frames(black, [0.0, 0.5], 2.0, 2),))
            row = {"messages": [{"role": "user", "content": [{"type": word, "text": None}]}]}
            self._made[kind] = self.encoder.prompt(row, media)
        return self._made[kind]


@dataclass
class Collator:
    """Collates rows into one right-padded batch for SFT; an unusable row is listed under `dropped` instead.

    A batch without usable rows becomes one token without loss, so that every rank still takes the step.
    """

    encoder: Encoder
    anchored: bool = False

    def __call__(self, rows: Sequence[Row]) -> dict[str, Any]:
        """The batch, with a list of (row id, reason) under `dropped`."""
        made = self.encoder.wholes(rows)
        encoded = [one for one in made if isinstance(one, EncodedRow)]
        dropped = [
            (row.get("trace_id") or row.get("sample_id"), why.reason)
            for row, why in zip(rows, made, strict=True)
            if isinstance(why, RowDropped)
        ]
        pad = self.encoder.tokenizer.pad_token_id
        batch: dict[str, Any] = pad_rows(encoded or [EncodedRow([pad], [-100], [0], {})], pad)
        if self.anchored:
            Anchors(self.encoder).add(batch)
        return batch | {"dropped": dropped}


class RowPassthrough:
    """A dataset whose indices are the rows themselves, because the batch sampler yields rows.

    It is defined in a module that does not import TRL: a loader's worker imports what it unpickles.
    """

    def __getitem__(self, row: Row) -> Row:
        return row


@dataclass
class RowBatches:
    """A DataLoader's `batch_sampler`: the batches of one rank in each epoch, as lists of rows.

    `order(epoch)` yields all rows of an epoch in order, on every rank. They are grouped by `length_of` within a window
    of global batches and cut into global batches, each of which is divided over accumulation steps and ranks.
    """

    order: Callable[[int], Iterator[Row]]
    rows: int
    per_device: int
    accumulation: int = 1
    rank: int = 0
    ranks: int = 1
    length_of: Callable[[Row], int] | None = None
    seed: int = 0
    epoch: int = 0

    @property
    def global_batch(self) -> int:
        """Rows per optimiser step, over all ranks."""
        return self.per_device * self.accumulation * self.ranks

    def __len__(self) -> int:
        return -(-self.rows // self.global_batch) * self.accumulation

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[Row]]:
        micro = self.per_device * self.ranks
        for batch in self._global_batches():
            for step in range(self.accumulation):
                yield batch[step * micro : (step + 1) * micro][self.rank :: self.ranks]

    def _global_batches(self) -> Iterator[list[Row]]:
        window: list[Row] = []
        number = 0
        for row in self.order(self.epoch):
            window.append(row)
            if len(window) == self.global_batch * (WINDOW_BATCHES if self.length_of else 1):
                yield from self._group_by_length(window, number)
                window, number = [], number + 1
        if window:
            yield from self._group_by_length(window, number)

    def _group_by_length(self, window: list[Row], number: int) -> list[list[Row]]:
        size = self.global_batch
        if self.length_of is None:
            return [window[i : i + size] for i in range(0, len(window), size)]
        lengths = np.array([self.length_of(row) for row in window])
        ordered = [window[i] for i in np.argsort(lengths, kind="stable")]
        batches = [ordered[i : i + size] for i in range(0, len(ordered), size)]
        # The short batch at the end of an epoch stays last.
        whole, rest = (batches, []) if len(batches[-1]) == size else (batches[:-1], batches[-1:])
        shuffled = np.random.default_rng([self.seed, self.epoch, number]).permutation(len(whole))
        return [whole[i] for i in shuffled] + rest
