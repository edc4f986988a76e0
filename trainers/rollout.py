"""Rollout batches: split into groups, merged from several rounds, and turned into TRL's training batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from trainers.encoding import Row
from trainers.rewards import ScoredResponse

PROMPT_KEYS = ("prompt_ids", "prompt_mask")  # padded on the left; every other two-dimensional key on the right
IDS = ("prompt_ids", "completion_ids")


@dataclass(frozen=True)
class RolloutBatch:
    """One rank's responses of a round: TRL's tensors, and each response's row, scores and pixels."""

    output: dict[str, Any]
    rows: list[Row]
    scored: list[ScoredResponse]
    pixels: list[dict[str, torch.Tensor]]
    kept: list[bool] = field(default_factory=list)  # rows that are learnt from; the others pad the batch

    def __len__(self) -> int:
        return len(self.rows)

    def with_kept(self, kept: list[bool]) -> "RolloutBatch":
        """A copy that marks which rows are learnt from."""
        return replace(self, kept=kept)

    def groups(self, size: int) -> "Iterator[RolloutBatch]":
        """Split into groups of `size` responses to one prompt."""
        for start in range(0, len(self), size):
            rows = slice(start, start + size)
            output = {name: value[rows] if _by_row(value) else value for name, value in self.output.items()}
            yield RolloutBatch(output, self.rows[rows], self.scored[rows], self.pixels[rows])


def _by_row(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.ndim > 0


def merge_groups(groups: Sequence[RolloutBatch], pad_id: int) -> RolloutBatch:
    """Merge groups of several rounds: prompts are padded on the left, everything else on the right."""
    output = {}
    for name, value in groups[0].output.items():
        values = [group.output[name] for group in groups]
        output[name] = torch.cat(_pad_to_longest(name, values, pad_id)) if _by_row(value) else value
    return RolloutBatch(
        output,
        [row for group in groups for row in group.rows],
        [one for group in groups for one in group.scored],
        [one for group in groups for one in group.pixels],
    )


def _pad_to_longest(name: str, values: list[torch.Tensor], pad_id: int) -> list[torch.Tensor]:
    if values[0].ndim < 2:
        return values
    longest = max(value.shape[1] for value in values)
    blank = pad_id if name in IDS else 0
    out = []
    for value in values:
        short = longest - value.shape[1]
        room = (short, 0) if name in PROMPT_KEYS else (0, short)
        out.append(torch.nn.functional.pad(value, room, value=blank) if value.shape[1] > 1 or name in IDS else value)
    return out


def to_training_batch(batch: RolloutBatch, advantages: Any, accelerator: Any) -> dict[str, Any]:
    """TRL's batch with our advantages; rows that are not learnt from enter no token count, KL or loss."""
    output = dict(batch.output)
    device = output["completion_ids"].device
    output["advantages"] = torch.tensor(advantages.values, dtype=torch.float32, device=device)
    output["pixels"] = batch.pixels
    learnt = torch.tensor(advantages.learnt, device=device)
    mask = output["completion_mask"]
    if "tool_mask" in output:
        mask = mask * output["tool_mask"]
    if not bool(learnt.all()):
        output["tool_mask"] = learnt.unsqueeze(1).expand_as(mask).to(mask.dtype) * output.get("tool_mask", 1)
        mask = mask * learnt.unsqueeze(1)
    output["num_items_in_batch"] = accelerator.gather(mask.sum()).sum()
    return output
