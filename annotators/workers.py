"""The workers of one run: jobs in, answers out, as fast as the provider allows.

Each takes a job, has its media encoded, waits for its turn under the rate limit, asks, and hands the answer to the
run's books. Nothing here knows a provider, a task or a mode by name.
"""

import asyncio
import random
from contextlib import suppress
from decimal import Decimal
from time import monotonic
from typing import Any

import orjson
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from annotators.books import Books, RunStopped
from annotators.claims import claim_jobs
from annotators.flags import RETRIED, parse_response
from annotators.jobs import Job, JobPlan, Jobs
from annotators.log import log_event
from annotators.media_encoding import Undecodable
from annotators.media_pool import EncoderPool
from annotators.messages import Failure, Reply, Request, Teacher
from annotators.money import max_input_tokens
from annotators.progress_view import ProgressSnapshot
from annotators.rate_limit import RateLimiter
from annotators.tracing import request_span

AHEAD = 16  # jobs whose media are encoded beyond those in flight
QUEUE_SIZE = 256  # jobs that wait for a worker, their claims made
GRACE_S = 20.0  # for answers under way to arrive once the run is stopping
FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 60.0
OVERLOAD_PATIENCE_S = 3600.0  # for which one request is sent again while the provider is overloaded


class Workers:
    """A queue of jobs, the workers that take from it, and the rate limit that they share."""

    def __init__(self, books: Books, plan: JobPlan, teacher: Teacher, encoder: EncoderPool) -> None:
        self._books, self._plan, self._teacher, self._encoder = books, plan, teacher, encoder
        self._settings = plan.settings
        self._limiter = RateLimiter(self._settings.concurrency, self._settings.rpm, self._settings.tpm)
        self._allowed = self._limiter.allowed
        self._queue: asyncio.Queue[Job | None] = asyncio.Queue(QUEUE_SIZE)

    async def work(self, jobs: Jobs) -> None:
        """Do all the jobs, or as many as come before the stop."""
        workers = min(self._settings.concurrency + AHEAD, len(jobs))
        tasks = [asyncio.create_task(self._work_queue()) for _ in range(workers)]
        feeder = asyncio.create_task(self._feed(jobs, workers))
        everything: asyncio.Future[Any] = asyncio.gather(feeder, *tasks)
        stopping = asyncio.create_task(self._books.wait_for_stop())
        try:
            await asyncio.wait({everything, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not everything.done():
                await asyncio.wait({everything}, timeout=GRACE_S)
            if everything.done():
                everything.result()
        finally:
            stopping.cancel()
            everything.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await everything

    def snapshot(self) -> ProgressSnapshot:
        """The run as it stands."""
        return self._books.snapshot(self._limiter.in_flight, self._limiter.allowed)

    async def _feed(self, jobs: Jobs, workers: int) -> None:
        for batch in jobs.batches():
            if self._books.stopping:
                break
            ours = await asyncio.to_thread(claim_jobs, self._books.run, batch)
            self._books.count("elsewhere", len(batch) - len(ours))
            for job in ours:
                await self._queue.put(job)
                if self._books.stopping:
                    break
        for _ in range(workers):
            await self._queue.put(None)

    async def _work_queue(self) -> None:
        while (job := await self._queue.get()) is not None:
            following: Job | None = job
            while following is not None and not self._books.stopping:
                following = await self._do(following)

    async def _do(self, job: Job) -> Job | None:
        """Do one job; returns the next try at it if its answer was odd and there are tries left."""
        row, books = job.row, self._books
        try:
            reply, cost, latency_s = await self._ask(row.trace_id, await self._plan.encode_request(job, self._encoder))
        except Undecodable as error:
            books.reject(row, "media", error.reason, error.detail)
            return None
        except Failure as failure:
            if failure.fatal:
                books.stop(failure.reason, failure.detail)
            elif not books.stopping or not failure.retryable:
                books.give_up(row, failure)
            return None
        except RunStopped as stop:
            books.stop(stop.reason, stop.detail)
            return None
        response = parse_response(reply, job.sample["problem"])
        following = job.next_try(self._settings) if response.flag in RETRIED else None
        books.keep(row, reply, response, cost, latency_s, last=following is None)
        return following

    async def _ask(self, trace_id: str, request: Request) -> tuple[Reply, Decimal | None, float]:
        """The reply to a request, what it cost and how long it took; retries what may pass. Raises Failure."""
        tokens = max_input_tokens(request) + request.max_tokens + (request.thinking_tokens or 0)
        most = self._books.max_cost(request)
        # Copied: orjson leaves its bytes in a buffer of up to sixteen times their length (orjson 3.13).
        body = bytes(memoryview(orjson.dumps(self._teacher.body(request))))
        del request
        # Most requests need one try: tenacity's book-keeping, a twentieth of their CPU, begins with the first failure.
        failed: list[Failure] = []
        try:
            return await self._ask_once(body, trace_id, tokens, most)
        except Failure as failure:
            failed.append(failure)

        async def ask_again() -> tuple[Reply, Decimal | None, float]:
            if failed:
                raise failed.pop()
            return await self._ask_once(body, trace_id, tokens, most)

        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda e: isinstance(e, Failure) and e.retryable and not self._books.stopping),
            stop=_StopAfterTries(self._settings.tries),
            wait=_backoff_s,
            sleep=self._books.sleep,
            reraise=True,
        )
        return await retrying(ask_again)  # type: ignore[no-any-return]

    async def _ask_once(
        self, body: bytes, trace_id: str, tokens: int, most: Decimal
    ) -> tuple[Reply, Decimal | None, float]:
        books = self._books
        async with self._limiter.turn(tokens):
            await books.reserve(most)
            started = monotonic()
            with request_span(self._settings.teacher, trace_id) as span:
                try:
                    reply = await self._teacher.send(body, trace_id)
                except Failure as failure:
                    span.record_failure(failure)
                    books.release(trace_id, most, unsure=failure.unsure)
                    books.record_fault(trace_id, failure)
                    self._limiter.record_failure(failure)
                    self._log_concurrency()
                    raise
                except BaseException:
                    books.release(trace_id, most, unsure=True)
                    raise
                cost = books.settle(trace_id, most, reply)
                span.record_reply(reply, cost)
        latency_s = monotonic() - started
        self._limiter.record_answer(latency_s)
        self._log_concurrency()
        books.tally.counts["answers"] += 1
        return reply, cost, latency_s

    def _log_concurrency(self) -> None:
        if self._limiter.allowed != self._allowed:
            log_event("concurrency", was=self._allowed, now=self._limiter.allowed)
            self._allowed = self._limiter.allowed


class _StopAfterTries:
    """Tenacity's stop: after `tries` faults. Being asked to slow down is none, for up to an hour."""

    def __init__(self, tries: int) -> None:
        self._tries = tries
        self._faults = 0

    def __call__(self, state: RetryCallState) -> bool:
        failure = state.outcome.exception() if state.outcome else None
        if isinstance(failure, Failure) and failure.overload:
            return (state.seconds_since_start or 0) > OVERLOAD_PATIENCE_S
        self._faults += 1
        return self._faults >= self._tries


def _backoff_s(state: RetryCallState) -> float:
    """Exponential backoff with jitter, or the provider's Retry-After and a bit, so that not all come at once."""
    failure = state.outcome.exception() if state.outcome else None
    if isinstance(failure, Failure) and failure.retry_after_s is not None:
        return failure.retry_after_s + random.uniform(0, 0.1 * failure.retry_after_s + 0.05)
    return random.uniform(0.5, 1.0) * min(FIRST_WAIT_S * 2.0**state.attempt_number, LONGEST_WAIT_S)
