"""docs/selection.md says what is there."""

import re
from pathlib import Path
from typing import Any

import pytest

from corpus.discovery import modules
from filters.recipe import STEPS, parse

DOC = (Path(__file__).parents[2] / "docs" / "selection.md").read_text()
TABLE = {row[0]: row[1:] for row in re.findall(r"^\| `(\w+)` \| (.*?) ?\| (`.*) \|$", DOC, re.MULTILINE)}


@pytest.mark.parametrize("name", sorted(modules(STEPS)))
def test_every_step_is_listed_with_its_options_and_reasons(name: str) -> None:
    options, reasons = TABLE[name]
    assert re.findall(r"`(\w+)`", options) == list(modules(STEPS)[name].Options.model_fields)
    said = re.search(r"Reasons?: ([\w, ]+)\.", modules(STEPS)[name].__doc__ or "")
    assert said
    assert re.findall(r"`(\w+)`", reasons) == re.split(r", ", said[1])


def test_no_step_is_listed_that_is_not_there() -> None:
    assert set(TABLE) == set(modules(STEPS))


def test_the_recipe_shown_loads() -> None:
    (shown,) = re.findall(r"```yaml\n(.*?)```", DOC, re.DOTALL)
    assert [step.name for step in parse(shown).steps] == ["well_formed", "accuracy", "repetition", "best_of", "cap"]


def test_the_step_shown_is_a_step() -> None:
    (shown,) = (code for code in re.findall(r"```python\n(.*?)```", DOC, re.DOTALL) if "def drops" in code)
    names: dict[str, Any] = {}
    exec(compile(shown, "docs/selection.md", "exec"), names)
    assert names["Options"]().most == 2
    assert callable(names["drops"])
