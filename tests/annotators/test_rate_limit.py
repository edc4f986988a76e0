"""Rate limits: requests and tokens a minute, a concurrency that adapts, one pause for all workers."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from annotators import annotate, rate_limit
from annotators.messages import Failure
from annotators.rate_limit import RateLimiter
from tests.annotators.making import questions
from tests.annotators.serving import RIGHT, Provider

LIMITED = Failure("rate_limited", "", retryable=True, overload=True)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [100.0]
    monkeypatch.setattr(rate_limit, "monotonic", lambda: now[0])

    def forward(seconds: float) -> None:
        now[0] += seconds

    return forward


def window(
    of: RateLimiter, forward: Callable[[float], None], *, limited: int = 0, answered: int = 0, took_s: float = 1.0
) -> None:
    forward(2.0)
    for _ in range(limited):
        of.record_failure(LIMITED)
    for _ in range(answered):
        of.record_answer(took_s)


def test_concurrency_falls_once_a_window_and_comes_back(clock: Callable[[float], None]) -> None:
    async def main() -> None:
        of = RateLimiter(100)
        window(of, clock, limited=50, answered=50)
        assert of.allowed == 70, "fifty refusals in a window are one reason, not fifty"
        window(of, clock, limited=50, answered=50)
        assert of.allowed == 49
        for _ in range(10):
            window(of, clock, answered=50)
        assert of.allowed == 100

    asyncio.run(main())


def test_a_tenth_of_refusals_is_no_reason_to_slow_down(clock: Callable[[float], None]) -> None:
    async def main() -> None:
        of = RateLimiter(100)
        for _ in range(5):
            window(of, clock, limited=10, answered=90)
        assert of.allowed == 100

    asyncio.run(main())


def test_answers_that_take_much_longer_than_they_did_lower_it(clock: Callable[[float], None]) -> None:
    async def main() -> None:
        of = RateLimiter(100)
        window(of, clock, answered=50, took_s=1.0)
        window(of, clock, answered=50, took_s=3.0)
        assert of.allowed == 100
        for _ in range(2):  # the first ends the window before, the second its own
            window(of, clock, answered=50, took_s=9.0)
        assert of.allowed == 70

    asyncio.run(main())


def test_no_more_than_allowed_are_under_way_while_it_falls() -> None:
    async def main() -> None:
        of = RateLimiter(10)
        most = 0

        async def request() -> None:
            nonlocal most
            async with of.turn(1):
                most = max(most, of.in_flight)
                await asyncio.sleep(0.01)

        await asyncio.gather(*(request() for _ in range(30)))
        assert most == 10
        of._allow(3)
        most = 0
        await asyncio.gather(*(request() for _ in range(30)))
        assert most <= 10
        most = 0
        await asyncio.gather(*(request() for _ in range(30)))
        assert most == 3

    asyncio.run(main())


class VirtualSelector(selectors.DefaultSelector):
    """A selector whose loop's clock jumps over what it would wait."""

    now_s = 1000.0

    def select(self, timeout: float | None = None) -> Any:
        self.now_s += max(timeout or 0.0, 1e-6)  # a step too small for a float would not end a wait
        return super().select(0)


def in_virtual_time(monkeypatch: pytest.MonkeyPatch, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine that only sleeps, in no time of ours; the rate limit's clock is the loop's."""
    selector = VirtualSelector()
    loop = asyncio.SelectorEventLoop(selector)
    monkeypatch.setattr(loop, "time", lambda: selector.now_s)
    monkeypatch.setattr(rate_limit, "monotonic", lambda: selector.now_s)
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


async def times(of: RateLimiter, requests: int, tokens: int = 1) -> list[float]:
    """When each of some requests that come together may go, in seconds from now."""
    clock = asyncio.get_running_loop().time
    started, found = clock(), []

    async def request() -> None:
        async with of.turn(tokens):
            found.append(clock() - started)

    await asyncio.gather(*(request() for _ in range(requests)))
    return found


def test_retry_after_holds_for_all_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        of = RateLimiter(3)
        of.record_failure(Failure("rate_limited", "", retryable=True, overload=True, retry_after_s=2.0))
        assert min(await times(of, 40)) >= 2.0, "no request starts before the time is over"
        assert max(await times(of, 40)) < 0.01, "and then all may"

    in_virtual_time(monkeypatch, main)


def test_requests_a_minute_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        found = await times(RateLimiter(64, rpm=300), 120)
        assert 23.0 <= found[-1] - found[0] <= 24.0, "120 requests at five a second, but for the first five"
        for first, sixth in zip(found, found[5:], strict=False):
            assert sixth - first >= 0.19
        assert sum(at < 10.0 for at in found) <= 5 + 10 * 5 + 1

    in_virtual_time(monkeypatch, main)


def test_tokens_a_minute_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        found = await times(RateLimiter(64, tpm=60_000), 20, tokens=1000)
        assert 9.0 <= found[-1] - found[0] <= 11.0, "a thousand a second, after a bucket of ten thousand"
        assert sum(at < 0.5 for at in found) <= 10

    in_virtual_time(monkeypatch, main)


def test_a_run_waits_as_long_as_the_provider_asks(tmp_path: Path, provider: Provider) -> None:
    from aiohttp import web

    def say(body: dict[str, object]) -> object:
        if len(provider.asked) <= 1:
            return web.json_response({"error": {"message": "slow"}}, status=429, headers={"retry-after": "0.5"})
        return {"text": RIGHT}

    provider.say = say  # type: ignore[assignment]
    report = annotate(questions(tmp_path / "corpus", 2), teacher="openai:m", concurrency=1, rpm=6000, tpm=10**9)
    assert (report.traces, report.faults) == (2, {"rate_limited": 1})
    asked = [at for at, _ in provider.asked]
    assert asked[1] - asked[0] > 0.5
