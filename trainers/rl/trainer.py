"""TRL's GRPOTrainer with our rewards, advantages, online filter and media; generation and loss are TRL's.

Overridden methods of TRL 1.16, and why:

- `_tokenize_prompts`, `_get_per_token_logps_and_entropies`: TRL passes only images to the loss, so a
  video would be trained on unseen. Here each row carries its own pixels, of images and videos.
- `_calculate_rewards`: rewards come from the verifier's process pool, with their components.
- `_generate_and_score_completions`: the online filter, and advantages over the batch gathered from all ranks.
- `_save_checkpoint`, `_load_optimizer_and_scheduler`: checkpoints include the estimator's moments.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from corpus.errors import OneThinkerError
from corpus.snapshots import Snapshot
from trainers.advantages import checkpoint
from trainers.batching import Anchors, join_pixels
from trainers.encoding import EncodedRow, Encoder, Media, Row, RowDropped
from trainers.learning_signal import LearningSignal, compute_signal
from trainers.models import adapters, load_model, load_processor
from trainers.online_filter import Reserve
from trainers.rewards import ScoredResponse, mark_unscored, score_responses, task_keys_of
from trainers.rl.config import AGGREGATIONS, RlConfig
from trainers.rl.prompts import EpochSampler, prompt_dataset
from trainers.rollout import RolloutBatch, merge_groups, to_training_batch
from trainers.run import trl_arguments, world_size
from trainers.vllm_media import EncodedPrompt, LlmWithMedia


class GroupTrainer(GRPOTrainer):  # type: ignore[misc]
    """TRL's trainer over a snapshot's prompts. `dropped` counts dropped rows by reason."""

    def __init__(self, config: RlConfig, encoder: Encoder, rows: Dataset, **kwargs: Any) -> None:
        self.config, self.encoder = config, encoder
        self.estimator = config.advantages.build()
        self.anchors = Anchors(encoder)
        self.dropped: Counter[str] = Counter()
        self._rows: list[Row] = []
        self._scored: list[ScoredResponse] = []
        self._pixels: list[dict[str, torch.Tensor]] = []
        self._prompts: list[EncodedPrompt] = []
        super().__init__(reward_funcs=[reward], train_dataset=rows, processing_class=encoder.processor, **kwargs)
        keys = task_keys_of(rows.with_format(None).select_columns(["problem_type", "data_type", "task"]).to_list(),
                               config.advantages.keys)  # fmt: skip
        self.reserve = Reserve(keys, config.seed, self.accelerator.process_index, self.accelerator.num_processes)
        if config.engine == "vllm":
            self.vllm_generation.llm = LlmWithMedia(self.vllm_generation.llm)

    def _get_train_sampler(self, dataset: Any = None) -> EpochSampler:
        """TRL's sampler, seeded by epoch: TRL's generator continues from the previous epoch, so a run resumed in its
        second epoch would repeat the order of the first."""
        return EpochSampler(
            lambda: int((self.state.epoch or 0.0) + 1e-6),
            data_source=self.train_dataset if dataset is None else dataset,
            mini_repeat_count=self.num_generations,
            batch_size=self.args.generation_batch_size // self.num_generations,
            repeat_count=self.num_iterations * self.args.steps_per_generation,
            shuffle=self.shuffle_dataset,
            seed=self.args.seed,
        )

    # -- prompts and pixels ------------------------------------------------------------------------------------------

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        """TRL's hook before generation: the token ids of each prompt, and the pixels of all."""
        unique: dict[str, Row] = {row["sample_id"]: row for row in self._rows}  # prompts repeat
        with ThreadPoolExecutor(max(1, self.config.workers)) as pool:
            encoded = dict(zip(unique, pool.map(self._encode_row, unique.values()), strict=True))
        self._prompts = [encoded[row["sample_id"]] for row in self._rows]
        self._pixels = [prompt.encoded.pixels for prompt in self._prompts]
        fields: dict[str, Any] = join_pixels(iter(self._pixels))
        if fields:
            fields["mm_token_type_ids"] = [prompt.encoded.kinds for prompt in self._prompts]
        return [prompt.encoded.ids for prompt in self._prompts], None, fields

    def _encode_row(self, row: Row) -> EncodedPrompt:
        try:
            media = self.encoder.media(row)
            encoded = self.encoder.prompt(row, media)
        except RowDropped as why:
            # A placeholder prompt until the group is excluded: every rank must have as many rows as every other.
            placeholder = self.encoder.tokenizer("?", add_special_tokens=False)["input_ids"]
            return EncodedPrompt(
                EncodedRow(placeholder, [-100] * len(placeholder), [0] * len(placeholder), {}),
                Media(),
                placeholder,
                why.reason,
            )
        bare = self.encoder.tokenizer(self.encoder.prompt_text(row), add_special_tokens=False)["input_ids"]
        return EncodedPrompt(encoded, media, bare)

    def _generate_single_turn(self, prompt_ids: Any, images: Any, fields: Any, *rest: Any, **more: Any) -> Any:
        """TRL's generation, with all media of a row for vLLM rather than its images alone."""
        if self.config.engine == "vllm":
            images = [[one] for one in self._prompts]
        elif self.config.engine == "vllm_server":
            if any(one.media.clips for one in self._prompts):
                raise OneThinkerError("a vLLM server is sent images only by TRL 1.16; use engine: vllm for videos")
            images = [list(one.media.images) or None for one in self._prompts]
        return super()._generate_single_turn(prompt_ids, images, fields, *rest, **more)

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **_: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Log-probabilities of the completions, (rows, logits_to_keep), given each row's images and videos.

        Also the entropies and the auxiliary loss if asked for.
        """
        size = batch_size or len(input_ids)
        found: dict[str, list[torch.Tensor]] = {"log_probs": [], "entropy": [], "aux_loss": []}
        for start in range(0, len(input_ids), size):
            rows = slice(start, start + size)
            inputs = self._model_inputs(input_ids[rows], attention_mask[rows], logits_to_keep, self._pixels[rows])
            labels = inputs.pop("labels")
            if compute_aux_loss:
                inputs["output_router_logits"] = True
            with self.accelerator.autocast():
                outputs = model(**inputs, labels=labels, fused_lm_head=True)
            anchored = inputs["input_ids"].shape[1] - input_ids.shape[1]
            completion = slice(-logits_to_keep - anchored, -anchored or None)
            found["log_probs"].append(outputs.log_probs[:, completion])
            if compute_entropy:
                found["entropy"].append(outputs.entropy[:, completion])
            if compute_aux_loss:
                found["aux_loss"].append(outputs.aux_loss)
        return (
            torch.cat(found["log_probs"]),
            torch.cat(found["entropy"]) if compute_entropy else None,
            torch.stack(found["aux_loss"]).mean() if compute_aux_loss else None,
        )

    def _model_inputs(
        self, ids: torch.Tensor, mask: torch.Tensor, keep: int, pixels: Sequence[dict[str, torch.Tensor]]
    ) -> dict[str, Any]:
        labels = ids.masked_fill(mask == 0, -100)
        labels[:, :-keep] = -100
        inputs = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        inputs |= {name: value.to(ids.device) for name, value in join_pixels(iter(pixels)).items()}
        kinds = torch.zeros_like(ids)
        for kind, token in self.encoder.kinds.items():
            kinds[:, :-keep][ids[:, :-keep] == token] = kind
        inputs["mm_token_type_ids"] = kinds
        if self.accelerator.num_processes > 1:
            self.anchors.add(inputs)
        return inputs

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        self._pixels = inputs["pixels"]
        return super()._compute_loss(model, inputs)

    # -- rewards, the filter, advantages -----------------------------------------------------------------------------

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: list[str], ids: Any) -> torch.Tensor:
        """TRL's hook after generation; returns every rank's rewards, (rows, 1), NaN for those without a score."""
        config, keys = self.config, self.config.advantages.keys
        workers = config.reward_workers
        self._scored = score_responses(self._rows, completions, profile=config.profile, scheme=keys, workers=workers)
        for i, one in enumerate(self._prompts):
            if one.dropped:
                self._scored[i] = mark_unscored(self._scored[i].task, one.dropped)
        earned = [float("nan") if one.reward is None else one.reward for one in self._scored]
        return self.accelerator.gather(torch.tensor(earned, device=self.accelerator.device)).unsqueeze(1)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch = self.sample([example["row"] for example in inputs])
        if self.model.training and self.config.online_filter is not None:
            batch, seen = self._fill_batch(batch)
        else:
            batch, seen = batch.with_kept([True] * len(batch)), batch.scored
        signal = self._compute_signal(batch, seen)
        self._log_signal(signal)
        return to_training_batch(batch, signal.mine, self.accelerator)

    def sample(self, rows: list[Row]) -> RolloutBatch:
        """Sample and score a response to each of these rows. Every rank must ask for the same number of rows."""
        self._rows = rows
        output = super()._generate_and_score_completions([{"prompt": row["prompt"], "row": row} for row in rows])
        for one in self._prompts[:: self.num_generations]:
            if one.dropped:
                self.dropped[one.dropped] += 1
                print(f"a row was dropped: {one.dropped}", file=sys.stderr)
        return RolloutBatch(output, rows, self._scored, [one.encoded.pixels for one in self._prompts])

    def _fill_batch(self, first: RolloutBatch) -> tuple[RolloutBatch, list[ScoredResponse]]:
        """Replace the groups that the filter drops, within its rounds; also returns every response that was scored."""
        settings, size = self.config.online_filter, self.num_generations
        assert settings is not None
        full = len(first) // size
        groups: list[RolloutBatch] = []
        spare: list[RolloutBatch] = []
        batch, seen, sampled, missing = first, list(first.scored), 0, full
        for round_ in range(settings.rounds + 1):
            for group in batch.groups(size):
                kept = len(groups) < full and settings.keeps([one.accuracy for one in group.scored])
                (groups if kept else spare).append(group)
            sampled += len(batch) // size
            missing = full - len(groups)
            # Every rank generates as many as the rank that lacks most: the model may be sharded over all of them.
            most = int(self.accelerator.gather(torch.tensor([missing], device=self.accelerator.device)).max())
            if most == 0 or round_ == settings.rounds:
                break
            wanted: list[str | None] = [None] * most
            if settings.same_task:
                dropped: list[str | None] = [group.scored[0].task for group in spare[len(spare) - missing :]]
                wanted = [*dropped, *wanted][:most]
            rows = [self.train_dataset[i]["row"] for i in self.reserve.take(wanted) for _ in range(size)]
            batch = self.sample(rows)
            seen += batch.scored
        self._metrics["train"]["filter/kept"].append(len(groups) / sampled)
        self._metrics["train"]["filter/unfilled"].append(missing)
        kept_rows = [True] * (len(groups) * size) + [False] * (missing * size)
        return merge_groups(groups + spare[:missing], self._tokenizer.pad_token_id).with_kept(kept_rows), seen

    def _compute_signal(self, batch: RolloutBatch, seen: list[ScoredResponse]) -> LearningSignal:
        """Advantages of this rank's rows; every rank computes them from all ranks' rows."""
        mine = list(zip(batch.scored, batch.kept, strict=True))
        training, settings = self.model.training, self.config.online_filter
        return compute_signal(
            self.estimator,
            gather_object(mine),
            self.num_generations if training else self.num_generations_eval,
            mine=slice(self.accelerator.process_index * len(mine), (self.accelerator.process_index + 1) * len(mine)),
            seen=gather_object(seen),
            observe_seen=settings is not None and settings.statistics == "before",
            update=training,
        )

    def _log_signal(self, signal: LearningSignal) -> None:
        mode = "train" if self.model.training else "eval"
        for name, value in signal.metrics.items():
            self._metrics[mode][name].append(value)
        for reason, count in self.dropped.items():
            self._metrics[mode][f"dropped/{reason}"] = [count]

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        reserves = gather_object([self.reserve.state_dict()])
        if self.args.should_save:
            checkpoint.save(
                Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}",
                self.estimator,
                reserves,
            )

    def _load_optimizer_and_scheduler(self, folder: Any) -> None:
        super()._load_optimizer_and_scheduler(folder)
        if folder is None:
            return
        reserves = checkpoint.load(folder, self.estimator)
        if len(reserves) == self.accelerator.num_processes:
            self.reserve.load_state_dict(reserves[self.accelerator.process_index])
        else:  # saved by another number of ranks: round up, so that no rank takes a row twice
            whole: Counter[str] = Counter()
            for one in reserves:
                whole.update(one)
            self.reserve.load_state_dict({key: -(-n // self.accelerator.num_processes) for key, n in whole.items()})


def reward(**_: Any) -> list[float]:
    """A placeholder whose name TRL logs rewards under; `GroupTrainer._calculate_rewards` computes them."""
    raise TypeError("rewards come from the verifier")


def build(snapshot: Snapshot, config: RlConfig) -> GroupTrainer:
    """Build the trainer. Raises UsageError if the batch does not divide among the ranks."""
    accumulation = config.accumulation(world_size(config))
    encoder = Encoder(load_processor(config.model), config.media, config.max_prompt)
    engine = {"use_vllm": False, "generation_kwargs": {"suppress_tokens": encoder.media_token_ids}}
    if config.engine != "transformers":
        engine = {
            "use_vllm": True,
            "vllm_mode": "colocate" if config.engine == "vllm" else "server",
            "generation_kwargs": {"logit_bias": {str(i): -100.0 for i in encoder.media_token_ids}},
        }
    own = dict(
        learning_rate=config.learning_rate,
        num_train_epochs=config.epochs,
        num_generations=config.generations,
        steps_per_generation=accumulation * config.updates,
        max_completion_length=config.max_response,
        temperature=config.temperature,
        top_p=config.top_p,
        beta=config.kl,
        use_bias_correction_kl=False,  # the plain k3 estimator, without the importance ratio
        epsilon=config.clip_low,
        epsilon_high=config.clip_high,
        loss_type=AGGREGATIONS[config.aggregation],
        importance_sampling_level=config.importance,
        scale_rewards="none",  # advantages are ours
        dataloader_num_workers=0,  # rows are text; the trainer decodes their media in `workers` threads
        mask_truncated_completions=False,
        **engine,
    )
    return GroupTrainer(
        config,
        encoder,
        prompt_dataset(snapshot),
        model=load_model(config.model),
        args=trl_arguments(config, own, GRPOConfig, accumulation),
        peft_config=adapters(config.model),
    )
