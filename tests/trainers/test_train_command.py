"""`onethinker train`: what it would do, what it did, and two runs side by side."""

from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("trl", reason="the training stack is not installed")

from onethinker.cli import main
from tests.trainers.conftest import SFT
from tests.trainers.making import Training
from trainers.encoding import MediaLimits
from trainers.estimate import estimate, media_tokens
from trainers.models import Lora, ModelSettings
from trainers.sft.train import train


def written(training: Training, name: str, settings: dict[str, Any]) -> str:
    path = training.root / f"{name}.yaml"
    path.write_text(yaml.safe_dump(training.values(**settings)))
    return str(path)


@pytest.mark.parametrize("method", ["sft", "rl"])
def test_a_dry_run_describes_everything_and_trains_nothing(
    training: Training, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings: dict[str, Any] = {"output": training.root / "never", "model": {"dtype": "float32"}, "gpus": 2}
    path = written(training, f"dry-{method}", settings)
    assert main(["train", method, path, "--dry-run", "--corpus", str(training.corpus.root)]) == 0
    said = capsys.readouterr().out
    assert "gold@1: 20 rows" in said
    assert "2 rank(s)" in said
    assert said.count(" tokens, of them ") == 3
    assert "of video frames" in said
    assert "optimiser" in said
    assert "together" in said
    assert "learning_rate: " in said, "the config with its defaults"
    assert not (training.root / "never").exists()


def test_an_unknown_setting_exits_with_2(training: Training, capsys: pytest.CaptureFixture[str]) -> None:
    path = training.root / "typo.yaml"
    path.write_text("snapshot: gold\noutput: x\nlearning_rat: 1")
    assert main(["train", "sft", str(path), "--corpus", str(training.corpus.root)]) == 2
    assert "did you mean 'learning_rate'?" in capsys.readouterr().err


def test_two_runs_side_by_side(training: Training, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, rate in (("slow", 1e-5), ("fast", 3e-3)):
        settings = SFT | {"max_steps": 4, "learning_rate": rate}
        train(training.corpus, training.sft(output=training.root / name, **settings))
    svg = tmp_path / "curves.svg"
    arguments = ["train", "compare", "slow", "fast", "--plots", str(svg), "--format", "csv"]
    assert main([*arguments, "--corpus", str(training.corpus.root)]) == 0
    said = capsys.readouterr().out
    assert "config.learning_rate,1e-05,0.003" in said
    settled = next(line for line in said.splitlines() if line.startswith("loss,")).split(",")
    assert float(settled[2]) < float(settled[1])
    assert svg.read_text().count("<polyline") >= 4
    assert main(["train", "compare", "slwo", "fast", "--corpus", str(training.corpus.root)]) == 1
    assert "no training run 'slwo'; did you mean 'slow'" in capsys.readouterr().err


def test_memory_follows_what_is_learnt_and_how_it_is_spread(training: Training) -> None:
    tiny = ModelSettings(str(training.model), dtype="float32")
    whole = estimate(tiny, tokens=1000)
    assert whole["optimiser"] == pytest.approx(2 * whole["weights"])
    assert estimate(tiny, tokens=1000, shards=4)["weights"] == pytest.approx(whole["weights"] / 4)
    assert estimate(tiny, tokens=2000)["activations"] == pytest.approx(2 * whole["activations"])
    adapters = estimate(ModelSettings(str(training.model), dtype="float32", lora=Lora(rank=2)), tokens=1000)
    assert adapters["optimiser"] < whole["optimiser"] / 10
    assert "reference model" in estimate(tiny, tokens=1, reference=True)
    frozen = ModelSettings(str(training.model), dtype="float32", freeze_vision=True, freeze_projector=True)
    assert estimate(frozen, tokens=1)["gradients"] < whole["gradients"]


def test_tokens_of_media_are_guessed_within_a_quarter(training: Training) -> None:
    from tests.trainers.making import MEDIA
    from trainers.config import parse_config
    from trainers.encoding import Encoder
    from trainers.models import load_processor

    limits = parse_config(MEDIA, MediaLimits, "test")
    encoder = Encoder(load_processor(training.sft().model), limits)
    media = {r["trace_id"]: r["media"] for b in training.snapshot.batches() for r in b.to_pylist()}
    for row in training.snapshot.stream().decode(False):
        kinds = encoder.prompt(row).kinds
        shown = len(kinds) - kinds.count(0)
        if row["data_type"] == "image":
            assert media_tokens(media[row["trace_id"]], limits) == pytest.approx(shown, rel=0.35)
        else:
            assert media_tokens(media[row["trace_id"]], limits) >= shown, "marks and time stamps are counted too"
