"""Recipes are checked when they are loaded, and say what is wrong in words that help."""

import re
from pathlib import Path

import pytest

from corpus.discovery import modules
from corpus.errors import UsageError
from filters.recipe import STEPS, load, parse

RECIPES = Path(__file__).parents[2] / "filters" / "recipes"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("steps: [", "recipe is not YAML: line 1: "),
        ("- best_of", "a recipe is a mapping of keys to values, not a list"),
        ("seed: 1", "recipe: key 'steps': field required"),
        ("profle: strict\nsteps: []", "recipe: unknown key 'profle'; did you mean 'profile'?"),
        ("seed: many\nsteps: []", "recipe: key 'seed': input should be a valid integer"),
        ("steps: [best_off]", "recipe: unknown step 'best_off'; did you mean 'best_of'?"),
        ("steps: [best_of: 1]", "recipe: step 'best_of' takes its options by name (n), not 1"),
        ("steps: [{best_of: {n: 1}, cap: {}}]", "a step is a name, or one with its options"),
        ("steps: [best_of: {m: 1}]", "recipe: step 'best_of': unknown key 'm'"),
        ("steps: [best_of: {n: 0}]", "recipe: step 'best_of': key 'n': input should be greater than or equal to 1"),
        ("steps: [accuracy: {}]", "recipe: step 'accuracy': key 'min': field required"),
        (
            "steps: [accuracy: {min: 0.5, by_problem_type: {trackin: 1}}]",
            "recipe: step 'accuracy': by_problem_type: unknown name 'trackin'; did you mean 'tracking'?",
        ),
        (
            "steps: [accuracy: {min: 0.5, by_task: {video qa: 1}}]",
            "recipe: step 'accuracy': by_task: unknown name 'video qa'; did you mean 'video QA'?",
        ),
        ("steps: [cap: {by: [task, source], rows: 2, rows_for: {x: 1}}]", "rows_for needs a single column in `by`"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        parse(text)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(UsageError, match=r"recipe no/such\.yaml cannot be read: no such file"):
        load("no/such.yaml")


def test_a_step_may_come_twice() -> None:
    recipe = parse("steps: [cap: {by: task, rows: 9}, well_formed, cap: {by: source, rows: 3}]")
    assert recipe.labels == ["cap 1", "well_formed", "cap 2"]


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_our_recipes_load_and_begin_with_the_command_that_runs_them(path: Path) -> None:
    assert load(path).steps
    first = path.read_text().splitlines()[0]
    assert first.startswith(f"# onethinker select {path.stem} --name ")


@pytest.mark.parametrize("name", sorted(modules(STEPS)))
def test_each_step_tells_its_reason_words_and_shows_its_use(name: str) -> None:
    module = modules(STEPS)[name]
    said = module.__doc__ or ""
    assert said.startswith(f"{name}: ")
    assert re.search(r"Reasons?: \w+", said), "its reason words"
    example = re.search(rf"    - {name}\b.*", said)
    assert example, "an example"
    assert parse("steps:\n" + example[0]).steps[0].name == name
    source = Path(module.__file__ or "").read_text()
    words = re.search(r"Reasons?: ([\w, ]+)\.", said)
    assert words
    for word in re.split(r", | or | and ", words[1]):
        assert source.count(word) > 1, f"{word} is told but not given"
