"""What a benchmark's process and all that it started have used so far, read from /proc (Linux)."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """Processor seconds of the living processes, and the sum of their greatest resident sizes in GB.

    Pages that processes share (the workers most of theirs) count in each, so the sum is an upper bound.
    """

    cpu_s: float
    peak_gb: float
    main_gb: float


def usage() -> Usage:
    """This process and its living descendants; what those used that have ended is not in it."""
    family = _family()
    peaks = {pid: _peak_gb(pid) for pid in family}
    return Usage(sum(family.values()) / os.sysconf("SC_CLK_TCK"), sum(peaks.values()), peaks[os.getpid()])


def _family() -> dict[int, int]:
    """This process and its living descendants, with the clock ticks that each has used."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents[int(folder.name)], ticks[int(folder.name)] = int(fields[1]), int(fields[11]) + int(fields[12])
    family = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return {pid: ticks.get(pid, 0) for pid in family}


@dataclass
class Peak:
    """The most that all processes together held at any moment, and what the main one held then, in GB.

    It is their proportional set size: a page that n of them share counts 1/n in each.
    """

    all_gb: float = 0.0
    main_gb: float = 0.0

    def __str__(self) -> str:
        return f"{self.all_gb:.2f} GB of all processes together, {self.main_gb:.2f} GB of it in the main one"


@contextmanager
def peak_memory(every_s: float = 0.5) -> Iterator[Peak]:
    """Watches the memory of this process and its descendants during the block; shorter peaks can be missed."""
    peak, done = Peak(), threading.Event()

    def watch() -> None:
        while not done.wait(every_s):
            sizes = {pid: _proportional_gb(pid) for pid in _family()}
            if sum(sizes.values()) > peak.all_gb:
                peak.all_gb, peak.main_gb = sum(sizes.values()), sizes[os.getpid()]

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def _proportional_gb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0.0
    return next((int(line.split()[1]) / 2**20 for line in lines if line.startswith("Pss:")), 0.0)


def _peak_gb(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 2**20 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)


def resident_mb() -> tuple[float, float]:
    """What this process holds in memory now, and the part of it that is its own: no pages of files."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    kb = {words[0]: int(words[1]) for words in lines if words[0] in ("VmRSS:", "RssAnon:")}
    return kb["VmRSS:"] / 1024, kb["RssAnon:"] / 1024
