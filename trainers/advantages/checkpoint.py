"""An estimator's moments in a checkpoint folder: one file format for our trainer and every plug-in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from corpus.errors import OneThinkerError
from trainers.advantages.base import Estimator

FILE = "advantages.json"
VERSION = 1  # raise it when the fields change; a file without a version has the same fields


def save(folder: str | Path, estimator: Estimator, reserves: Sequence[dict[str, int]] = ()) -> None:
    """Write the estimator's moments, and each rank's position in its prompt reserve, to `folder`/advantages.json."""
    content = {
        "version": VERSION,
        "estimator": estimator.name,
        "state": estimator.state_dict(),
        "reserves": list(reserves),
    }
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / FILE).write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))


def load(folder: str | Path, estimator: Estimator) -> list[dict[str, int]]:
    """Restore an estimator's moments from a checkpoint; returns each rank's position in its prompt reserve, if saved.

    Raises OneThinkerError if the folder has no moments, those of another estimator, or a newer file format: resuming
    with fresh moments would change the scale of every advantage, and no log would show it.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        raise OneThinkerError(f"{folder} holds no {FILE}: our trainer or plug-in did not save this checkpoint")
    content: dict[str, Any] = orjson.loads(path.read_bytes())
    if content.get("version", VERSION) > VERSION:
        raise OneThinkerError(f"{path} has version {content['version']}, this code reads {VERSION}; update onethinker")
    if content["estimator"] != estimator.name:
        raise OneThinkerError(
            f"{folder} was trained with {content['estimator']}, the settings say {estimator.name}; set the former"
        )
    estimator.load_state_dict(content["state"])
    return list(content.get("reserves", ()))
