"""Little memory for long runs: what Arrow and the C library would keep for the next time is given back."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.abc import MetaPathFinder
from typing import Any

import pyarrow as pa

from corpus import Corpus

_M_ARENA_MAX = -8  # of glibc's malloc.h


@contextmanager
def frugal() -> Iterator[None]:
    """Round all that an annotating command does, the opening of its corpus included: what a process settles once.

    glibc keeps a heap for each of many threads (8 MB more over a hundred commits), and one does: the work is in one
    thread at a time, the others wait for the network or the disk. DuckDB and Arrow import pandas (34 MB) at
    the first Python list that they see, to ask whether it is one of its kinds.
    """
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
    with without("pandas"):
        yield


@contextmanager
def sparing(corpus: Corpus) -> Iterator[None]:
    """Within the block a run's commits and plans hold as little as they can between two of them."""
    before = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own keeps what was freed
    try:
        with corpus.low_memory():
            yield
    finally:
        pa.set_memory_pool(before)


def give_back() -> None:
    """Return freed pages to the system, where the C library can: a few milliseconds."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


class _Absent(MetaPathFinder):
    """Finds nothing, and says so before others look, for one package."""

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(self, name: str, *_: Any) -> None:
        if name == self.package:
            raise ModuleNotFoundError(f"{name} is not wanted in this process", name=name)


@contextmanager
def without(package: str) -> Iterator[None]:
    """Within the block this process does not import a package: for commands, not for programs of other threads."""
    absent = _Absent(package)
    if package not in sys.modules:
        sys.meta_path.insert(0, absent)
    try:
        yield
    finally:
        with suppress(ValueError):
            sys.meta_path.remove(absent)
