"""What a benchmark's process and all that it started have used so far, read from /proc (Linux)."""

import os
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
    peaks = {pid: _peak_gb(pid) for pid in family}
    cpu_s = sum(ticks.get(pid, 0) for pid in family) / os.sysconf("SC_CLK_TCK")
    return Usage(cpu_s, sum(peaks.values()), peaks[os.getpid()])


def _peak_gb(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 2**20 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)
