"""Progress on standard error: how many are done, how fast, how long still, and what it cost so far."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from time import monotonic

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

PLAIN_LINE_EVERY_S = 10.0


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.1f}/s" if speed else "–/s")


@dataclass
class Bar:
    """One piece of long work being counted; `advance` is called from the thread that does it."""

    label: str
    total: int | None
    done: int = 0
    usd: Decimal = Decimal(0)
    counts: dict[str, int] = field(default_factory=dict)
    _live: Progress | None = None
    _started: float = field(default_factory=monotonic)
    _printed: float = field(default_factory=monotonic)

    def advance(self, n: int = 1, *, usd: Decimal | float = 0, **counts: int) -> None:
        """Count `n` more done, `usd` more spent, and any named counts (`ok=3, rejected=1`)."""
        self.done += n
        self.usd += Decimal(usd)
        for name, more in counts.items():
            self.counts[name] = self.counts.get(name, 0) + more
        if self._live is not None:
            self._live.update(self._live.task_ids[0], advance=n, total=self.total, note=self.note())
        elif monotonic() - self._printed >= PLAIN_LINE_EVERY_S:
            self._printed = monotonic()
            print(self.line(), file=sys.stderr, flush=True)

    def note(self) -> str:
        """The named counts and the money, as one short text."""
        parts = [f"{name} {n:,}" for name, n in self.counts.items()]
        return "  ".join([*parts, f"${self.usd:.4f}"] if self.usd else parts)

    def line(self) -> str:
        """The whole state as one line, for logs and terminals that cannot redraw."""
        elapsed = max(monotonic() - self._started, 1e-9)
        rate = self.done / elapsed
        of = f"/{self.total:,}" if self.total is not None else ""
        eta = f" eta {(self.total - self.done) / rate:.0f}s" if self.total and rate and self.done < self.total else ""
        return f"{self.label}: {self.done:,}{of} {rate:,.1f}/s {elapsed:.0f}s{eta} {self.note()}".rstrip()


@contextmanager
def progress(label: str, total: int | None = None) -> Iterator[Bar]:
    """A bar on standard error for the time of the block: redrawn on a terminal, a line every ten seconds elsewhere.

    The last line stays, also when the block is left by an exception or Ctrl-C.
    """
    console = Console(stderr=True)
    bar = Bar(label, total)
    if not console.is_terminal:
        try:
            yield bar
        finally:
            print(bar.line(), file=sys.stderr, flush=True)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as live:
        live.add_task(label, total=total, note="")
        bar._live = live
        yield bar
