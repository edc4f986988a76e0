"""Progress on standard error: redrawn on a terminal, a line every ten seconds elsewhere.

`progress` counts one piece of long work. `show_progress` draws a view of the caller's own; both share how often it is
drawn and where, and how rates and times left are computed and written.
"""

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from time import monotonic

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

REDRAW_S = 0.5
PLAIN_LINE_S = 10.0
RECENT_S = 15.0  # over which rates are taken


class Speed:
    """How fast some counts grow, a second."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, Mapping[str, int]]] = deque()

    def rates(self, now_s: float, counts: Mapping[str, int]) -> dict[str, float]:
        """Add a sample; the growth of each count since the oldest sample of the last 15 seconds, or the one before."""
        self._samples.append((now_s, counts))
        while len(self._samples) > 2 and self._samples[1][0] <= now_s - RECENT_S:
            self._samples.popleft()
        then_s, before = self._samples[0]
        over_s = now_s - then_s
        return {name: (n - before.get(name, 0)) / over_s if over_s > 0 else 0.0 for name, n in counts.items()}


def format_clock(seconds: float) -> str:
    """Seconds as `4:05` or `1:04:05`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_eta(done: int, total: int | None, rate: float) -> list[str]:
    """The time left at `rate` a second, as a list of one text; empty if that is not known or nothing is left."""
    if total is None or rate <= 0 or done >= total:
        return []
    return [f"eta {format_clock((total - done) / rate)}"]


def render_view(label: str, done: int, total: int | None, seconds: float, *lines: str) -> RenderableType:
    """A view for a terminal: the label, a bar, the count and the time in one row, and further lines below."""
    head = Table.grid(padding=(0, 2))
    bar = ProgressBar(None if total is None else max(total, 1), done, width=32, pulse=total is None)
    count = f"{done:,}" if total is None else f"{done:,} of {total:,}"
    head.add_row(label, bar, count, format_clock(seconds))
    return Group(head, *(Text(f"  {line}", overflow="ellipsis", no_wrap=True) for line in lines if line))


@contextmanager
def show_progress(render: Callable[[], RenderableType], line: Callable[[], str]) -> Iterator[None]:
    """Show what `render` gives on a terminal, what `line` gives elsewhere, for the time of the block.

    They are called in a thread of their own. The last state stays, however the block is left.
    """
    console = Console(stderr=True)
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    over = threading.Event()

    def draw() -> None:
        if live is not None:
            live.update(render(), refresh=True)
        else:
            print(line(), file=sys.stderr, flush=True)

    def keep_drawing() -> None:
        while not over.wait(PLAIN_LINE_S if live is None else REDRAW_S):
            draw()

    thread = threading.Thread(target=keep_drawing, name="progress", daemon=True)
    if live is not None:
        live.start()
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        draw()
        if live is not None:
            live.stop()


@dataclass
class Bar:
    """One piece of long work being counted."""

    label: str
    total: int | None
    done: int = 0
    usd: Decimal = Decimal(0)
    counts: dict[str, int] = field(default_factory=dict)
    _speed: Speed = field(default_factory=Speed)
    _started: float = field(default_factory=monotonic)

    def __post_init__(self) -> None:
        self._speed.rates(self._started, {"done": 0})

    def advance(self, n: int = 1, *, usd: Decimal | float = 0, **counts: int) -> None:
        """Count `n` more done, `usd` more spent, and any named counts (`ok=3, rejected=1`)."""
        self.done += n
        if usd:
            self.usd += Decimal(usd)
        for name, more in counts.items():
            self.counts[name] = self.counts.get(name, 0) + more

    def facts(self) -> str:
        """The rate, the time left, the named counts and the money, as one short text."""
        done, now_s = self.done, monotonic()
        rate = self._speed.rates(now_s, {"done": done})["done"]
        counts = [f"{name} {n:,}" for name, n in self.counts.copy().items()]
        usd = [f"${self.usd:.4f}"] if self.usd else []
        return "  ".join([f"{rate:,.1f}/s", *format_eta(done, self.total, rate), *counts, *usd])

    def line(self) -> str:
        """The whole state as one line, for logs and terminals that cannot redraw."""
        of = f"/{self.total:,}" if self.total is not None else ""
        return f"{self.label}: {self.done:,}{of} in {format_clock(monotonic() - self._started)}  {self.facts()}"

    def render(self) -> RenderableType:
        """The whole state for a terminal."""
        return render_view(self.label, self.done, self.total, monotonic() - self._started, self.facts())


@contextmanager
def progress(label: str, total: int | None = None) -> Iterator[Bar]:
    """A bar on standard error for the time of the block; `total` is None if it is not known.

    The last line stays, also when the block is left by an exception or Ctrl-C.
    """
    bar = Bar(label, total)
    with show_progress(bar.render, bar.line):
        yield bar
