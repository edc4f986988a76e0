"""SFT on all ten families, images and videos: the loss falls, and a batch is the same however it is split."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="the training stack is not installed")

from corpus.errors import OneThinkerError, UsageError
from tests.trainers.conftest import SFT
from tests.trainers.making import Training
from trainers.sft.train import train


def losses(training: Training, output: Path) -> dict[int, float]:
    run_id = training.corpus.sql(
        "select run_id from runs where kind = 'train' and json_extract_string(config, '$.output') = ?"
        " order by started_at desc limit 1",
        [str(output.absolute())],
    ).fetchall()[0][0]
    rows = training.corpus.sql("select step, value from metrics where name = 'loss' and run_id = ?", [run_id])
    return dict(rows.fetchall())


@pytest.mark.slow
def test_the_loss_begins_at_chance_and_falls_over_all_families(training: Training, taught: Path) -> None:
    found = [loss for _, loss in sorted(losses(training, taught).items())]
    assert len(found) == SFT["max_steps"]
    words = json.loads((training.model / "config.json").read_text())["text_config"]["vocab_size"]
    assert found[0] == pytest.approx(math.log(words), rel=0.05), "an untrained model guesses"
    # Measured once: 6.67 to 3.0. The margin is for other processors' rounding.
    assert sum(found[-5:]) / 5 < sum(found[:5]) / 5 - 2
    families = training.corpus.sql("select count(distinct task), count(distinct data_type) from samples").fetchall()
    assert families == [(10, 2)], "the snapshot has all ten families, images and videos"


@pytest.mark.slow
def test_eight_rows_one_by_one_are_one_step_of_eight_wherever_they_are_decoded(training: Training) -> None:
    settings: dict[str, Any] = SFT | {"max_steps": 2}
    for output, more in (("at-once", {}), ("one-by-one", {"per_device": 1}), ("in-a-worker", {"workers": 1})):
        train(training.corpus, training.sft(output=training.root / output, **settings | more))
    at_once, one_by_one, in_a_worker = (
        losses(training, training.root / name) for name in ("at-once", "one-by-one", "in-a-worker")
    )
    # One sum in two orders, of some ten thousand float32 terms: 1e-5 in the first step, ten times that after an update.
    assert one_by_one == pytest.approx(at_once, rel=1e-4)
    # A worker starts with no imports, and must declare torchvision's schemas before it unpickles the processor.
    assert in_a_worker == pytest.approx(at_once, rel=1e-6)
    import torch
    from safetensors.torch import load_file

    first, second = (load_file(training.root / name / "model.safetensors") for name in ("at-once", "one-by-one"))
    for name, weight in first.items():
        # Adam's first steps are signs of gradients: of a gradient near 0, rounding decides the sign.
        assert torch.quantile((weight - second[name]).abs().flatten(), 0.99) < 1e-4, name


def test_bad_rows_are_counted_and_the_run_says_so(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    from corpus.media import MediaError
    from trainers import encoding

    read = encoding.read_clip

    def broken(path: str, pick: Any) -> Any:
        if path.endswith(("0", "1", "2", "3", "4", "5")):
            raise MediaError("media_unreadable", path)
        return read(path, pick)

    monkeypatch.setattr(encoding, "read_clip", broken)
    config = training.sft(output=training.root / "bad", **SFT | {"max_steps": 3})
    output = train(training.corpus, config)
    counts = training.corpus.sql("select counts from runs where kind = 'train' order by started_at desc").fetchall()
    assert counts[0][0]["dropped media_unreadable"] > 0
    assert "`media_unreadable`" in (output / "README.md").read_text()


def test_vision_can_be_frozen(training: Training) -> None:
    from safetensors.torch import load_file

    settings: dict[str, Any] = SFT | {"max_steps": 2, "model": {"freeze_vision": True, "freeze_projector": True}}
    output = train(training.corpus, training.sft(output=training.root / "frozen", **settings))
    before, after = load_file(training.model / "model.safetensors"), load_file(output / "model.safetensors")
    same = {name for name, weight in before.items() if (weight == after[name]).all()}
    assert same == {name for name in before if ".visual." in name}


def test_lora_trains_adapters_alone(training: Training) -> None:
    settings: dict[str, Any] = SFT | {"max_steps": 2, "model": {"lora": {"rank": 4}}}
    output = train(training.corpus, training.sft(output=training.root / "lora", **settings))
    assert (output / "adapter_model.safetensors").exists()
    assert not (output / "model.safetensors").exists()


def test_mistakes_are_named(training: Training) -> None:
    with pytest.raises(OneThinkerError, match="no snapshot 'glod'"):
        train(training.corpus, training.sft(snapshot="glod"))
    with pytest.raises(OneThinkerError, match=r"no checkpoint in .* to resume from"):
        train(training.corpus, training.sft(output=training.root / "empty"), resume="last")
    with pytest.raises(UsageError, match=r"SFTConfig of TRL has no setting 'max_len'.*did you mean"):
        train(training.corpus, training.sft(trainer={"max_len": 4}))
    with pytest.raises(UsageError, match="the config is for 2 processes and 1 started; start it with `torchrun"):
        train(training.corpus, training.sft(gpus=2))
    with pytest.raises(OneThinkerError, match=r"model .*/none: "):
        train(training.corpus, training.sft(model={"name": str(training.root / "none")}))


@pytest.mark.slow
def test_the_run_can_be_followed_from_the_model(training: Training, taught: Path) -> None:
    import orjson

    manifest = orjson.loads((taught / "training.json").read_bytes())
    assert manifest["fingerprint"] == training.snapshot.fingerprint
    assert manifest["snapshot"] == "gold@1"
    assert manifest["config"]["seed"] == 0
    assert {"torch", "trl", "transformers"} <= manifest["packages"].keys()
    status, counts = training.corpus.sql(
        "select status, counts from runs where run_id = ?", [manifest["run_id"]]
    ).fetchall()[0]
    assert (status, counts) == ("done", {"steps": SFT["max_steps"]})
    card = (taught / "README.md").read_text()
    assert f"| run | `{manifest['run_id']}` |" in card
    assert f"fingerprint `{training.snapshot.fingerprint}`" in card
