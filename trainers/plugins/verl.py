"""verl 0.9: our reward, and our advantage estimators, which normalise by task.

    onethinker snapshots export NAME@V --format verl --out data
    VERL_USE_EXTERNAL_MODULES=trainers.plugins.verl python -m verl.trainer.main_ppo \
        trainer.use_v1=true trainer.v1.trainer_mode=onethinker algorithm.adv_estimator=onethinker \
        reward.custom_reward_function.path=pkg://trainers.plugins.verl \
        reward.custom_reward_function.name=compute_score data.image_patch_size=16 …

It is loaded by VERL_USE_EXTERNAL_MODULES rather than as an entry point of `verl.plugins`: verl logs an entry point that
fails to load at DEBUG and fails later over an unknown name, but reports a failing external module at once.

The trainer is verl's synchronous one. Moments are saved in each checkpoint's folder and restored.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import torch
import transfer_queue as tq  # type: ignore[import-not-found]
from omegaconf import open_dict  # type: ignore[import-not-found]
from verl.trainer.ppo.core_algos import register_adv_est  # type: ignore[import-not-found]
from verl.trainer.ppo.v1.trainer_base import register_trainer  # type: ignore[import-not-found]
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync  # type: ignore[import-not-found]

from corpus.errors import OneThinkerError
from trainers.plugins.bridge import estimator, restore, save, score_rows, task_of

NAME = "onethinker"
_task_of_prompt: dict[str, str | None] = {}  # of the current batch: verl gives an estimator only a row's uid


def compute_score(data_source: str, solution_str: str, ground_truth: str, extra_info: Any = None, **_: Any) -> Any:
    """verl's reward function; `ground_truth` is the JSON that our export writes."""
    found = score_rows([solution_str], [orjson.loads(ground_truth)])[0]
    return {"score": found["reward"], "acc": found["accuracy"], "format": found["format"]}


@register_adv_est(NAME)  # type: ignore[untyped-decorator]
def advantages(
    token_level_rewards: torch.Tensor, response_mask: torch.Tensor, index: Sequence[str], config: Any = None, **_: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """One advantage per response, repeated on its tokens: two equal tensors of shape (responses, tokens).

    Padding rows of verl have the task None: they get 0 and enter no moment. Raises KeyError for a uid without a task.
    """
    tasks = [_task_of_prompt[str(uid)] for uid in index]
    real = [row for row, task in enumerate(tasks) if task is not None]
    rewards = token_level_rewards.sum(dim=-1)
    values = torch.zeros(len(tasks))
    groups, keys = [str(index[row]) for row in real], [tasks[row] for row in real]
    values[real] = torch.as_tensor(estimator().advantages(rewards[real], groups, keys), dtype=values.dtype)
    spread = values.to(response_mask.device).unsqueeze(-1) * response_mask
    return spread, spread


@register_trainer(NAME)
class OneThinkerTrainer(PPOTrainerSync):  # type: ignore[misc]
    """verl's synchronous trainer, which also passes each prompt's task to the estimator and saves its moments."""

    def __init__(self, config: Any) -> None:
        with open_dict(config):  # verl compares this name in many places, and treats an unknown one as asynchronous
            config.trainer.v1.trainer_mode = "sync"
        super().__init__(config)

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        fields = tq.kv_batch_get(
            keys=batch.keys, partition_id=batch.partition_id, select_fields=["uid", "reward_model"]
        )
        _task_of_prompt.clear()
        rows = zip(batch.keys, batch.tags, fields["uid"], fields["reward_model"], strict=True)
        for key, tag, uid, truth in rows:
            if tag.get("is_padding"):
                _task_of_prompt[str(uid)] = None
                continue
            if not key.endswith("_0"):
                raise OneThinkerError(f"{key}: several outputs per agent-loop session would count as one response each")
            _task_of_prompt[str(uid)] = task_of(orjson.loads(truth["ground_truth"]))
        batch = super()._compute_advantage(batch, metrics)
        for task, moments in estimator().state_dict().items():
            metrics |= {f"onethinker/{task}/{name}": value for name, value in moments.items()}
        return batch

    def _save_checkpoint(self) -> None:
        # Before verl's own: the last file that it writes, the newest checkpoint's number, makes the checkpoint valid.
        save(Path(self.config.trainer.default_local_dir) / f"global_step_{self.global_steps}")
        super()._save_checkpoint()

    def _load_checkpoint(self) -> None:
        super()._load_checkpoint()
        if self.global_steps == 0:  # from scratch
            return
        trainer = self.config.trainer
        if trainer.resume_mode == "resume_path":
            restore(trainer.resume_from_path)
        else:
            restore(Path(trainer.default_local_dir) / f"global_step_{self.global_steps}")
