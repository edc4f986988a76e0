"""Writing a world to a folder: its media, and its questions in the released training and evaluation layouts."""

from pathlib import Path
from typing import Any

import orjson

from corpus.discovery import modules
from onethinker.demo.world.question import WorldQuestion
from onethinker.demo.world.scenes import Scenes

TRAIN_FILE, EVAL_FILE = "world_rl_train.json", "world_eval.json"


def write_world(out_dir: str | Path, seed: int = 0, per_family: int = 6) -> Path:
    """Draw a world into a folder and return the path of its `world_rl_train.json`.

    `per_family` questions of each of the ten task families, their kinds taking turns (six cover every kind); beside
    them `world_eval.json` with a third as many over other scenes, and the media under `images/` and `videos/`. Paths
    in both files are relative to the folder. The same seed gives the same bytes with the same versions of Pillow,
    OpenCV and PyAV.

    Raises ValueError for a `per_family` below 1.
    """
    if per_family < 1:
        raise ValueError(f"per_family is {per_family}; a world needs at least 1 question a family")
    folder = Path(out_dir)
    train, evaluation = Scenes(folder, seed, "train"), Scenes(folder, seed, "eval")
    asked = _questions(train, per_family)
    rows = [_training_row(number, family, question) for number, (family, question) in enumerate(asked, start=1)]
    held_out = _questions(evaluation, max(1, per_family // 3))
    eval_rows = [
        _evaluation_row(number, family, question) for number, (family, question) in enumerate(held_out, len(rows) + 1)
    ]
    _write(folder / EVAL_FILE, eval_rows)
    return _write(folder / TRAIN_FILE, rows)


def _questions(scenes: Scenes, per_family: int) -> list[tuple[str, WorldQuestion]]:
    families = modules("onethinker.demo.world.questions")
    return [(name, family.ask(scenes, number)) for name, family in families.items() for number in range(per_family)]


def _training_row(number: int, family: str, question: WorldQuestion) -> dict[str, Any]:
    return {
        "problem_id": number,
        "problem": f"<{question.data_type}>{question.text}",
        "problem_reserved_text": question.text,
        "data_type": question.data_type,
        "problem_type": question.problem_type,
        "options": question.options,
        "data_source": _source(family),
        "answer": f"<answer>{question.answer}</answer>",
        f"{question.data_type}s": [question.medium],
    }


def _evaluation_row(number: int, family: str, question: WorldQuestion) -> dict[str, Any]:
    return {
        "problem_id": number,
        "problem": question.text,
        "data_type": question.data_type,
        "problem_type": question.problem_type,
        "options": question.options,
        "data_source": _source(family),
        "solution": f"<answer>{question.answer}</answer>",
        "path": f"./{question.medium}",
        **question.segmentation,
    }


def _source(family: str) -> str:
    return f"world/{family.replace('_', '-')}"


def _write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_bytes(orjson.dumps(rows, option=orjson.OPT_INDENT_2) + b"\n")
    return path
