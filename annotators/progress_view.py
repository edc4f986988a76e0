"""The view of a run on standard error: what is in flight, done, kept, spent, and what went wrong."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from time import monotonic
from typing import Protocol

from rich.console import RenderableType

from corpus.progress import Speed, format_clock, format_eta, render_view


class Verifier(Protocol):
    """Verifies a run's traces while it goes; the numbers are those so far."""

    verified: int
    kept: int

    def take(self, trace_ids: list[str]) -> None:
        """Take over traces that are in the lake now; returns at once."""


@dataclass(frozen=True)
class ProgressSnapshot:
    """A run at one moment. `done` slots of `total` are settled; `kept` and `verified` are None without a verifier."""

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


class ProgressView:
    """The view of one run, from snapshots of it: `render` for a terminal, `line` for logs."""

    def __init__(self, take_snapshot: Callable[[], ProgressSnapshot]) -> None:
        self._take_snapshot = take_snapshot
        self._started = monotonic()
        self._speed = Speed()
        self._state()

    def render(self) -> RenderableType:
        """The state for a terminal."""
        return render_snapshot(*self._state())

    def line(self) -> str:
        """The state in one line."""
        return format_line(*self._state())

    def _state(self) -> tuple[ProgressSnapshot, Rates, float]:
        now_s, s = monotonic(), self._take_snapshot()
        rates = self._speed.rates(now_s, {"done": s.done, "answers": s.answers, "tokens": s.tokens})
        return s, Rates(**rates), now_s - self._started


def format_line(snapshot: ProgressSnapshot, rates: Rates, seconds: float) -> str:
    """The state in one line, for logs."""
    head = f"annotate: {snapshot.done:,}/{snapshot.total:,} in {format_clock(seconds)}"
    return "  ".join([head, *_facts(snapshot, rates), *_problems(snapshot)])


def render_snapshot(snapshot: ProgressSnapshot, rates: Rates, seconds: float) -> RenderableType:
    """The state for a terminal: a bar, what is going on, and by their reasons what went wrong."""
    facts = "  ·  ".join(_facts(snapshot, rates))
    return render_view("annotate", snapshot.done, snapshot.total, seconds, facts, *_problems(snapshot))


def _problems(snapshot: ProgressSnapshot) -> list[str]:
    counted = {"odd": snapshot.flags, "rejected": snapshot.rejects, "tried again": snapshot.faults}
    return [
        f"{name}: " + ", ".join(f"{reason} {n:,}" for reason, n in counts.most_common())
        for name, counts in counted.items()
        if counts
    ]


def _facts(snapshot: ProgressSnapshot, rates: Rates) -> list[str]:
    facts = [
        f"in flight {snapshot.in_flight:,} of {snapshot.allowed:,}",
        f"{rates.answers:,.1f} requests/s",
        f"{rates.tokens:,.0f} tokens/s",
    ]
    if snapshot.usd or snapshot.budget_usd is not None:
        limit = f" of ${snapshot.budget_usd}" if snapshot.budget_usd is not None else ""
        facts.append(f"${snapshot.usd:.4f}{limit}")
    if snapshot.verified:  # the last traces are verified after the last request
        facts.append(f"kept {snapshot.kept:,} of {snapshot.verified:,} verified")
    return facts + format_eta(snapshot.done, snapshot.total, rates.done)
