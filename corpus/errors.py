"""Errors that a person is meant to read: what happened, where, and what to do next."""

import difflib
from collections.abc import Iterable

_NEAR_CHARS = 100  # of a name: a longer one is near to nothing, and costs much to compare


class OneThinkerError(Exception):
    """A request failed for a reason outside our code; the command line prints it and exits with 1."""


class UsageError(OneThinkerError):
    """A request is wrong (unknown name, bad option, impossible recipe); the command line exits with 2."""


class MediaError(OneThinkerError):
    """A medium that cannot be used. `reason` is one stable word for SQL to count, `detail` says more to a person."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)  # both, so that it survives pickling
        self.reason, self.detail = reason, detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


def near(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known names closest to `name`, else the list of them all.

    Empty if nothing is known. It goes behind "unknown … 'name'".
    """
    names, name = sorted(known), name[:_NEAR_CHARS]
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return "; did you mean " + " or ".join(f"'{n}'" for n in close) + "?"
    return f"; known: {', '.join(names)}" if names else ""
