"""The temporary folder of this process: made on first use, removed at its end, or by a later process if it was killed.

Beside each folder `onethinker-X` in the system's temporary folder lies `onethinker-X.lock`, whose lock its process
holds. A lock that can be taken belongs to a process that is gone.
"""

import atexit
import os
import shutil
import stat
import tempfile
import uuid
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "onethinker-"


def scratch_folder() -> Path:
    """This process's folder for temporary files."""
    return _make_folder(Path(tempfile.gettempdir()), os.getpid())


@cache
def _make_folder(parent: Path, pid: int) -> Path:  # a forked process makes its own
    remove_abandoned(parent)
    folder = parent / f"{PREFIX}{uuid.uuid4().hex}"
    lock = FileLock(f"{folder}.lock")
    lock.acquire()
    folder.mkdir(mode=0o700)

    def remove() -> None:
        if os.getpid() == pid:
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)

    atexit.register(remove)
    return folder


def remove_abandoned(parent: Path) -> list[Path]:
    """Remove this user's folders in `parent` whose process is gone; returns them."""
    removed = []
    for path in parent.glob(f"{PREFIX}*.lock"):
        try:
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode) or (hasattr(os, "getuid") and found.st_uid != os.getuid()):
                continue  # another user's, or a trap
            with FileLock(path, timeout=0):
                shutil.rmtree(path.with_suffix(""), ignore_errors=True)
                path.unlink(missing_ok=True)
                removed.append(path.with_suffix(""))
        except (Timeout, OSError):
            continue
    return removed
