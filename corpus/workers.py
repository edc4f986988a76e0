"""Worker processes that start without importing the caller's script and end with their parent.

By default a new process imports the caller's script again, which breaks a script without a guard
(`if __name__ == "__main__"`). Our workers need nothing of it, so it is hidden while they start.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType

PARENT_WATCH_S = 1.0


@contextmanager
def hide_main() -> Iterator[None]:
    """Within the block the main module has no file, so multiprocessing finds nothing to import again."""
    real = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = real


class _SpawnedProcess(SpawnProcess):
    def start(self) -> None:
        with hide_main():
            super().start()


class Spawned(SpawnContext):
    """Spawned processes: a fork would share the corpus's file locks and the mutexes of DuckDB's threads."""

    Process = _SpawnedProcess


if sys.platform != "win32":
    from multiprocessing.context import ForkServerContext, ForkServerProcess

    class _ForkServerProcess(ForkServerProcess):
        def start(self) -> None:
            with hide_main():
                super().start()

    class ForkServed(ForkServerContext):
        """Processes forked from a server process that has imported their modules and holds nothing of the caller's."""

        Process = _ForkServerProcess


def end_with_parent() -> None:
    """Initialise a worker: a thread ends it with its parent, even while it hangs inside a decoder."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
