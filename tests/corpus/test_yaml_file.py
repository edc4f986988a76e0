"""YAML files are found by path or by name, and what is wrong in one is named with its line."""

import re
from pathlib import Path

import pytest

from corpus import yaml_file
from corpus.errors import UsageError

RECIPES = "filters.recipes"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: [", "x.yaml is not YAML: line 2: "),
        ("a: 1\nb: 2\na: 3", "x.yaml is not YAML: line 3: the key 'a' stands in line 1 already"),
        ("a:\n  - {b: 1, b: 2}", "line 2: the key 'b' stands in line 2 already"),
        ("a: \x00", "x.yaml is not YAML: unacceptable character"),
        ("day: 2026-13-45", "x.yaml is not YAML: month must be in 1..12"),
        ("a: " + "[" * 5_000, "x.yaml is not YAML: maximum recursion depth exceeded"),
        ("? [a]\n: 1", "line 1: found unhashable key"),
        ("a: !!python/object:os.system {}", "line 1: could not determine a constructor"),
        ("- a", "x.yaml: a recipe is a mapping of keys to values, not a list"),
        ("word", "x.yaml: a recipe is a mapping of keys to values, not a str"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused_with_its_line(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        yaml_file.parse_mapping(text, "x.yaml", "recipe")


def test_a_merged_key_may_be_replaced() -> None:
    text = "base: &base {a: 1}\nother: &other {<<: *base, a: 2}\nthird: {<<: *other, a: 3, 'a b': null}"
    found = yaml_file.parse_mapping(text, "x.yaml", "recipe")
    assert found["third"] == {"a": 3, "a b": None}


def test_an_empty_file_is_an_empty_mapping() -> None:
    assert yaml_file.parse_mapping("# nothing yet\n", "x.yaml", "recipe") == {}


def test_a_bare_name_finds_what_the_package_ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "steps:" in yaml_file.read("demo", RECIPES, "recipe")
    (tmp_path / "demo").write_text("a file of that name wins")
    assert yaml_file.read("demo", RECIPES, "recipe") == "a file of that name wins"


def test_a_missing_file_is_named_with_near_names(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"recipe demmo cannot be read: no such file; did you mean 'demo'\?"):
        yaml_file.read("demmo", RECIPES, "recipe")
    (tmp_path / "x.yaml").write_bytes(b"\xff")
    with pytest.raises(UsageError, match=r"x\.yaml cannot be read: .*can't decode"):
        yaml_file.read(tmp_path / "x.yaml", RECIPES, "recipe")
