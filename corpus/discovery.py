"""Find the modules of a folder: a task, a source, a provider, a command is one file, known by its name."""

import importlib
import pkgutil
from functools import cache
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
