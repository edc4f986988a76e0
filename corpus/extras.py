"""The optional parts of the package: what `pip install onethinker[EXTRA]` adds."""

from importlib.util import find_spec

from corpus.errors import OneThinkerError

TRAINING = ("torch", "torchvision", "transformers", "trl", "peft", "accelerate")


def require_extra(extra: str, *modules: str) -> None:
    """Raises OneThinkerError, with the command that installs them, if one of `modules` cannot be imported."""
    missing = [name for name in modules if not _is_installed(name)]
    if missing:
        raise OneThinkerError(
            f"this needs {', '.join(missing)}, of the extra '{extra}': `pip install 'onethinker[{extra}]'` installs it "
            "(in a checkout: `pip install -e '.[" + extra + "]'`)"
        )


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ValueError:  # `sys.modules` holds None for it: its import is blocked
        return False
