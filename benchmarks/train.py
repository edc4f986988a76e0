"""Training's overheads: our trainer's step over TRL's, advantages, the collator over bare decoding, memory over steps.

    OMP_NUM_THREADS=1 python -m benchmarks.train [--memory-steps 2000]

Everything runs with the tiny model on a CPU, where overheads are largest beside the model's own work. Ratios are of
medians of alternating repetitions, since machines are shared.
"""

import argparse
import gc
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil

from tests.trainers.making import MEDIA, Training, make
from trainers.advantages import create_estimator
from trainers.batching import Collator
from trainers.config import parse_config
from trainers.encoding import Encoder, MediaLimits
from trainers.frames import read_clip
from trainers.models import load_model, load_processor

PROMPTS, GENERATIONS, TOKENS, STEPS = 4, 4, 24, 6


def main() -> None:
    """Print one line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory-steps", type=int, default=0, help="SFT steps over which memory is watched (0: not)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        training = make(Path(folder), per_family=4)
        advantages()
        collator(training)
        step_time(training)
        if options.memory_steps:
            memory(training, options.memory_steps)


def advantages(rows: int = 1024) -> None:
    chance = np.random.default_rng(0)
    rewards, groups = chance.random(rows).tolist(), np.repeat(np.arange(rows // 8), 8).tolist()
    tasks = [f"task {g % 12}" for g in groups]
    estimator = create_estimator("ema_grpo")
    seconds = median(_time(lambda: estimator.estimate(rewards, groups, tasks)) for _ in range(50))
    print(f"EMA-GRPO advantages of {rows:,} rows: {seconds * 1e3:.2f} ms")


def collator(training: Training) -> None:
    """Our collator against decord and the processor called by hand on the same rows, batch by batch."""
    rows = list(training.snapshot.stream().decode(False))
    for limits, label in (
        (parse_config(MEDIA, MediaLimits, "benchmark"), "media as small as tests use"),
        (MediaLimits(), ""),
    ):
        encoder = Encoder(load_processor(training.sft().model), limits)
        for kind in ("image", "video"):
            chosen = [row for row in rows if row["data_type"] == kind]
            collate = partial(Collator(encoder), chosen), partial(bare, encoder, chosen)
            both = [[_time(work) for work in collate] for _ in range(9)][1:]
            mine, other = (median(pair[i] for pair in both) for i in (0, 1))
            frames = sum(clip.pixels.shape[0] for row in chosen for clip in encoder.media(row).clips)
            more = f", {frames / mine:.0f} frames/s" if frames else ""
            print(
                f"collator, {kind}s, {label or 'the released limits'}: {len(chosen) / mine:.1f} samples/s{more}; "
                f"{other / mine:.2f}× bare decord + processor"
            )


def bare(encoder: Encoder, rows: list[Any]) -> Any:
    """What has to be done at the least: open or decode, and one call of the processor for the batch."""
    from PIL import Image

    chats = [encoder._render(row["messages"], add_generation_prompt=False) for row in rows]
    inputs: dict[str, Any] = {"text": [encoder._bare(chat) for chat in chats]}
    if rows[0]["images"]:
        inputs["images"] = [[Image.open(image["path"]).convert("RGB") for image in row["images"]] for row in rows]
    else:
        clips = [read_clip(row["videos"][0], encoder._pick) for row in rows]
        inputs["videos"] = [[clip.pixels.transpose(0, 3, 1, 2)] for clip in clips]
        inputs["video_metadata"] = [
            [{"fps": clip.fps, "total_num_frames": clip.total, "frames_indices": list(range(len(clip.times_s)))}]
            for clip in clips
        ]
        inputs["do_sample_frames"] = False
    return encoder.processor(**inputs, padding=True, return_tensors="pt")


def step_time(training: Training) -> None:
    """Our trainer and TRL's own GRPO, step by step in turn: same images, same reward, same number of tokens."""
    mine, theirs = ours(training), trls(training)
    rows = [one["row"] for one in mine.train_dataset if one["row"]["data_type"] == "image"][:PROMPTS]
    batch = [{"row": row} for row in rows for _ in range(GENERATIONS)]
    chats = [trl_row(row) for row in rows for _ in range(GENERATIONS)]
    times: list[tuple[float, float]] = []
    for _ in range(STEPS + 1):
        times.append((_time(lambda: step(mine, batch)), _time(lambda: step(theirs, chats))))
    a, b = (median(pair[i] for pair in times[1:]) for i in (0, 1))
    print(f"a step of {len(batch)} responses: EMA-GRPO {a:.2f} s, TRL's GRPO {b:.2f} s, {a / b:.2f}×")


def step(trainer: Any, batch: list[Any]) -> None:
    trainer._step = 0
    inputs = trainer._prepare_inputs(batch)
    trainer.compute_loss(trainer.model, inputs).backward()
    trainer.model.zero_grad()


def ours(training: Training) -> Any:
    from trainers.rl.trainer import build

    config = training.rl(
        prompts=PROMPTS, generations=GENERATIONS, per_device=PROMPTS * GENERATIONS, max_response=TOKENS,
        trainer={"generation_kwargs": {"min_new_tokens": TOKENS}},
    )  # fmt: skip
    return _ready(build(training.snapshot, config))


def trls(training: Training) -> Any:
    """TRL's trainer as its documentation uses it, with a reward function that asks the same verifier."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    from filters import score

    def reward(completions: Any, answer: Any, problem_type: Any, data_type: Any, **_: Any) -> list[float]:
        texts = [turns[0]["content"] for turns in completions]
        return score(texts, answer, problem_type, data_type, workers=1)["reward"].to_pylist()

    size = PROMPTS * GENERATIONS
    arguments = GRPOConfig(
        output_dir=str(training.root / "trl"), per_device_train_batch_size=size, num_generations=GENERATIONS,
        max_completion_length=TOKENS, generation_kwargs={"min_new_tokens": TOKENS}, use_cpu=True, report_to=[],
        bf16=False, activation_checkpointing=False,
    )  # fmt: skip
    settings = training.rl().model
    encoder = Encoder(load_processor(settings), parse_config(MEDIA, MediaLimits, "benchmark"))
    return _ready(
        GRPOTrainer(
            load_model(settings),
            reward,
            arguments,
            Dataset.from_dict({"prompt": ["?"]}),
            processing_class=encoder.processor,
        )
    )


def trl_row(row: dict[str, Any]) -> dict[str, Any]:
    from PIL import Image

    text = "".join(part["text"] or "" for part in row["messages"][0]["content"])
    images = [Image.open(image["path"]).convert("RGB") for image in row["images"]]
    kept = {name: row[name] for name in ("answer", "problem_type", "data_type")}
    return {"prompt": [{"role": "user", "content": text}], "images": images, **kept}


def memory(training: Training, steps: int) -> None:
    """Resident memory of an SFT run after a tenth of its steps and at its end."""
    from transformers import TrainerCallback

    from trainers.sft.trainer import build

    seen: dict[int, float] = {}

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % max(1, steps // 10) == 0:
                gc.collect()
                seen[state.global_step] = psutil.Process().memory_info().rss / 2**20

    config = training.sft(batch=2, per_device=2, max_steps=steps, save_steps=10**6, log_steps=100, max_length=2048)
    trainer = build(training.snapshot, config)
    trainer.add_callback(Watch())
    trainer.train()
    shown = ", ".join(f"{step}: {mb:.0f}" for step, mb in seen.items())
    print(f"resident MB by step: {shown}")


def _ready(trainer: Any) -> Any:
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    return trainer


def _time(work: Any) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
