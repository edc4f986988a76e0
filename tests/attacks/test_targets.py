"""The fuzzed checks hold for their seeds, and the seeds cover the ways that an input can go."""

from pathlib import Path

import pytest

from tests.attacks.targets import TARGETS

SEEDS = sorted(Path(__file__).with_name("seeds").glob("*/*"))


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_seed_passes_its_check(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


def test_every_target_has_seeds() -> None:
    assert {path.parent.name for path in SEEDS} == set(TARGETS)
