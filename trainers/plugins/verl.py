"""verl 0.9: EMA-GRPO and its rivals as an advantage estimator that knows tasks, and our reward.

    onethinker snapshots export NAME@V --format verl --out data
    VERL_USE_EXTERNAL_MODULES=trainers.plugins.verl python -m verl.trainer.main_ppo \
        trainer.use_v1=true trainer.v1.trainer_mode=onethinker algorithm.adv_estimator=onethinker \
        reward.custom_reward_function.path=pkg://trainers.plugins.verl \
        reward.custom_reward_function.name=compute_score data.image_patch_size=16 …

Named in VERL_USE_EXTERNAL_MODULES rather than as an entry point of the group `verl.plugins`: there verl logs a module
that fails to load at DEBUG and trains on without it, here it stops.
"""

from collections.abc import Sequence
from typing import Any

import orjson
import torch
import transfer_queue as tq  # type: ignore[import-not-found]
from verl.trainer.ppo.core_algos import register_adv_est  # type: ignore[import-not-found]
from verl.trainer.ppo.v1.trainer_base import register_trainer  # type: ignore[import-not-found]
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync  # type: ignore[import-not-found]

from trainers.plugins.bridge import estimator, scored, task_of

NAME = "onethinker"
_task_of_prompt: dict[str, str] = {}  # of the batch under way: verl tells an estimator the uid of a row and no more


def compute_score(data_source: str, solution_str: str, ground_truth: str, extra_info: Any = None, **_: Any) -> Any:
    """verl's reward function; `ground_truth` is the JSON that our export writes."""
    found = scored([solution_str], [orjson.loads(ground_truth)])[0]
    return {"score": found["reward"], "acc": found["accuracy"], "format": found["format"]}


@register_adv_est(NAME)  # type: ignore[untyped-decorator]
def advantages(
    token_level_rewards: torch.Tensor, response_mask: torch.Tensor, index: Sequence[str], config: Any = None, **_: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """One advantage a response, on each of its tokens. Raises KeyError for a prompt whose task nobody told."""
    rewards = token_level_rewards.sum(dim=-1)
    tasks = [_task_of_prompt[str(uid)] for uid in index]
    values = estimator().advantages(rewards, list(map(str, index)), tasks)
    spread = torch.as_tensor(values, dtype=torch.float32, device=response_mask.device).unsqueeze(-1) * response_mask
    return spread, spread


@register_trainer(NAME)
class OneThinkerTrainer(PPOTrainerSync):  # type: ignore[misc]
    """verl's synchronous trainer, which also tells the estimator the task of each prompt."""

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        told = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["uid", "reward_model"])
        _task_of_prompt.clear()
        for uid, truth in zip(told["uid"].tolist(), told["reward_model"].tolist(), strict=True):
            _task_of_prompt[str(uid)] = task_of(orjson.loads(truth["ground_truth"]))
        batch = super()._compute_advantage(batch, metrics)
        for task, moments in estimator().state_dict().items():
            metrics |= {f"onethinker/{task}/{name}": value for name, value in moments.items()}
        return batch
