"""Rate limits: requests and tokens a minute, a concurrency that adapts, one pause for all workers."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

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


def test_retry_after_holds_for_all_workers(tmp_path: Path, provider: Provider) -> None:
    from aiohttp import web

    def say(body: dict[str, object]) -> object:
        if len(provider.asked) <= 3:
            return web.json_response({"error": {"message": "slow"}}, status=429, headers={"retry-after": "2"})
        return {"text": RIGHT}

    provider.say = say  # type: ignore[assignment]
    provider.delay_s = 0.3
    report = annotate(questions(tmp_path / "corpus", 40), teacher="openai:m", concurrency=3)
    assert report.traces == 40
    times = [at for at, _ in provider.asked]
    assert times[3] - times[2] > 2.0, "three were refused, and nobody asks until their time is over"


def test_requests_a_minute_are_held(tmp_path: Path, provider: Provider) -> None:
    annotate(questions(tmp_path / "corpus", 12), teacher="openai:m", rpm=300)
    times = [at for at, _ in provider.asked]
    seconds = Counter(int(at - times[0]) for at in times)
    assert times[-1] - times[0] > 1.2
    assert max(seconds.values()) <= 11


def test_tokens_a_minute_are_held(tmp_path: Path, provider: Provider) -> None:
    annotate(questions(tmp_path / "corpus", 6), teacher="openai:m", max_tokens=1000, tpm=60_000 // 2)
    times = [at for at, _ in provider.asked]
    assert times[-1] - times[0] > 4.0
