"""verl 0.9: EMA-GRPO and its rivals as an advantage estimator that knows tasks, and our reward.

    onethinker snapshots export NAME@V --format verl --out data
    VERL_USE_EXTERNAL_MODULES=trainers.plugins.verl python -m verl.trainer.main_ppo \
        trainer.use_v1=true trainer.v1.trainer_mode=onethinker algorithm.adv_estimator=onethinker \
        reward.custom_reward_function.path=pkg://trainers.plugins.verl \
        reward.custom_reward_function.name=compute_score data.image_patch_size=16 …

Named in VERL_USE_EXTERNAL_MODULES rather than as an entry point of the group `verl.plugins`: there verl logs a module
that fails to load at DEBUG, and the run ends later over an unknown name; here it stops with the reason.

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
from trainers.plugins.bridge import estimator, restore, save, scored, task_of

NAME = "onethinker"
_task_of_prompt: dict[str, str | None] = {}  # of the batch under way: verl tells an estimator a row's uid and no more


def compute_score(data_source: str, solution_str: str, ground_truth: str, extra_info: Any = None, **_: Any) -> Any:
    """verl's reward function; `ground_truth` is the JSON that our export writes."""
    found = scored([solution_str], [orjson.loads(ground_truth)])[0]
    return {"score": found["reward"], "acc": found["accuracy"], "format": found["format"]}


@register_adv_est(NAME)  # type: ignore[untyped-decorator]
def advantages(
    token_level_rewards: torch.Tensor, response_mask: torch.Tensor, index: Sequence[str], config: Any = None, **_: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """One advantage a response, on each of its tokens. Raises KeyError for a prompt whose task nobody told.

    Rows that verl made up to fill a batch have the task None: they get 0 and enter no moment.
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
    """verl's synchronous trainer, which also tells the estimator the task of each prompt, and keeps its moments."""

    def __init__(self, config: Any) -> None:
        with open_dict(config):  # verl asks for its own name in many places, and takes any other for asynchronous
            config.trainer.v1.trainer_mode = "sync"
        super().__init__(config)

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        told = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["uid", "reward_model"])
        _task_of_prompt.clear()
        rows = zip(batch.keys, batch.tags, told["uid"], told["reward_model"], strict=True)
        for key, tag, uid, truth in rows:
            if tag.get("is_padding"):
                _task_of_prompt[str(uid)] = None
                continue
            if not key.endswith("_0"):
                raise OneThinkerError(f"{key}: an agent loop of several outputs a session would count each as a try")
            _task_of_prompt[str(uid)] = task_of(orjson.loads(truth["ground_truth"]))
        batch = super()._compute_advantage(batch, metrics)
        for task, moments in estimator().state_dict().items():
            metrics |= {f"onethinker/{task}/{name}": value for name, value in moments.items()}
        return batch

    def _save_checkpoint(self) -> None:
        # Before verl's own: what it writes last, the number of the newest checkpoint, makes the checkpoint count.
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
