"""Run by LLaMA-Factory's own Python: its loader on an export, what it made of each row as JSON lines."""

import json
import sys

import operators_of_torchvision  # noqa: F401, it makes the imports below work
from llamafactory.data.loader import _load_single_dataset
from llamafactory.data.parser import get_dataset_list
from llamafactory.hparams import get_train_args

folder, names = sys.argv[1], sys.argv[2:]
model_args, data_args, training_args, _, _ = get_train_args(
    {
        "model_name_or_path": "none",
        "stage": "sft",
        "do_train": True,
        "dataset": ",".join(names),
        "dataset_dir": folder,
        "media_dir": folder,
        "template": "qwen2_vl",
        "output_dir": f"{folder}/none",
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
    }
)
for attr in get_dataset_list(names, folder):
    for row in _load_single_dataset(attr, model_args, data_args, training_args):
        told = {key: row[f"_{key}"] for key in ("prompt", "response", "images", "videos")}
        print("ROW " + json.dumps({"dataset": attr.dataset_name, **told}))
