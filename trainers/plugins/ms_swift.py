"""ms-swift 4.6: our reward, and our advantage estimators in place of its own.

    onethinker snapshots export NAME@V --format ms_swift --out data
    swift rlhf --rlhf_type grpo --external_plugins trainers/plugins/ms_swift.py --reward_funcs onethinker \
        --dataset data/NAME_image.jsonl …

A group is the responses to one `sample_id`, a column of our export: ms-swift's own prompt ids are equal for prompts of
the same words, whatever their images. Moments are saved in each checkpoint and restored.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from swift.rewards import ORM, orms  # type: ignore[import-not-found]
from swift.rlhf_trainers.grpo_trainer import GRPOTrainer  # type: ignore[import-not-found]

from corpus.errors import OneThinkerError
from trainers.plugins.bridge import estimator, restore, save, score_rows, task_of

_theirs = GRPOTrainer._compute_advantages
_their_save = GRPOTrainer._save_checkpoint
_their_load = GRPOTrainer._load_optimizer_and_scheduler


class OneThinkerReward(ORM):  # type: ignore[misc]
    """The reward of `--reward_funcs onethinker`, from the columns that our export writes."""

    def __call__(
        self, completions: Sequence[str], solution: Any, problem_type: Any, data_type: Any, **more: Any
    ) -> list[float]:
        """One reward per completion; NaN if it could not be scored."""
        columns = {"answer": solution, "problem_type": problem_type, "data_type": data_type}
        columns |= {name: more[name] for name in ("options", "truth") if name in more}
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        return [found["reward"] for found in score_rows(list(completions), rows)]


def compute_advantages(
    self: Any, samples: Any, rewards_per_func: torch.Tensor, batch_encoded_inputs: Any
) -> torch.Tensor:
    """All ranks' advantages: ms-swift computes its own first, for its metrics, and ours replace them.

    Raises OneThinkerError for what ours would silently ignore: a KL penalty within the reward, and a trajectory that is
    trained on as several rows.
    """
    if self.kl_in_reward and self.beta:
        raise OneThinkerError("--kl_in_reward true with --beta above 0: these advantages see rewards only; drop one")
    if self.dynamic_num_samples:
        raise OneThinkerError("a rollout of several rows per trajectory would count each row as a response")
    theirs = _theirs(self, samples, rewards_per_func, batch_encoded_inputs)
    tasks = gather_object([task_of(sample.extra) for sample in samples])
    groups = gather_object([sample.extra["sample_id"] for sample in samples])
    rewards = (rewards_per_func * self.reward_weights.unsqueeze(0)).sum(dim=1)  # the estimator excludes NaN
    values = estimator().advantages(rewards, groups, tasks, update=self.model.training)
    mode = "train" if self.model.training else "eval"
    for task, moments in estimator().state_dict().items():
        for name, value in moments.items():
            self._metrics[mode][f"onethinker/{task}/{name}"].append(value)
    return torch.as_tensor(values, dtype=theirs.dtype, device=theirs.device)


def save_checkpoint(self: Any, *args: Any, **kwargs: Any) -> Any:
    """Save ms-swift's checkpoint and the moments beside it."""
    saved = _their_save(self, *args, **kwargs)
    if self.args.should_save:
        save(Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}")
    return saved


def load_optimizer_and_scheduler(self: Any, checkpoint: str | None) -> None:
    """Restore ms-swift's state, and the moments if the run resumes (rather than starts from a checkpoint's weights)."""
    _their_load(self, checkpoint)
    if checkpoint is not None and not self.args.resume_only_model:
        restore(checkpoint)


orms["onethinker"] = OneThinkerReward
GRPOTrainer._compute_advantages = compute_advantages
GRPOTrainer._save_checkpoint = save_checkpoint
GRPOTrainer._load_optimizer_and_scheduler = load_optimizer_and_scheduler
