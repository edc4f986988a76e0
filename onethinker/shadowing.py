"""Whether another package hides one of ours: `corpus`, `filters` and the rest are names that other projects use too."""

import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("corpus", "annotators", "filters", "trainers", "evaluators")


def shadowed() -> list[str]:
    """One line for each of our packages that Python would import from elsewhere; nothing is imported to find out."""
    root = Path(__file__).resolve().parents[1]
    return [
        f"Python imports the package '{name}' from {found}, not onethinker's from {root / name}: "
        f"rename the other one, or take {found.parent} off the import path (PYTHONPATH, the current folder)"
        for name in PACKAGES
        if (found := _location(name)) is not None and found != root / name
    ]


def refuse_shadowing() -> None:
    """Raises ImportError, with one line for each of our packages that is hidden by another.

    The `onethinker` command exits with 1 and the same line instead: a traceback would say nothing more.
    """
    lines = "\n".join(shadowed())
    if lines and _is_command():
        sys.exit(f"onethinker: {lines}")
    if lines:
        raise ImportError(lines)


def _is_command() -> bool:
    program = sys.argv[0] if sys.argv else ""
    return program == "-m" or Path(program).stem == "onethinker"  # `-m` while `python -m onethinker.cli` is starting


def _location(name: str) -> Path | None:
    """The folder, or the file of a plain module, that `import name` gives; None if there is no such package."""
    try:
        spec = find_spec(name)
    except ValueError:  # imported already by something that gave it no spec
        file = getattr(sys.modules[name], "__file__", None)
        return Path(file).resolve().parent if file else None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve()
    return Path(spec.origin).resolve() if spec.origin else None
