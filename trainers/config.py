"""Training configs: YAML files parsed into dataclasses; unknown keys are refused with the nearest known one."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from corpus import yaml_file
from corpus.errors import UsageError, near
from corpus.ranges import ABOVE_0, AT_LEAST_0, AT_LEAST_1, MOST, SEED, Range

Config = TypeVar("Config")
settings = with_config(ConfigDict(extra="forbid"))  # decorates every dataclass that a config contains

# What SFT and RL settings of these names accept.
SHARED_RANGES = {
    **dict.fromkeys(("per_device", "log_steps", "save_steps", "keep_checkpoints", "gpus"), AT_LEAST_1),
    **dict.fromkeys(("weight_decay", "max_grad_norm", "warmup"), AT_LEAST_0),
    "learning_rate": Range(0, 1, above=True),
    "epochs": ABOVE_0,
    "max_steps": Range(-1, MOST),
    "seed": SEED,
    "workers": Range(0, 1024),
}


def load(path: str | Path, kind: type[Config], **overrides: Any) -> Config:
    """The config in a YAML file, or the one of that bare name in trainers/configs/; `overrides` replace its values.

    Raises UsageError naming the file, the line or the key, and near names.
    """
    values = yaml_file.parse_mapping(yaml_file.read(path, "trainers.configs", "config"), str(path), "config")
    return parse_config(values | overrides, kind, str(path))


def parse_config(values: Mapping[str, Any], kind: type[Config], where: str) -> Config:
    """Parse a nested mapping into a config. Raises UsageError for unknown, missing or invalid values."""
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        raise UsageError(f"{where}: {_explain(error, kind)}") from error


def check_ranges(config: Any, ranges: Mapping[str, Range]) -> None:
    """Raise ValueError, which `load` reports with the file's name, for the first field outside its range."""
    for name, valid in ranges.items():
        if problem := valid.problem(getattr(config, name)):
            raise ValueError(f"{name} {problem}")


def to_dict(config: Any) -> dict[str, Any]:
    """A config as plain JSON values, defaults included, as runs record it and --dry-run prints it."""
    return dataclasses.asdict(config)


def _explain(error: ValidationError, kind: type) -> str:
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    if first["type"] == "unexpected_keyword_argument":
        return f"unknown setting '{'.'.join(path)}'{near(path[-1], _known(kind, path[:-1]))}"
    if first["type"] in ("missing", "missing_argument"):
        return f"'{'.'.join(path)}' must be given"
    message = str(first["msg"]).removeprefix("Value error, ")
    if not path:
        return message
    return f"{'.'.join(path)}: {message[0].lower()}{message[1:]}, not {first['input']!r}"


def _known(kind: Any, path: list[str]) -> list[str]:
    for name in path:
        hint = get_type_hints(kind)[name]
        kind = next((option for option in get_args(hint) if dataclasses.is_dataclass(option)), hint)
    return [field.name for field in dataclasses.fields(kind)]
