"""Finding the files of a folder: a task, a source, a provider, a command is one file, known by its name."""

import ast
import importlib
import importlib.util
import pkgutil
from functools import cache
from pathlib import Path
from types import ModuleType


def names(package: str) -> list[str]:
    """The module names in a package's folder, sorted; names that begin with an underscore are private to it.

    Nothing is imported but the package itself.
    """
    folder = importlib.import_module(package)
    return sorted(found.name for found in pkgutil.iter_modules(folder.__path__) if not found.name.startswith("_"))


@cache
def modules(package: str) -> dict[str, ModuleType]:
    """Every module in a package's folder by its file's name, imported."""
    return {name: importlib.import_module(f"{package}.{name}") for name in names(package)}


def summary(package: str, name: str) -> str:
    """The first line of a module's docstring, read from its source: the module is not imported."""
    spec = importlib.util.find_spec(f"{package}.{name}")
    if spec is None or spec.origin is None:
        return ""
    return (ast.get_docstring(ast.parse(Path(spec.origin).read_text())) or "").partition("\n")[0]
