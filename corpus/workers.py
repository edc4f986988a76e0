"""How worker processes are started and how they end: without the caller's script, and no later than their parent.

A new process imports the caller's script again, which a script without a guard (`if __name__ == "__main__"`) does not
survive. Ours need nothing of it, so it is out of sight while they start.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext, ForkServerProcess, SpawnContext, SpawnProcess
from types import ModuleType

PARENT_WATCH_S = 1.0


@contextmanager
def main_hidden() -> Iterator[None]:
    """For the block, a main module without a file: multiprocessing finds nothing in it to import again."""
    real = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = real


class _SpawnedProcess(SpawnProcess):
    def start(self) -> None:
        with main_hidden():
            super().start()


class Spawned(SpawnContext):
    """Processes from nothing: a fork would share the corpus's file locks and the mutexes of DuckDB's threads."""

    Process = _SpawnedProcess


class _ForkServerProcess(ForkServerProcess):
    def start(self) -> None:
        with main_hidden():
            super().start()


class ForkServed(ForkServerContext):
    """Processes forked off one that has imported what they need and holds nothing of the caller's."""

    Process = _ForkServerProcess


def end_with_parent() -> None:
    """A worker's initialiser: inside a hanging decoder it would outlive a killed parent, so a thread sees to that."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
