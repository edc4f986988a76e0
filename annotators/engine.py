"""The engine: jobs in, answers out, at the pace the provider allows and within the budget.

Workers take jobs, have the media prepared, wait for their turn, ask, and hand what came to the ledger. Nothing here
knows a provider, a task or a way of asking by name.
"""

import asyncio
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from time import monotonic
from typing import Any

import orjson
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from annotators.claims import take
from annotators.flags import RETRIED, Read, read
from annotators.jobs import Asked, Job, Jobs, Plan
from annotators.ledger import Ledger
from annotators.log import tell, warn
from annotators.media_encoding import Undecodable
from annotators.media_pool import Preparer
from annotators.messages import Failure, Reply, Request, Teacher
from annotators.money import Budget, Price, most_input_tokens
from annotators.progress_view import Glimpse, Verifier
from annotators.rate_limit import Pace
from annotators.settings import Settings
from annotators.tracing import request_span
from corpus.ids import digest
from corpus.runs import Run

AHEAD = 16  # jobs whose media are prepared beyond those in flight
WAITING = 256  # jobs that wait for a worker, their claims made
GRACE_S = 20.0  # that answers under way have to arrive once the run is stopping
FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 60.0
PATIENCE_S = 3600.0  # that one request is sent again while the provider is overloaded
HOPELESS = 25  # requests that failed for good, with none answered before: the next will not fare better


@dataclass
class Tally:
    """What happened so far."""

    counts: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    rejects: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    last_fault: str = ""


class Stop(Exception):  # noqa: N818, a reason to stop is not always a fault
    """The run ends here: `reason` is a stable word, `detail` what to tell."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


class Engine:
    """One run's workers and what they share."""

    def __init__(
        self,
        run: Run,
        plan: Plan,
        teacher: Teacher,
        *,
        price: Price | None,
        budget: Budget,
        ledger: Ledger,
        preparer: Preparer,
        total: int,
        verifier: Verifier | None = None,
    ) -> None:
        self.run, self.plan, self.teacher, self.price = run, plan, teacher, price
        self.ledger, self.preparer, self.total, self.verifier = ledger, preparer, total, verifier
        self.settings: Settings = plan.settings
        self.budget = budget
        self.pace = Pace(self.settings.concurrency, self.settings.rpm, self.settings.tpm)
        self.tally = Tally()
        self.stopped: Stop | None = None
        self._stop = asyncio.Event()
        self._settled = asyncio.Event()
        self._queue: asyncio.Queue[Job | None] = asyncio.Queue(WAITING)
        self._failed_for_good = 0
        self._allowed = self.pace.allowed

    def stop(self, reason: str, detail: str) -> None:
        """Ask nothing more; answers under way are still taken in. The first reason is the one that is told."""
        if self.stopped is None:
            self.stopped = Stop(reason, detail)
            warn("stopped", reason=reason, detail=detail)
        self._stop.set()

    async def work(self, jobs: Jobs) -> None:
        """Do all the jobs, or as many as come before the stop."""
        workers = min(self.settings.concurrency + AHEAD, len(jobs))
        tasks = [asyncio.create_task(self._worker()) for _ in range(workers)]
        feeder = asyncio.create_task(self._feed(jobs, workers))
        everything: asyncio.Future[Any] = asyncio.gather(feeder, *tasks)
        stopping = asyncio.create_task(self._stop.wait())
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

    async def _feed(self, jobs: Jobs, workers: int) -> None:
        for batch in jobs.batches():
            if self._stop.is_set():
                break
            ours = await asyncio.to_thread(take, self.run, batch)
            self._count("elsewhere", len(batch) - len(ours))
            for job in ours:
                await self._queue.put(job)
                if self._stop.is_set():
                    break
        for _ in range(workers):
            await self._queue.put(None)

    async def _worker(self) -> None:
        while (job := await self._queue.get()) is not None:
            following: Job | None = job
            while following is not None and not self._stop.is_set():
                following = await self._do(following)

    async def _do(self, job: Job) -> Job | None:
        """One job; returns the next try at it, where its answer was odd and there are tries left."""
        asked = job.asked
        try:
            reply, latency_s = await self._ask(asked.trace_id, await self.request(job))
        except Undecodable as error:
            self.reject(asked, "media", error.reason, error.detail)
            return None
        except Failure as failure:
            if failure.fatal:
                self.stop(failure.reason, failure.detail)
            elif not self._stop.is_set() or not failure.again:
                self.reject(asked, "request", failure.reason, failure.detail)
                self._given_up(failure)
            return None
        except Stop as stop:
            self.stop(stop.reason, stop.detail)
            return None
        seen = read(reply, job.sample["problem"])
        following = job.again(self.settings) if seen.flag in RETRIED else None
        self.keep(asked, reply, seen, latency_s, last=following is None)
        return following

    async def request(self, job: Job) -> Request:
        """The request for a job, its media prepared. Raises Undecodable."""
        keep, look = self.settings.n > 1, job.ask.look
        media = [await self.preparer.parts(medium, look, keep=keep) for medium in job.sample["media"] or ()]
        return self.plan.request(job, media)

    async def _ask(self, key: str, request: Request) -> tuple[Reply, float]:
        input_tokens = most_input_tokens(request)
        tokens = input_tokens + request.max_tokens + (request.thinking_tokens or 0)
        most = self.price.most(input_tokens, tokens - input_tokens) if self.price else Decimal(0)
        # Copied: orjson leaves its bytes in a buffer of up to sixteen times their length (orjson 3.13).
        body = bytes(memoryview(orjson.dumps(self.teacher.body(request))))
        del request
        # Most requests need one try: tenacity's book-keeping, a twentieth of their CPU, begins with the first failure.
        failed: list[Failure] = []
        try:
            return await self._once(body, key, tokens, most)
        except Failure as failure:
            failed.append(failure)

        async def again() -> tuple[Reply, float]:
            if failed:
                raise failed.pop()
            return await self._once(body, key, tokens, most)

        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda e: isinstance(e, Failure) and e.again and not self._stop.is_set()),
            stop=_Tries(self.settings.tries),
            wait=_wait,
            sleep=self.sleep,
            reraise=True,
        )
        return await retrying(again)  # type: ignore[no-any-return]

    async def _once(self, body: bytes, key: str, tokens: int, most: Decimal) -> tuple[Reply, float]:
        async with self.pace.turn(tokens):
            await self._afford(most)
            started = monotonic()
            try:
                with request_span(self.settings.teacher, key) as span:
                    try:
                        reply = await self.teacher.send(body, key)
                    except Failure as failure:
                        span.failed(failure)
                        raise
                    cost = self.price.cost(reply) if self.price else None
                    span.answered(reply, cost)
            except Failure as failure:
                self.budget.release(most, unsure=failure.unsure)
                self._settled.set()
                self._failed(failure, key)
                raise
            except BaseException:
                self.budget.release(most, unsure=True)
                raise
        latency_s = monotonic() - started
        self.budget.settle(most, cost if self.price else Decimal(0))
        self._settled.set()
        self.pace.answered(latency_s)
        self._tell_pace()
        self.tally.counts["answers"] += 1
        return reply, latency_s

    async def _afford(self, most: Decimal) -> None:
        """Wait until the budget has room for a request, as those under way settle below their reserve."""
        while True:
            if self._stop.is_set():
                raise Stop("stopping", "")
            if self.ledger.full:
                raise Stop("disk_full", "the disk is full: free some space and give the same command again")
            if self.ledger.broken:
                raise Stop("lake", "the lake takes no more commits")
            if self.budget.reserve(most):
                return
            if self.budget.reserved == 0:
                gone = self.budget.spent + self.budget.unsure
                raise Stop("budget", f"{gone:.6f} of {self.budget.limit} USD are gone and the next may cost {most:.6f}")
            self._settled.clear()
            await self._settled.wait()

    def _failed(self, failure: Failure, trace_id: str) -> None:
        self.tally.faults[failure.reason] += 1
        warn("fault", trace_id=trace_id, reason=failure.reason, detail=failure.detail, again=failure.again)
        self.tally.last_fault = failure.detail
        self.pace.failed(failure)
        self._tell_pace()

    def _given_up(self, last: Failure) -> None:
        self._failed_for_good += 1
        if self._failed_for_good >= HOPELESS and not self.tally.counts["answers"]:
            hint = ". Is its server up?" if last.reason == "connection" else ""
            detail = f"the first {self._failed_for_good} requests all failed; the last: {last.detail}{hint}"
            self.stop(last.reason, detail)

    def _tell_pace(self) -> None:
        if self.pace.allowed != self._allowed:
            tell("concurrency", was=self._allowed, now=self.pace.allowed)
            self._allowed = self.pace.allowed

    def glimpse(self) -> Glimpse:
        """The run as it stands."""
        tally = self.tally
        return Glimpse(
            total=self.total - tally.counts["elsewhere"],
            done=tally.counts["done"],
            in_flight=self.pace.in_flight,
            allowed=self.pace.allowed,
            answers=tally.counts["traces"],
            tokens=tally.tokens.total(),
            usd=self.run.cost_usd,
            budget_usd=self.budget.limit,
            verified=self.verifier.verified if self.verifier else None,
            kept=self.verifier.kept if self.verifier else None,
            flags=tally.flags,
            rejects=tally.rejects,
            faults=tally.faults,
        )

    @property
    def stopping(self) -> bool:
        """True once nothing more is to be asked."""
        return self._stop.is_set()

    async def sleep(self, seconds: float) -> None:
        """Wait, but no longer than until the run is stopped."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    def keep(
        self,
        of: Asked,
        reply: Reply,
        seen: Read,
        latency_s: float | None,
        *,
        last: bool = True,
        batch_id: str | None = None,
    ) -> None:
        """Put an answer into the ledger, as a trace; `last` where its slot is not asked for again."""
        cost = self.price.cost(reply, batch=batch_id is not None) if self.price else None
        self.ledger.add("traces", trace(of, reply, seen, cost, latency_s, batch_id))
        self.run.cost_usd += cost or 0
        if batch_id is not None:
            self.budget.spent += cost or 0
        self._count("traces")
        self.tally.tokens["input"] += reply.input_tokens or 0
        self.tally.tokens["output"] += reply.output_tokens or 0
        if seen.flag:
            self.tally.flags[seen.flag] += 1
            tell("odd", trace_id=of.trace_id, flag=seen.flag, asked_again=not last)
            self._count("flagged")
        self.tally.counts["done"] += last

    def reject(self, of: Asked, where: str, reason: str, detail: str) -> None:
        """Put a job that cannot be done into the ledger, with its reason."""
        known = {"sample_id": of.sample_id, "trace_id": of.trace_id, "teacher": of.teacher}
        row = {
            "reject_id": digest("annotate", of.trace_id, reason),
            "reader": "annotate",
            "field": where,
            "reason": reason,
            "detail": detail,
            "raw": orjson.dumps(known).decode(),
            "created_at": datetime.now(UTC),
        }
        self.ledger.add("rejects", row)
        warn("reject", sample_id=of.sample_id, trace_id=of.trace_id, reason=reason, detail=detail)
        self.tally.rejects[reason] += 1
        self._count("rejects")
        self.tally.counts["done"] += 1

    def _count(self, name: str, n: int = 1) -> None:
        if n:
            self.tally.counts[name] += n
            self.run.counts[name] += n


def trace(
    of: Asked, reply: Reply, seen: Read, cost: Decimal | None, latency_s: float | None, batch_id: str | None = None
) -> dict[str, Any]:
    """A row of `traces`, all but its run."""
    return {
        "trace_id": of.trace_id,
        "sample_id": of.sample_id,
        "teacher": of.teacher,
        "mode": of.mode,
        "prompt_id": of.prompt_id,
        "params": of.params,
        "attempt": of.attempt,
        "response": seen.response,
        "thinking": seen.thinking,
        "answer": seen.answer,
        "finish_reason": reply.finish_reason,
        "input_tokens": reply.input_tokens,
        "output_tokens": reply.output_tokens,
        "cached_tokens": reply.cached_tokens,
        "reasoning_tokens": reply.reasoning_tokens,
        "cost_usd": cost,
        "latency_s": latency_s,
        "request_id": reply.request_id,
        "batch_id": batch_id,
        "flag": seen.flag,
        "raw": reply.raw.decode("utf-8", "replace"),
        "created_at": datetime.now(UTC),
    }


class _Tries:
    """Tenacity's stop: so many tries that failed by a fault; being asked to slow down is none, for up to an hour."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._faults = 0

    def __call__(self, state: RetryCallState) -> bool:
        failure = state.outcome.exception() if state.outcome else None
        if isinstance(failure, Failure) and failure.overload:
            return (state.seconds_since_start or 0) > PATIENCE_S
        self._faults += 1
        return self._faults >= self._most


def _wait(state: RetryCallState) -> float:
    """Jittered exponential backoff, or what the provider asked for and a little more, so that not all come at once."""
    failure = state.outcome.exception() if state.outcome else None
    if isinstance(failure, Failure) and failure.retry_after_s is not None:
        return failure.retry_after_s + random.uniform(0, 0.1 * failure.retry_after_s + 0.05)
    return random.uniform(0.5, 1.0) * min(FIRST_WAIT_S * 2.0**state.attempt_number, LONGEST_WAIT_S)
