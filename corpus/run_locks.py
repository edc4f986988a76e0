"""One lock file for each live run: `runs/RUN_ID.lock`, held by its process and released by the system when that dies.

An unheld lock file belongs to a run that crashed, or to one that is about to take it and makes it again if it is gone.
"""

from pathlib import Path

from filelock import FileLock, Timeout


def run_lock(root: Path, run_id: str) -> FileLock:
    """The lock of one run of the corpus at `root`."""
    return FileLock(lock_path(root, run_id))


def lock_path(root: Path, run_id: str) -> Path:
    """The file behind `run_lock`."""
    return root / "runs" / f"{run_id}.lock"


def lock_files(root: Path) -> list[Path]:
    """Every lock file of the corpus, held or not; a file's stem is its run's id."""
    return sorted((root / "runs").glob("*.lock"))


def list_live_runs(root: Path) -> list[str]:
    """The ids of the runs whose process holds its lock."""
    live = []
    for path in lock_files(root):
        try:
            with FileLock(path, timeout=0):
                pass
        except Timeout:
            live.append(path.stem)
    return live
