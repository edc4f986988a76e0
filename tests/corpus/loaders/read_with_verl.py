"""Run by verl's own Python: its RLHFDataset on an export, what it made of each row as JSON lines."""

import json
import sys
from pathlib import Path

import operators_of_torchvision  # noqa: F401, it makes the imports below work
from omegaconf import OmegaConf
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

config = OmegaConf.create({"filter_overlong_prompts": False, "image_patch_size": 16, "cache_dir": sys.argv[1]})
for path in sys.argv[2:]:
    # A processor is asked for wherever there are media, and not used before the rollout.
    dataset = RLHFDataset(path, tokenizer=None, config=config, processor=object())
    rows = [dataset[i] for i in range(len(dataset))]
    assert len(collate_fn(rows)["raw_prompt"]) == len(rows)
    for row in rows:
        parts = [
            {"image": part["image"].size}
            if part["type"] == "image"
            else {"video": Path(part["video"]).stat().st_size}
            if part["type"] == "video"
            else {"text": part["text"]}
            for part in row["raw_prompt"][0]["content"]
        ]
        told = {key: row[key] for key in ("data_source", "reward_model", "extra_info", "index")}
        print("ROW " + json.dumps({"file": path, "parts": parts, **told}))
