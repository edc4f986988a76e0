"""Encoded rows as one batch for the model, and the order in which rows make batches.

The global batch of an optimiser step is the same rows whatever the number of ranks, the rows a device takes at a time
and the accumulation steps that share it: it is cut from one order of the epoch and only then dealt out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from corpus.media.video import Frames
from trainers.encoding import Encoded, Encoder, Media, Row, RowDropped

if TYPE_CHECKING:
    import torch

KIND_KEYS = {1: "image_grid_thw", 2: "video_grid_thw"}  # what a batch holds when it has images, or videos
WINDOW_BATCHES = 32  # global batches among which rows of like length are put together


def padded(rows: Sequence[Encoded], pad_id: int, *, side: str = "right") -> dict[str, "torch.Tensor"]:
    """Rows as tensors of one length: input_ids, attention_mask, labels, mm_token_type_ids and all their pixels."""
    import torch

    longest = max(len(row) for row in rows)

    def filled(name: str, value: int) -> torch.Tensor:
        out = np.full((len(rows), longest), value, dtype=np.int64)
        for i, row in enumerate(rows):
            place = slice(len(row)) if side == "right" else slice(longest - len(row), longest)
            out[i, place] = getattr(row, name) if name else 1
        return torch.from_numpy(out)

    batch = {
        "input_ids": filled("ids", pad_id),
        "attention_mask": filled("", 0),
        "labels": filled("labels", -100),
        "mm_token_type_ids": filled("kinds", 0),
    }
    return batch | joined(row.pixels for row in rows)


def joined(pixels: "Iterator[Mapping[str, torch.Tensor]]") -> dict[str, "torch.Tensor"]:
    """The pixels of several rows behind each other, under the model's own names."""
    found: dict[str, list[torch.Tensor]] = {}
    for row in pixels:
        for name, value in row.items():
            found.setdefault(name, []).append(value)
    return {name: _behind_each_other(values) for name, values in found.items()}


def _behind_each_other(parts: list["torch.Tensor"]) -> "torch.Tensor":
    """The parts as one tensor; nothing is copied where they lie so already, as those of one processor call do."""
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
    """A tiny image and a tiny video that learn nothing, for batches that have none.

    Where a model's weights are spread over ranks (FSDP, ZeRO-3), every rank must go through the vision tower as often
    as every other, or all wait for ever. The anchors stand behind a row's last token, where no token that counts sees
    them.
    """

    encoder: Encoder
    _made: dict[int, Encoded] = field(default_factory=dict)

    def add(self, batch: dict[str, "torch.Tensor"]) -> int:
        """Put the kinds that `batch` lacks behind its first row; returns by how many tokens it has grown."""
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
        """The kinds of media that the processor knows."""
        p = self.encoder.processor
        return {k for k, name in ((1, "image_processor"), (2, "video_processor")) if getattr(p, name, None) is not None}

    def of(self, kind: int) -> Encoded:
        """The image's or the video's anchor; made once."""
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
    """Rows to one right-padded batch for SFT. A row that cannot be used is left out, and named under `dropped`.

    A batch that loses all of its rows (or had none to begin with) becomes one token that learns nothing, so that every
    rank still takes the step.
    """

    encoder: Encoder
    anchored: bool = False

    def __call__(self, rows: Sequence[Row]) -> dict[str, Any]:
        """The batch, with a list of (row id, reason) under `dropped`."""
        made = self.encoder.wholes(rows)
        encoded = [one for one in made if isinstance(one, Encoded)]
        dropped = [
            (row.get("trace_id") or row.get("sample_id"), why.reason)
            for row, why in zip(rows, made, strict=True)
            if isinstance(why, RowDropped)
        ]
        pad = self.encoder.tokenizer.pad_token_id
        batch: dict[str, Any] = padded(encoded or [Encoded([pad], [-100], [0], {})], pad)
        if self.anchored:
            Anchors(self.encoder).add(batch)
        return batch | {"dropped": dropped}


class AsAsked:
    """A dataset whose indices are the rows themselves, so that batches of rows may be made elsewhere.

    It lives here, where TRL is not imported: a loader's worker imports what it unpickles.
    """

    def __getitem__(self, row: Row) -> Row:
        return row


@dataclass
class RowBatches:
    """The batches of one rank, epoch by epoch, as lists of rows: what a DataLoader takes for its `batch_sampler`.

    `order(epoch)` gives all rows of an epoch, in its order, on every rank. They are grouped by `length_of` within a
    window of global batches, cut into global batches, and each of those is dealt out over accumulation steps and ranks.
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
        """Rows of one optimiser step, over all ranks."""
        return self.per_device * self.accumulation * self.ranks

    def __len__(self) -> int:
        return -(-self.rows // self.global_batch) * self.accumulation

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next iteration goes over."""
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
                yield from self._grouped(window, number)
                window, number = [], number + 1
        if window:
            yield from self._grouped(window, number)

    def _grouped(self, window: list[Row], number: int) -> list[list[Row]]:
        size = self.global_batch
        if self.length_of is None:
            return [window[i : i + size] for i in range(0, len(window), size)]
        lengths = np.array([self.length_of(row) for row in window])
        ordered = [window[i] for i in np.argsort(lengths, kind="stable")]
        batches = [ordered[i : i + size] for i in range(0, len(ordered), size)]
        # The short one at the end of an epoch stays last: it has fewer rows to share out.
        whole, rest = (batches, []) if len(batches[-1]) == size else (batches[:-1], batches[-1:])
        shuffled = np.random.default_rng([self.seed, self.epoch, number]).permutation(len(whole))
        return [whole[i] for i in shuffled] + rest
