"""Run by TRL's own Python: what its trainers do to a row before tokenising, on an export, as JSON lines."""

import json
import sys

import operators_of_torchvision  # noqa: F401, it makes the imports below work
from datasets import load_dataset
from trl.data_utils import is_conversational, prepare_multimodal_messages

for path in sys.argv[1:]:
    for row in load_dataset("parquet", data_files=path, split="train"):
        key = "messages" if "messages" in row else "prompt"
        assert is_conversational(row)
        images = row.get("images")
        turns = prepare_multimodal_messages(row[key], images) if images else row[key]
        told = [(turn["role"], [part["type"] for part in turn["content"]]) for turn in turns]
        sizes = [part["image"].size for turn in turns for part in turn["content"] if part.get("image")]
        print("ROW " + json.dumps({"file": path, "turns": told, "sizes": sizes, "columns": sorted(row)}))
