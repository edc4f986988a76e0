"""TRL's GRPOTrainer with our rewards, advantages, online filter and media; generation and loss stay TRL's.

What is overridden, and why, against TRL 1.16:

- `_tokenize_prompts`, `_get_per_token_logps_and_entropies`: TRL hands pixels of images alone to the loss, so that a
  video would be trained on unseen. Here each row carries its own pixels, of whatever kind.
- `_calculate_rewards`: rewards come from the verifier's process pool, with their parts.
- `_generate_and_score_completions`: the online filter, and advantages over the batch gathered from all ranks.
- `_save_checkpoint`, `_load_optimizer_and_scheduler`: an estimator's moments belong to a checkpoint.
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
from trainers import rewards
from trainers.advantages import checkpoint
from trainers.batching import Anchors, joined
from trainers.encoding import Encoded, Encoder, Media, Row, RowDropped
from trainers.learning_signal import Signal, learnt
from trainers.models import adapters, load_model, load_processor
from trainers.online_filter import Reserve
from trainers.rewards import Judged, judged, unscored
from trainers.rl.config import AGGREGATIONS, RlConfig
from trainers.rl.prompts import EpochSampler, prompt_dataset
from trainers.rollout import Part, learns_from, merged
from trainers.run import ranks as world_size
from trainers.run import trl_arguments
from trainers.vllm_media import Shown, WithMedia


class GroupTrainer(GRPOTrainer):  # type: ignore[misc]
    """TRL's trainer over a snapshot's prompts. Rows that had to be dropped are counted by reason in `dropped`."""

    def __init__(self, config: RlConfig, encoder: Encoder, rows: Dataset, **kwargs: Any) -> None:
        self.config, self.encoder = config, encoder
        self.estimator = config.advantages.build()
        self.anchors = Anchors(encoder)
        self.dropped: Counter[str] = Counter()
        self._rows: list[Row] = []
        self._judged: list[Judged] = []
        self._pixels: list[dict[str, torch.Tensor]] = []
        self._shown: list[Shown] = []
        super().__init__(reward_funcs=[reward], train_dataset=rows, processing_class=encoder.processor, **kwargs)
        keys = rewards.keys_of(rows.with_format(None).select_columns(["problem_type", "data_type", "task"]).to_list(),
                               config.advantages.keys)  # fmt: skip
        self.reserve = Reserve(keys, config.seed, self.accelerator.process_index, self.accelerator.num_processes)
        if config.engine == "vllm":
            self.vllm_generation.llm = WithMedia(self.vllm_generation.llm)

    def _get_train_sampler(self, dataset: Any = None) -> EpochSampler:
        """TRL's order of prompts, but an epoch's is its own: TRL's goes on from the epoch before, and so a run that is
        resumed in its second epoch would see the first one's order again."""
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
        """TRL's hook before generation: the ids of each prompt, and the pixels of all of them."""
        different: dict[str, Row] = {row["sample_id"]: row for row in self._rows}  # a prompt comes once a generation
        with ThreadPoolExecutor(max(1, self.config.workers)) as pool:
            shown = dict(zip(different, pool.map(self._encoded, different.values()), strict=True))
        here = [shown[row["sample_id"]] for row in self._rows]
        self._shown = here
        self._pixels = [one.encoded.pixels for one in here]
        fields: dict[str, Any] = joined(iter(self._pixels))
        if fields:
            fields["mm_token_type_ids"] = [one.encoded.kinds for one in here]
        return [one.encoded.ids for one in here], None, fields

    def _encoded(self, row: Row) -> Shown:
        try:
            media = self.encoder.media(row)
            encoded = self.encoder.prompt(row, media)
        except RowDropped as why:
            # Some prompt must stand in its place until the group is left out: every rank has as many rows as any other.
            nothing = self.encoder.tokenizer("?", add_special_tokens=False)["input_ids"]
            return Shown(Encoded(nothing, [-100] * len(nothing), [0] * len(nothing), {}), Media(), nothing, why.reason)
        bare = self.encoder.tokenizer(self.encoder.prompt_text(row), add_special_tokens=False)["input_ids"]
        return Shown(encoded, media, bare)

    def _generate_single_turn(self, prompt_ids: Any, images: Any, fields: Any, *rest: Any, **more: Any) -> Any:
        """TRL's generation; vLLM is given all media of a row, not its images alone."""
        if self.config.engine == "vllm":
            images = [[one] for one in self._shown]
        elif self.config.engine == "vllm_server":
            if any(one.media.clips for one in self._shown):
                raise OneThinkerError("a vLLM server is sent images only by TRL 1.16; use engine: vllm for videos")
            images = [list(one.media.images) or None for one in self._shown]
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
        """Log-probabilities of the completions, each row seen with its own images and videos."""
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
        inputs |= {name: value.to(ids.device) for name, value in joined(iter(pixels)).items()}
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
        """TRL's hook after generation; returns every rank's rewards, NaN where one could not be scored."""
        config, keys = self.config, self.config.advantages.keys
        workers = config.reward_workers
        self._judged = judged(self._rows, completions, profile=config.profile, scheme=keys, workers=workers)
        for i, one in enumerate(self._shown):
            if one.dropped:
                self._judged[i] = unscored(self._judged[i].task, one.dropped)
        told = [float("nan") if one.reward is None else one.reward for one in self._judged]
        return self.accelerator.gather(torch.tensor(told, device=self.accelerator.device)).unsqueeze(1)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        part = self.part([example["row"] for example in inputs])
        if self.model.training and self.config.online_filter is not None:
            part, seen = self._filled(part)
        else:
            part, seen = part.with_kept([True] * len(part)), part.judged
        signal = self._signal(part, seen)
        self._log_signal(signal)
        return learns_from(part, signal.mine, self.accelerator)

    def part(self, rows: list[Row]) -> Part:
        """Responses to these rows, scored. Every rank must ask for as many rows as every other."""
        self._rows = rows
        output = super()._generate_and_score_completions([{"prompt": row["prompt"], "row": row} for row in rows])
        for one in self._shown[:: self.num_generations]:
            if one.dropped:
                self.dropped[one.dropped] += 1
                print(f"a row was dropped: {one.dropped}", file=sys.stderr)
        return Part(output, rows, self._judged, [one.encoded.pixels for one in self._shown])

    def _filled(self, first: Part) -> tuple[Part, list[Judged]]:
        """A part of the same size whose groups the filter keeps, as far as its rounds go; and all that was judged."""
        settings, size = self.config.online_filter, self.num_generations
        assert settings is not None
        full = len(first) // size
        groups: list[Part] = []
        spare: list[Part] = []
        part, seen, drawn, missing = first, list(first.judged), 0, full
        for round_ in range(settings.rounds + 1):
            for group in part.groups(size):
                kept = len(groups) < full and settings.keeps([one.accuracy for one in group.judged])
                (groups if kept else spare).append(group)
            drawn += len(part) // size
            missing = full - len(groups)
            # Every rank generates as many as the one that lacks most: the model may be spread over all of them.
            most = int(self.accelerator.gather(torch.tensor([missing], device=self.accelerator.device)).max())
            if most == 0 or round_ == settings.rounds:
                break
            wanted: list[str | None] = [None] * most
            if settings.same_task:
                left_out: list[str | None] = [group.judged[0].task for group in spare[len(spare) - missing :]]
                wanted = [*left_out, *wanted][:most]
            rows = [self.train_dataset[i]["row"] for i in self.reserve.take(wanted) for _ in range(size)]
            part = self.part(rows)
            seen += part.judged
        self._metrics["train"]["filter/kept"].append(len(groups) / drawn)
        self._metrics["train"]["filter/unfilled"].append(missing)
        learnt_from = [True] * (len(groups) * size) + [False] * (missing * size)
        return merged(groups + spare[:missing], self._tokenizer.pad_token_id).with_kept(learnt_from), seen

    def _signal(self, part: Part, seen: list[Judged]) -> Signal:
        """Advantages of this rank's rows, computed by every rank from all ranks' rows alike."""
        mine = list(zip(part.judged, part.kept, strict=True))
        training, settings = self.model.training, self.config.online_filter
        return learnt(
            self.estimator,
            gather_object(mine),
            self.num_generations if training else self.num_generations_eval,
            mine=slice(self.accelerator.process_index * len(mine), (self.accelerator.process_index + 1) * len(mine)),
            seen=gather_object(seen),
            observe_seen=settings is not None and settings.statistics == "before",
            update=training,
        )

    def _log_signal(self, signal: Signal) -> None:
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
    """The name under which TRL logs rewards; they are computed in `GroupTrainer._calculate_rewards`."""
    raise TypeError("rewards come from the verifier")


def build(snapshot: Snapshot, config: RlConfig) -> GroupTrainer:
    """The trainer, ready to `train()`. Raises UsageError where the batch does not divide among the ranks."""
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
        dataloader_num_workers=0,  # a row is text until the trainer decodes its media, in `workers` threads
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
