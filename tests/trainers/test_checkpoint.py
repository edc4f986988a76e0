"""The file of an estimator's moments: one format, which reads what older versions and the plug-ins wrote."""

import json
from pathlib import Path

import pytest

from corpus.errors import OneThinkerError
from trainers.advantages import create_estimator
from trainers.advantages.checkpoint import FILE, load, save

MOMENTS = {"math": {"m1": 0.5, "m2": 0.375}}


def test_moments_and_reserves_are_restored(tmp_path: Path) -> None:
    estimator = create_estimator("ema_grpo")
    estimator.load_state_dict(MOMENTS)
    save(tmp_path / "checkpoint-1", estimator, [{"math": 3}, {"": 1}])
    assert json.loads((tmp_path / "checkpoint-1" / FILE).read_text())["version"] == 1
    restored = create_estimator("ema_grpo")
    assert load(tmp_path / "checkpoint-1", restored) == [{"math": 3}, {"": 1}]
    assert restored.state_dict() == MOMENTS


@pytest.mark.parametrize(
    ("content", "reserves"),
    [
        ({"estimator": "ema_grpo", "state": MOMENTS, "reserves": [{"math": 2}]}, [{"math": 2}]),
        ({"estimator": "ema_grpo", "state": MOMENTS}, []),
    ],
    ids=["our trainer", "a plug-in"],
)
def test_files_without_a_version_still_load(tmp_path: Path, content: dict[str, object], reserves: list[object]) -> None:
    (tmp_path / FILE).write_text(json.dumps(content))
    estimator = create_estimator("ema_grpo")
    assert load(tmp_path, estimator) == reserves
    assert estimator.state_dict() == MOMENTS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"version": 2, "estimator": "ema_grpo", "state": {}}, "has version 2, this code reads 1; update onethinker"),
        ({"estimator": "grpo", "state": {}}, "was trained with grpo, the settings say ema_grpo"),
        (None, r"holds no advantages\.json"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, content: object, message: str) -> None:
    if content is not None:
        (tmp_path / FILE).write_text(json.dumps(content))
    estimator = create_estimator("ema_grpo")
    estimator.load_state_dict(MOMENTS)
    with pytest.raises(OneThinkerError, match=message):
        load(tmp_path, estimator)
    assert estimator.state_dict() == MOMENTS, "a refused file leaves the moments alone"
