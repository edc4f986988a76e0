"""Recipes: a selection as one readable list, in YAML, checked when it is loaded.

    # onethinker select demo --name demo
    profile: strict
    seed: 1
    steps:
      - well_formed
      - accuracy: {min: 0.5, by_problem_type: {tracking: 0.4}}
      - best_of: {n: 1}

Every step is a file in filters/steps, known by its name.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from corpus import yaml_file
from corpus.discovery import modules
from corpus.errors import UsageError, near
from corpus.sql_gate import condition

STEPS = "filters.steps"


class StepOptions(BaseModel):
    """The base of every step's options: unknown names, infinities and NaN are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Step:
    """One step of a recipe: its name, which is that of a file in filters/steps, and its options."""

    name: str
    options: StepOptions

    @property
    def module(self) -> ModuleType:
        """The file of filters/steps that does it."""
        return modules(STEPS)[self.name]


class _Head(BaseModel):
    """A recipe's keys."""

    model_config = ConfigDict(extra="forbid")

    profile: str = "strict"
    seed: int = 0
    where: str | None = None
    steps: list[Any]

    @field_validator("profile")
    @classmethod
    def _profile(cls, given: str) -> str:
        from corpus.scoring import find_profile  # imports the tasks, and with them sympy

        try:
            find_profile(given)
        except UsageError as error:
            raise ValueError(str(error)) from None
        return given


@dataclass(frozen=True)
class Recipe:
    """A checked recipe. `where` is the slice it selects from, `text` the file as written."""

    profile: str
    seed: int
    where: str | None
    steps: tuple[Step, ...]
    text: str

    @cached_property
    def labels(self) -> list[str]:
        """A word for each step, its name, numbered where a recipe uses it twice."""
        names = [step.name for step in self.steps]
        return [n if names.count(n) == 1 else f"{n} {names[: i + 1].count(n)}" for i, n in enumerate(names)]


def load(path: Path | str) -> Recipe:
    """The recipe in a file, or the one of that bare name that ships with the package (`demo`).

    Raises UsageError naming file, key and near names if anything in it is wrong.
    """
    return parse(yaml_file.read(path, "filters.recipes", "recipe"), name=str(path))


def parse(text: str, *, name: str = "recipe") -> Recipe:
    """The recipe in YAML text; `name` is what errors call it. Raises UsageError as `load` does."""
    head = _validate(_Head, yaml_file.parse_mapping(text, name, "recipe"), name)
    if head.where is not None:
        condition(head.where, what=f"{name}: key 'where'")
    return Recipe(head.profile, head.seed, head.where, tuple(_step(s, name) for s in head.steps), text)


def _step(item: Any, name: str) -> Step:
    if isinstance(item, str):
        item = {item: {}}
    if not isinstance(item, dict) or len(item) != 1:
        raise UsageError(f"{name}: a step is a name, or one with its options as in `best_of: {{n: 1}}`, not {item!r}")
    ((word, options),) = item.items()
    known = modules(STEPS)
    if word not in known:
        raise UsageError(f"{name}: unknown step '{word}'{near(str(word), known)}")
    if options is not None and not isinstance(options, dict):
        fields = ", ".join(known[word].Options.model_fields) or "none"
        raise UsageError(f"{name}: step '{word}' takes its options by name ({fields}), not {options!r}")
    return Step(word, _validate(known[word].Options, options or {}, f"{name}: step '{word}'"))


def _validate(model: type[BaseModel], values: dict[str, Any], where: str) -> Any:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise UsageError(f"{where}: unknown key '{key}'{near(key, model.model_fields)}") from None
        if first["type"] == "value_error":  # from a validator of the step
            raise UsageError(f"{where}: {first['ctx']['error']}") from None
        message = first["msg"][0].lower() + first["msg"][1:]
        raise UsageError(f"{where}: key '{key}': {message}, got {first.get('input')!r}") from None
