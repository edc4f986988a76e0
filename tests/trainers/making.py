"""A small corpus to train on, and a tiny model; and `python -m tests.trainers.making CONFIG.json` runs a training."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from corpus import Corpus
from corpus.ids import digest
from corpus.ingest import ingest
from corpus.response import wrap
from corpus.snapshots import Snapshot
from onethinker.demo.world import write_world
from trainers.config import parse_config
from trainers.experiment.tiny_model import write_tiny
from trainers.rl.config import RlConfig
from trainers.sft.config import SftConfig
from trainers.torchvision_schemas import declare

declare()
torch.set_num_threads(1)

# 16 tokens an image, 4 a frame: enough to be there, little enough to be fast.
MEDIA = {"image_max_pixels": 16_384, "video_max_pixels_per_frame": 4_096, "video_max_frames": 4}


@dataclass(frozen=True)
class Training:
    """A corpus, its snapshot `gold`, an untrained model, and configs for them that are quick."""

    root: Path
    corpus: Corpus
    snapshot: Snapshot
    model: Path

    def sft(self, **settings: Any) -> SftConfig:
        """An SFT config with these settings."""
        return parse_config(self.values(**{"workers": 0} | settings), SftConfig, "test")

    def rl(self, **settings: Any) -> RlConfig:
        """An RL config with these settings."""
        quick = {
            "prompts": 4, "generations": 4, "updates": 1, "per_device": 16, "max_response": 24, "workers": 1,
            "engine": "transformers", "reward_workers": 1, "learning_rate": 1e-3, "online_filter": None,
            "max_prompt": 2048,
        }  # fmt: skip
        return parse_config(self.values(**quick | settings), RlConfig, "test")

    def values(self, **settings: Any) -> dict[str, Any]:
        """The settings as a config file would hold them; `model` may hold some of the model's."""
        model = {"name": str(self.model), "dtype": "float32", "gradient_checkpointing": False}
        base = {"snapshot": "gold", "output": self.root / "out", "media": MEDIA, "save_steps": 1000}
        values = base | settings | {"model": model | settings.get("model", {})}
        return values | {"output": str(values["output"])}


def make(root: Path, per_family: int = 2) -> Training:
    """Two questions of each family with their true answers as traces, frozen; and a model with a vocabulary of them."""
    questions = write_world(root / "world", seed=0, per_family=per_family)
    corpus = Corpus.create(root / "corpus")
    ingest(corpus, "onethinker", [questions], media_root=questions.parent)
    answers = corpus.sql("select sample_id, answer from samples order by sample_id").fetchall()
    traces = [
        {"trace_id": digest("gold", sample_id), "sample_id": sample_id, "teacher": "gold:truth", "mode": "gold",
         "attempt": 0, "response": wrap("I look.", answer), "answer": answer}
        for sample_id, answer in answers
    ]  # fmt: skip
    full = {"profile": "strict", "verifier": "test@1", "format": 1.0, "structure": 0.0, "accuracy": 1.0, "reward": 1.0}
    with corpus.run("select", {}) as run:
        with run.transaction("traces") as tx:
            tx.append("traces", traces)
            tx.append("verdicts", [full | {"trace_id": trace["trace_id"]} for trace in traces])
        picks = corpus.sql("select sample_id, trace_id from traces order by trace_id").to_arrow_table()
        snapshot = corpus.snapshots.freeze("gold", picks, profile="strict", recipe="steps: []\n", run=run)
    rows = pa.Table.from_batches(snapshot.batches(["prompt", "response"]))
    texts = rows["prompt"].to_pylist() + rows["response"].to_pylist()
    return Training(root, corpus, snapshot, write_tiny(root / "tiny", texts, seed=0))


def again(root: Path) -> Training:
    """What `make` made, opened in another process."""
    corpus = Corpus.open(root / "corpus")
    return Training(root, corpus, corpus.snapshots.get("gold"), root / "tiny")


def main(path: str) -> None:
    """Run the training that a JSON file describes: {"root", "method", "settings", "ranks", "resume", "canned"}."""
    job = json.loads(Path(path).read_text())
    assert int(os.environ.get("WORLD_SIZE", "1")) == job["ranks"], "another number of ranks than the test started"
    training = again(Path(job["root"]))
    config = getattr(training, job["method"])(**job["settings"])
    if job["method"] == "sft":
        from trainers.sft.train import train

        train(training.corpus, config, resume=job.get("resume"))
        return
    from trainers.rl.train import train as train_rl
    from trainers.rl.trainer import GroupTrainer

    if job.get("canned"):
        GroupTrainer._generate_single_turn = canned  # type: ignore[method-assign]
    train_rl(training.corpus, config, resume=job.get("resume"))


def canned(self: Any, prompt_ids: Any, images: Any, fields: Any, *rest: Any, **more: Any) -> Any:
    """Responses that depend on the prompt and its turn in the group alone, so that ranks cannot matter."""
    first = self.accelerator.process_index * len(self._rows)
    responses = []
    for place, row in enumerate(self._rows, start=first):
        turn = place % self.num_generations
        text = row["answer"] if turn == 0 else ["B", "3", '{"boxes": [100, 100, 600, 700]}'][turn % 3]
        ids = self._tokenizer(wrap("I look.", text) + "<|im_end|>", add_special_tokens=False)["input_ids"]
        responses.append(ids[:40])
    return responses, None


if __name__ == "__main__":
    main(sys.argv[1])
