"""What a run shows of itself on standard error: redrawn on a terminal, a line every ten seconds elsewhere."""

import asyncio
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from time import monotonic
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

REDRAW_S = 0.5
PLAIN_LINE_S = 10.0
RECENT_S = 15.0  # that rates are taken over


class Verifier(Protocol):
    """Whoever verifies a run's traces alongside it; the numbers are those so far."""

    verified: int
    kept: int

    def take(self, trace_ids: list[str]) -> None:
        """Be told that these traces are in the lake now; returns at once."""


@dataclass(frozen=True)
class Glimpse:
    """A run at one moment. `done` slots of `total` are settled; `kept` and `verified` are None if nobody verifies."""

    total: int
    done: int = 0
    in_flight: int = 0
    allowed: int = 0
    answers: int = 0
    tokens: int = 0
    usd: Decimal = Decimal(0)
    budget_usd: Decimal | None = None
    verified: int | None = None
    kept: int | None = None
    flags: Counter[str] = field(default_factory=Counter)
    rejects: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Rates:
    """How fast a run is, a second: slots settled, answers, tokens in and out together."""

    done: float = 0.0
    answers: float = 0.0
    tokens: float = 0.0


class Speed:
    """The rates of late, from one glimpse to the next."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, Glimpse]] = deque()

    def rates(self, now_s: float, glimpse: Glimpse) -> Rates:
        """The rates since the oldest glimpse of the last 15 seconds, or the one before."""
        self._seen.append((now_s, glimpse))
        while len(self._seen) > 2 and self._seen[1][0] <= now_s - RECENT_S:
            self._seen.popleft()
        then_s, before = self._seen[0]
        over = now_s - then_s
        if over <= 0:
            return Rates()
        return Rates(
            (glimpse.done - before.done) / over,
            (glimpse.answers - before.answers) / over,
            (glimpse.tokens - before.tokens) / over,
        )


def line(glimpse: Glimpse, rates: Rates, seconds: float) -> str:
    """The state in one line, for logs."""
    head = f"annotate: {glimpse.done:,}/{glimpse.total:,} in {clock(seconds)}"
    return "  ".join([head, *_facts(glimpse, rates), *_otherwise(glimpse)])


def render(glimpse: Glimpse, rates: Rates, seconds: float) -> RenderableType:
    """The state for a terminal: a bar, what is going on, and what went otherwise by its reason."""
    head = Table.grid(padding=(0, 2))
    head.add_row(
        "annotate",
        ProgressBar(max(glimpse.total, 1), glimpse.done, width=32),
        f"{glimpse.done:,} of {glimpse.total:,}",
        clock(seconds),
    )
    facts = Text("  " + "  ·  ".join(_facts(glimpse, rates)))
    return Group(head, facts, *(Text(f"  {told}", overflow="ellipsis", no_wrap=True) for told in _otherwise(glimpse)))


def _otherwise(glimpse: Glimpse) -> list[str]:
    counted = {"odd": glimpse.flags, "rejected": glimpse.rejects, "tried again": glimpse.faults}
    return [
        f"{name}: " + ", ".join(f"{reason} {n:,}" for reason, n in counts.most_common())
        for name, counts in counted.items()
        if counts
    ]


def _facts(glimpse: Glimpse, rates: Rates) -> list[str]:
    facts = [
        f"in flight {glimpse.in_flight:,} of {glimpse.allowed:,}",
        f"{rates.answers:,.1f} requests/s",
        f"{rates.tokens:,.0f} tokens/s",
    ]
    if glimpse.usd or glimpse.budget_usd is not None:
        facts.append(f"${glimpse.usd:.4f}" + (f" of ${glimpse.budget_usd}" if glimpse.budget_usd is not None else ""))
    if glimpse.verified is not None:
        facts.append(f"kept {glimpse.kept:,} of {glimpse.verified:,} verified")
    if rates.done > 0 and glimpse.done < glimpse.total:
        facts.append(f"eta {clock((glimpse.total - glimpse.done) / rates.done)}")
    return facts


def clock(seconds: float) -> str:
    """Seconds as `4:05` or `1:04:05`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@asynccontextmanager
async def shown(look: Callable[[], Glimpse]) -> AsyncIterator[None]:
    """Show what `look` sees for the time of the block; the last state stays, however the block is left."""
    console, speed, started = Console(stderr=True), Speed(), monotonic()
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def show() -> None:
        now = monotonic()
        glimpse = look()
        rates = speed.rates(now, glimpse)
        if live is not None:
            live.update(render(glimpse, rates, now - started), refresh=True)
        else:
            print(line(glimpse, rates, now - started), file=sys.stderr, flush=True)

    async def keep_showing() -> None:
        every_s = PLAIN_LINE_S if live is None else REDRAW_S
        while True:
            await asyncio.sleep(every_s)
            show()

    speed.rates(started, look())
    if live is not None:
        live.start()
    task = asyncio.create_task(keep_showing())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        show()
        if live is not None:
            live.stop()
