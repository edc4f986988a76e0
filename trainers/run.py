"""The steps that SFT and RL share: ranks, TRL's arguments, checkpoints, the run log, the saved model."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpus.errors import OneThinkerError, UsageError, near
from trainers.config import to_dict
from trainers.run_log import RunLog, attach, open_run_log

if TYPE_CHECKING:
    from corpus import Corpus


def run(corpus: "Corpus", method: str, config: Any, build: Callable[..., Any], resume: str | None) -> Path:
    """Train with the trainer of `build(snapshot, config)`, as a run of the corpus; returns the model's folder.

    `resume` is a checkpoint folder, or `last`. The main process writes the run, its metrics and the model card. Raises
    OneThinkerError for an unknown snapshot or checkpoint.
    """
    snapshot = corpus.snapshots.get(config.snapshot)
    output = Path(config.output)
    checkpoint = find_checkpoint(output, resume)
    trainer = build(snapshot, config)
    with ExitStack() as stack:
        log: RunLog | None = None
        if trainer.accelerator.is_main_process:
            processes = trainer.accelerator.num_processes
            log = stack.enter_context(
                open_run_log(
                    corpus, method, to_dict(config), snapshot, output, ranks=processes, resumed_from=checkpoint
                )
            )
            attach(trainer, log)
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        trainer.save_model(str(output))
        if log is not None:
            finish(log, trainer)
    return output


def divide(rows: int, by: int, rows_name: str, by_name: str) -> int:
    """`rows` / `by`. Raises UsageError if it is not a whole number."""
    if rows % by:
        raise UsageError(f"{rows_name} ({rows}) must be a multiple of {by_name} ({by})")
    return rows // by


def finish(log: RunLog, trainer: Any) -> None:
    """Write the processor, `training.json` and the model card beside the model; add the counts of dropped rows."""
    from trainers.card import write_card

    trainer.processing_class.save_pretrained(log.output)
    for reason, count in sorted(trainer.dropped.items()):
        log.run.counts[f"dropped {reason}"] += count
    log.run.counts["steps"] += trainer.state.global_step
    log.manifest["dropped"] = dict(trainer.dropped)
    log.commit()
    log.write(log.output)
    write_card(log.run.corpus, log)


def world_size(config: Any = None) -> int:
    """The number of training processes, from the environment that torchrun and accelerate set.

    Raises UsageError if the config asks for another number: `accelerate launch --cpu --num_processes 2`, for example,
    silently starts one process, which would train on half the batch.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if config is not None and config.gpus is not None and config.gpus != started:
        raise UsageError(
            f"the config is for {config.gpus} processes and {started} started; start it with "
            f"`torchrun --nproc-per-node {config.gpus} -m onethinker.cli train …`"
        )
    return started


# How weights, gradients and optimiser states are sharded over GPUs: our names → transformers' arguments.
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
    """TRL's arguments from the settings that our configs share, `own`, and `config.trainer`, the later ones overriding.

    Raises UsageError for a name in `trainer` that TRL does not have.
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
        "warmup_steps": config.warmup,  # below 1: a fraction of all steps
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


def find_checkpoint(output: Path, resume: str | None) -> Path | None:
    """The checkpoint folder to resume from, or None. Raises OneThinkerError if `resume` names no checkpoint."""
    if resume is None:
        return None
    if resume != "last":
        if not (Path(resume) / "trainer_state.json").is_file():
            raise OneThinkerError(f"{resume} is not a checkpoint: it has no trainer_state.json")
        return Path(resume)
    from transformers.trainer_utils import get_last_checkpoint

    newest = get_last_checkpoint(str(output)) if output.is_dir() else None
    if newest is None:
        raise OneThinkerError(f"no checkpoint in {output} to resume from; train without --resume")
    return Path(newest)
