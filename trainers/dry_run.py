"""A description of a training run and its memory, without training: `onethinker train … --dry-run`."""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import yaml

from trainers.config import to_dict
from trainers.encoding import Encoder, RowDropped
from trainers.estimate import estimate, media_tokens
from trainers.models import load_processor
from trainers.rl.config import RlConfig
from trainers.run import world_size
from trainers.sft.config import SftConfig

if TYPE_CHECKING:
    from corpus import Corpus
    from corpus.snapshots import Snapshot

ROWS = 3


def describe(corpus: "Corpus", config: SftConfig | RlConfig) -> str:
    """The resolved config, the placeholders of three rows, and gigabytes on each GPU, as text.

    Raises the errors of training for an unknown snapshot or model, or a batch that does not divide.
    """
    snapshot = corpus.snapshots.get(config.snapshot)
    ranks = config.gpus or world_size()
    accumulation = config.accumulation(ranks)
    lines = [yaml.safe_dump(to_dict(config), sort_keys=False), f"{snapshot.ref}: {snapshot.rows:,} rows"]
    if isinstance(config, RlConfig):
        batch = f"{config.prompts} prompts × {config.generations} responses, learnt from in {config.updates} updates"
    else:
        batch = f"{config.batch} rows an optimiser step"
    lines += [f"{batch}: {ranks} rank(s) × {config.per_device} rows × {accumulation} accumulated", ""]
    longest = config.max_length if isinstance(config, SftConfig) else config.max_prompt + config.max_response
    encoder = Encoder(load_processor(config.model), config.media, longest)
    for row in islice(snapshot.stream().decode(False), ROWS):
        try:
            encoded = encoder.whole(row) if isinstance(config, SftConfig) else encoder.prompt(row)
        except RowDropped as why:
            lines.append(f"{row['sample_id']}  {row['task']}: would be dropped, {why}")
            continue
        images, frames = encoded.kinds.count(1), encoded.kinds.count(2)
        learnt = sum(label >= 0 for label in encoded.labels)
        lines.append(
            f"{row['sample_id']}  {row['task']}: {len(encoded)} tokens, of them {images} of images, "
            f"{frames} of video frames, {learnt} learnt"
        )
    media = max((media_tokens(b, config.media) for b in _media(snapshot)), default=0)
    tokens = min(longest, media + 2048) * config.per_device
    shards = ranks if config.sharding != "none" else 1
    reference = isinstance(config, RlConfig) and config.kl > 0
    lines += ["", f"about GiB on each GPU ({tokens:,} tokens at a time, weights over {shards} GPU(s)):"]
    needs = estimate(config.model, tokens=tokens, shards=shards, reference=reference)
    lines += [f"  {name:<16} {value:8.2f}" for name, value in needs.items()]
    if isinstance(config, RlConfig) and config.engine == "vllm":
        lines.append("  and what vLLM takes: its share of the GPU, vllm_gpu_memory_utilization of `trainer`")
    return "\n".join(lines)


def _media(snapshot: "Snapshot") -> Iterator[list[dict[str, Any]]]:
    for batch in snapshot.batches(["media"]):
        yield from batch["media"].to_pylist()
