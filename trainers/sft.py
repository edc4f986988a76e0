"""Supervised fine-tuning on a snapshot: images and videos in one batch, loss on the assistant's turn alone.

TRL's SFTTrainer does the training; ours are the rows (streamed from the frozen Parquet, decoded in the loader's
workers, never written tokenised) and the order that makes a global batch the same on any number of ranks.
"""

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from corpus.errors import OneThinkerError, UsageError, near
from trainers.config import plain, settings
from trainers.encoding import MediaLimits
from trainers.models import ModelSettings
from trainers.record import Record, attach, recorded
from trainers.torchvision_schemas import declare

if TYPE_CHECKING:
    from corpus import Corpus


@settings
@dataclass(frozen=True)
class SftConfig:
    """What `onethinker train sft CONFIG` reads. Defaults are OneThinker's (arXiv 2512.03043v3, code 768b20f).

    An optimiser step takes `batch` rows over all ranks, `per_device` at a time on each. With `gpus` the run
    refuses to start on another number of processes. `trainer` goes to TRL's SFTConfig as it is.
    """

    snapshot: str
    output: str
    model: ModelSettings = field(default_factory=lambda: ModelSettings(freeze_vision=True, freeze_projector=True))
    media: MediaLimits = field(default_factory=MediaLimits)
    max_length: int = 16_384
    batch: int = 32
    per_device: int = 1
    learning_rate: float = 1e-5
    schedule: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    warmup: float = 0.02
    weight_decay: float = 1e-6
    max_grad_norm: float = 1.0
    epochs: float = 1.0
    max_steps: int = -1
    seed: int = 0
    group_by_length: bool = True
    workers: int = 4
    log_steps: int = 1
    save_steps: int = 500
    keep_checkpoints: int | None = 2
    gpus: int | None = None
    sharding: Literal["none", "fsdp2", "zero3"] = "none"
    trainer: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        for name in ("batch", "per_device", "max_length", "log_steps", "save_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")

    def accumulation(self, ranks: int) -> int:
        """Micro-batches of an optimiser step on each rank. Raises UsageError where the rows do not divide."""
        return shares(self.batch, self.per_device * ranks, "batch", "per_device × ranks")


def shares(rows: int, taken: int, rows_word: str, taken_word: str) -> int:
    """How often `taken` goes into `rows`. Raises UsageError where it does not without a rest."""
    if rows % taken:
        raise UsageError(f"{rows_word} ({rows}) must be a multiple of {taken_word} ({taken})")
    return rows // taken


def train(corpus: "Corpus", config: SftConfig, *, resume: str | None = None) -> Path:
    """Train, and leave the model, its processor and its checkpoints in `config.output`; returns that folder.

    `resume` is a checkpoint folder, or `last` for the newest in the output folder. The run and its metrics are
    recorded in the corpus by the main process.
    """
    declare()
    from trainers.sft_trainer import build

    snapshot = corpus.snapshots.get(config.snapshot)
    output = Path(config.output)
    checkpoint = found_checkpoint(output, resume)
    trainer = build(snapshot, config)
    with ExitStack() as stack:
        record: Record | None = None
        if trainer.accelerator.is_main_process:
            ranks = trainer.accelerator.num_processes
            record = stack.enter_context(
                recorded(corpus, "sft", plain(config), snapshot, output, ranks=ranks, resumed_from=checkpoint)
            )
            attach(trainer, record)
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        trainer.save_model(str(output))
        if record is not None:
            finish(record, trainer)
    return output


def finish(record: Record, trainer: Any) -> None:
    """Write the processor, `training.json` and the model card beside the model; count what was dropped."""
    from trainers.card import write_card

    trainer.processing_class.save_pretrained(record.output)
    for reason, count in sorted(trainer.dropped.items()):
        record.run.counts[f"dropped {reason}"] += count
    record.run.counts["steps"] += trainer.state.global_step
    record.told["dropped"] = dict(trainer.dropped)
    record.commit()
    record.write(record.output)
    write_card(record.run.corpus, record)


def ranks(config: Any = None) -> int:
    """How many processes train together, as torchrun and accelerate say.

    Raises UsageError where the config wants another number: `accelerate launch --cpu --num_processes 2`, for one,
    starts a single process without a word, and trains on half the batch.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if config is not None and config.gpus is not None and config.gpus != started:
        raise UsageError(
            f"the config is for {config.gpus} processes and {started} started; begin it with "
            f"`torchrun --nproc-per-node {config.gpus} -m onethinker.cli train …`"
        )
    return started


# How weights, gradients and optimiser states are spread over GPUs, in transformers' words.
SHARDING: dict[str, dict[str, Any]] = {
    "none": {},
    "fsdp2": {"fsdp": True, "fsdp_config": {"version": 2, "reshard_after_forward": True}},
    "zero3": {
        "deepspeed": {
            "zero_optimization": {"stage": 3, "stage3_gather_16bit_weights_on_model_save": True},
            "bf16": {"enabled": "auto"},
            "gradient_clipping": "auto",
            "gradient_accumulation_steps": "auto",
            "train_batch_size": "auto",
            "train_micro_batch_size_per_gpu": "auto",
        }
    },
}


def trl_arguments(config: Any, own: dict[str, Any], kind: Any, accumulation: int) -> Any:
    """TRL's arguments from what our configs share; `config.trainer` speaks last.

    Raises UsageError for a name in `trainer` that TRL has not got.
    """
    import torch
    from transformers import set_seed

    set_seed(config.seed)
    on_gpu = torch.cuda.is_available()
    shared = {
        "output_dir": config.output,
        "per_device_train_batch_size": config.per_device,
        "gradient_accumulation_steps": accumulation,
        "lr_scheduler_type": config.schedule,
        "warmup_steps": config.warmup,  # below 1: a share of all steps
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "max_steps": config.max_steps,
        "seed": config.seed,
        "data_seed": config.seed,
        "dataloader_num_workers": config.workers,
        "logging_steps": config.log_steps,
        "logging_first_step": True,
        "save_steps": config.save_steps,
        "save_total_limit": config.keep_checkpoints,
        "bf16": config.model.dtype == "bfloat16",
        "use_cpu": not on_gpu,
        "activation_checkpointing": config.model.gradient_checkpointing,
        "remove_unused_columns": False,
        "report_to": [],
        "disable_tqdm": True,
    }
    known = kind.__dataclass_fields__
    for name in config.trainer:
        if name not in known:
            raise UsageError(f"trainer: {kind.__name__} of TRL has no setting '{name}'{near(name, known)}")
    return kind(**shared | own | SHARDING[config.sharding] | config.trainer)


def found_checkpoint(output: Path, resume: str | None) -> Path | None:
    """The folder to resume from. Raises OneThinkerError where there is none."""
    if resume is None:
        return None
    if resume != "last":
        if not (Path(resume) / "trainer_state.json").is_file():
            raise OneThinkerError(f"{resume} is no checkpoint: it has no trainer_state.json")
        return Path(resume)
    from transformers.trainer_utils import get_last_checkpoint

    newest = get_last_checkpoint(str(output)) if output.is_dir() else None
    if newest is None:
        raise OneThinkerError(f"no checkpoint in {output} to go on from; train without --resume")
    return Path(newest)
