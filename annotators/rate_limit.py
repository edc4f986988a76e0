"""Rate limits: requests and tokens a minute, a concurrency that adapts, one pause for all workers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median
from time import monotonic

from aiolimiter import AsyncLimiter

from annotators.messages import Failure

WINDOW_S = 1.0
MANY = 1 / 3  # share of a window's answers that were "slow down" from which on we do
SLOWER = 0.7  # factor on the concurrency, once a window: reacting to every 429 ends at one request a second
FASTER = 0.1  # of the concurrency asked for, added back a window
CROWDED = 4.0  # answers taking so many times their best window's median mean a queue at the provider
CROWDED_S = 2.0  # and that is not worth a reaction below this
FEWEST = 8  # answers in a window that say anything


class RateLimiter:
    """Lets requests through: `async with limiter.turn(tokens)`, then `record_answer` or `record_failure`."""

    def __init__(self, concurrency: int, rpm: int | None = None, tpm: int | None = None) -> None:
        self.most = concurrency
        self.allowed = concurrency
        self.in_flight = 0
        self._free = asyncio.Semaphore(concurrency)
        self._owed = 0  # permits to keep back as requests end, to bring the concurrency down
        # Buckets small enough that the first minute holds no burst beyond the limit.
        self._requests = AsyncLimiter(max(1.0, rpm / 60), max(1.0, 60 / rpm)) if rpm else None
        self._tokens = AsyncLimiter(max(1.0, tpm / 6), 10) if tpm else None
        self._held_until = 0.0
        self._window_from = monotonic()
        self._limited = 0
        self._broken = 0
        self._latencies: list[float] = []
        self._best_s: float | None = None

    @asynccontextmanager
    async def turn(self, tokens: int) -> AsyncIterator[None]:
        """Wait until one more request may be sent, and count it as under way within the block."""
        await self._free.acquire()
        try:
            if self._tokens is not None:
                await self._tokens.acquire(min(tokens, self._tokens.max_rate))
            if self._requests is not None:
                await self._requests.acquire()
            while (wait_s := self._held_until - monotonic()) > 0:
                await asyncio.sleep(wait_s)
            self.in_flight += 1
            try:
                yield
            finally:
                self.in_flight -= 1
        finally:
            if self._owed:
                self._owed -= 1
            else:
                self._free.release()

    def record_answer(self, latency_s: float) -> None:
        """An answer came after so many seconds."""
        self._latencies.append(latency_s)
        self._adapt()

    def record_failure(self, failure: Failure) -> None:
        """A request failed. If most of the window's answers are "slow down", all wait as long as it asks."""
        if failure.overload:
            self._limited += 1
            if failure.retry_after_s and self._limited > len(self._latencies):
                self._held_until = max(self._held_until, monotonic() + failure.retry_after_s)
        else:
            self._broken += 1
        self._adapt()

    def _adapt(self) -> None:
        seen = self._limited + self._broken + len(self._latencies)
        if seen < FEWEST or monotonic() - self._window_from < WINDOW_S:
            return
        crowded = False
        if len(self._latencies) >= FEWEST:
            middle_s = median(self._latencies)
            self._best_s = min(middle_s, self._best_s or middle_s)
            crowded = middle_s > max(CROWDED * self._best_s, CROWDED_S)
        if self._limited / seen > MANY or crowded:
            self._allow(int(self.allowed * SLOWER))
        else:
            self._allow(self.allowed + max(1, int(self.most * FASTER)))
        self._window_from, self._limited, self._broken, self._latencies = monotonic(), 0, 0, []

    def _allow(self, concurrency: int) -> None:
        concurrency = min(max(concurrency, 1), self.most)
        change = concurrency - self.allowed
        self.allowed = concurrency
        for _ in range(change):  # more: first let go of what is owed, then let more through
            if self._owed:
                self._owed -= 1
            else:
                self._free.release()
        self._owed += max(-change, 0)
