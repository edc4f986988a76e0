"""YAML files that hold one mapping: given by path, or by the bare name of a file that a package ships."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from corpus.errors import UsageError, near


def read(path: Path | str, package: str, kind: str) -> str:
    """The text of the file at `path`, or of the `.yaml` file of that bare name in `package`; a path wins.

    `kind` is what errors call such a file. Raises UsageError with near names if it cannot be read.
    """
    shipped = {
        file.name.removesuffix(".yaml"): file for file in files(package).iterdir() if file.name.endswith(".yaml")
    }
    name = str(path)
    file = shipped[name] if name in shipped and not Path(path).is_file() else Path(path)
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = str(error)
        if isinstance(error, OSError):
            why = "no such file" if isinstance(error, FileNotFoundError) else error.strerror or why
        raise UsageError(f"{kind} {path} cannot be read: {why}{near(name, shipped)}") from error


def parse_mapping(text: str, name: str, kind: str) -> dict[str, Any]:
    """The mapping that YAML `text` holds; an empty text is an empty mapping. `name` is what errors call the file.

    Raises UsageError naming the line if the text is not YAML, repeats a key, or holds anything but a mapping.
    """
    try:
        found = yaml.load(text, _UniqueKeys)
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}:" if error.problem_mark else ""
        raise UsageError(f"{name} is not YAML:{line} {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{name} is not YAML: {' '.join(str(error).split())}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UsageError(f"{name}: a {kind} is a mapping of keys to values, not a {type(found).__name__}")
    return found


class _UniqueKeys(yaml.SafeLoader):
    """PyYAML's safe loader, which keeps the last of equal keys; here they are an error."""

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        first: dict[tuple[str, str], yaml.Mark] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            word = (key.tag, key.value)
            if word in first:
                problem = f"the key '{key.value}' stands in line {first[word].line + 1} already"
                raise yaml.composer.ComposerError(None, None, problem, key.start_mark)
            first[word] = key.start_mark
        return node
