"""Configs: what ships loads, and every mistake is reported with the nearest valid word."""

from pathlib import Path

import pytest

from corpus.errors import UsageError
from trainers.config import load, to_dict
from trainers.rl.config import RlConfig
from trainers.sft.config import SftConfig

SHIPPED = sorted(path.stem for path in (Path(__file__).parents[2] / "trainers" / "configs").glob("*.yaml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_loads_by_its_bare_name_and_divides(name: str) -> None:
    config: SftConfig | RlConfig = load(name, SftConfig if name.startswith("sft") else RlConfig)
    assert config.gpus is not None
    assert config.accumulation(config.gpus) >= 1
    text = (Path(__file__).parents[2] / "trainers" / "configs" / f"{name}.yaml").read_text()
    assert f"train {name.split('_')[0]} {name}" in text.splitlines()[0], "a config begins with the command that runs it"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("snapshot: a\noutput: b\nlearning_rat: 1", r"unknown setting 'learning_rat'; did you mean 'learning_rate'\?"),
        (
            "snapshot: a\noutput: b\nmodel: {freze_vision: true}",
            r"'model.freze_vision'; did you mean 'freeze_vision'",
        ),
        ("snapshot: a\noutput: b\nmedia: {video_fps: 0}", "video_fps must be above 0"),
        ("snapshot: a\noutput: b\nmedia: {image_max_pixel: 9}", r"did you mean 'image_max_pixels'"),
        ("snapshot: a\noutput: b\nbatch: many", r"batch: input should be a valid integer.*, not 'many'"),
        ("snapshot: a\noutput: b\nschedule: cosin", "schedule: input should be 'cosine'"),
        ("snapshot: a\noutput: b\nper_device: 0", "per_device must be at least 1, not 0"),
        ("output: b", "'snapshot' must be given"),
        ("- a list", "a config is a mapping of keys to values, not a list"),
        ("a: [", "is not YAML"),
    ],
)
def test_mistakes_in_an_sft_config(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UsageError, match=said) as error:
        load(tmp_path / "c.yaml", SftConfig)
    assert "c.yaml" in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("advantages: {estimator: ema_grop}", "unknown advantage estimator 'ema_grop'; known: dr_grpo, ema_grpo"),
        ("advantages: {settings: {decai: 1}}", "estimator ema_grpo: got an unexpected keyword argument 'decai'"),
        ("advantages: {settings: {decay: 2}}", "decay must be at least 0 and below 1, not 2"),
        ("generations: 1", "generations must be at least 2"),
        ("save_steps: 6", "save_steps 6 must be a multiple of updates 4"),
        ("online_filter: {low: 0.9, high: 0.1}", "low 0.9 must be below high 0.1"),
        ("profile: lax", "profile: input should be 'strict' or 'paper'"),
    ],
)
def test_mistakes_in_an_rl_config(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "c.yaml").write_text("snapshot: a\noutput: b\n" + text)
    with pytest.raises(UsageError, match=said):
        load(tmp_path / "c.yaml", RlConfig)


def test_an_unknown_config_has_near_names() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'rl_8x80gb'"):
        load("rl_8x80g", RlConfig)


def test_a_batch_that_does_not_divide_says_by_what(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"batch \(32\) must be a multiple of per_device × ranks \(3\)"):
        SftConfig("a", "b").accumulation(3)
    with pytest.raises(UsageError, match=r"prompts × generations \(1024\) must be a multiple of .* \(28\)"):
        RlConfig("a", "b").accumulation(7)


def test_a_number_in_scientific_form_is_a_number(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("snapshot: a\noutput: b\nlearning_rate: 1e-5")  # YAML 1.1 reads text here
    config = load(tmp_path / "c.yaml", SftConfig)
    assert config.learning_rate == 1e-5
    assert to_dict(config)["media"]["video_max_frames"] == 128
