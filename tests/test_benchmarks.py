"""Benchmarks are run by hand, as their first lines say; this keeps those lines true."""

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
COMMANDS = sorted(path.stem for path in FOLDER.glob("*.py") if '__name__ == "__main__"' in path.read_text("utf-8"))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_benchmark_starts_by_the_command_that_it_names(name: str) -> None:
    module = importlib.import_module(f"benchmarks.{name}")  # as `python -m` from the project's folder finds it
    assert f"python -m benchmarks.{name}" in (module.__doc__ or "")
