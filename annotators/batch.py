"""Annotating through a provider's batch API: half the price, answers within a day, the same traces in the end.

The slice is written as parts within the provider's limits, each is submitted once, polled until it ends and taken in.
What expired or failed on the provider's side is planned again, in parts of the next round. Killed anywhere, the same
command goes on with the parts that are there.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import orjson

from annotators.batch_files import READY, SUBMITTED, SUBMITTING, Part, Parts, Timeout, Writer
from annotators.claims import take
from annotators.engine import Engine, Stop
from annotators.flags import read
from annotators.http import understood
from annotators.jobs import Job
from annotators.media_encoding import Undecodable
from annotators.messages import Failure, Request, Teacher
from annotators.money import most_input_tokens
from corpus.errors import OneThinkerError, UsageError

ROUNDS = 5  # times that a request is submitted at most
PATIENT = 5  # times that asking for a state or a result may fail in a row
PREPARED_AT_ONCE = 16


class Batches(Teacher, Protocol):
    """A teacher whose provider has a batch API."""

    batch_most: tuple[int, int]  # requests and bytes in one batch
    secret: str

    def batch_line(self, custom_id: str, body: bytes) -> bytes:
        """A request as a line of a batch."""

    async def batch_submit(self, key: str, path: Path) -> str:
        """Make a batch of a file of lines; returns its id. Raises Failure."""

    async def batch_find(self, key: str, since: float, requests: int, known: set[str]) -> str | None:
        """The id of a batch that was made under `key` and not noted, if there is one. Raises Failure."""

    async def batch_ended(self, batch_id: str) -> bool:
        """Whether its results are there. Raises Failure, fatal where the whole batch was refused."""

    def batch_results(self, batch_id: str) -> AsyncIterator[tuple[str, bytes | Failure]]:
        """Each request's custom id with its answer's JSON, or with why there is none."""


class BatchRun:
    """One run over the batch API, on the engine's ledger, budget and counts."""

    def __init__(self, engine: Engine, parts: Parts) -> None:
        self.engine, self.parts = engine, parts
        if not hasattr(engine.teacher, "batch_submit"):
            raise UsageError(f"{engine.settings.teacher}: this provider has no batch API here; leave --batch out")
        self.teacher: Batches = engine.teacher  # type: ignore[assignment]
        self.given_up: set[str] = set()
        self.reserved: dict[str, Decimal] = {}

    async def work(self) -> None:
        """Submit all that is left of the slice and take in what comes, round by round."""
        for part in self._mine():
            self._reserve(part)
        for _ in range(ROUNDS):
            await self._submit_new()
            if not self._mine():
                return
            await self._take_in_all()
            if self.engine.stopped is not None:
                return

    def _mine(self) -> list[Part]:
        return [part for part in self.parts.all() if part.teacher == self.engine.settings.teacher]

    def _reserve(self, part: Part) -> None:
        # What is at the provider already cannot be held back: it counts even where it is over the budget.
        self.reserved[part.key] = Decimal(part.most_usd)
        self.engine.budget.reserved += Decimal(part.most_usd)

    # -- out -----------------------------------------------------------------------------------------------------------

    async def _submit_new(self) -> None:
        plan = self.engine.plan
        writer: Writer | None = None
        most = Decimal(0)
        full_requests, full_bytes = self.teacher.batch_most
        for part in self._mine():
            if part.stage != SUBMITTED:
                await self._submit(part)
        with plan.jobs() as jobs:
            async for job, request in self._prepared(jobs.batches()):
                usd = self._most(request)
                if not self.engine.budget.reserve(usd):
                    limit = self.engine.budget.limit
                    self.engine.stop(
                        "budget", f"{limit} USD are gone or at the provider and the next may cost {usd:.6f}"
                    )
                    break
                body = orjson.dumps(self.teacher.body(request))
                line = self.teacher.batch_line(job.trace_id, body)
                if writer and (writer.part.requests >= full_requests or writer.bytes + len(line) > full_bytes):
                    await self._close(writer, most)
                    writer, most = None, Decimal(0)
                writer = writer or Writer(self.parts.root, f"part-{os.urandom(8).hex()}", self.engine.settings.teacher)
                writer.add(job.asked, line)
                most += usd
        if writer:
            await self._close(writer, most)

    async def _close(self, writer: Writer, most: Decimal) -> None:
        part = writer.close(str(most))
        self.reserved[part.key] = most  # reserved request by request already
        await self._submit(part)

    async def _prepared(self, batches: object) -> AsyncIterator[tuple[Job, Request]]:
        engine = self.engine
        for batch in batches:  # type: ignore[attr-defined]
            wanted = [job for job in batch if job.trace_id not in self.given_up]
            ours = await asyncio.to_thread(take, engine.run, wanted) if wanted else []
            for first in range(0, len(ours), PREPARED_AT_ONCE):
                some = ours[first : first + PREPARED_AT_ONCE]
                ready = await asyncio.gather(*(engine.request(job) for job in some), return_exceptions=True)
                for job, request in zip(some, ready, strict=True):
                    if isinstance(request, Undecodable):
                        self.given_up.add(job.trace_id)
                        engine.reject(job.asked, "media", request.reason, request.detail)
                    elif isinstance(request, BaseException):
                        raise request
                    else:
                        yield job, request

    def _most(self, request: Request) -> Decimal:
        price = self.engine.price
        longest = request.max_tokens + (request.thinking_tokens or 0)
        return price.most(most_input_tokens(request), longest, batch=True) if price else Decimal(0)

    async def _submit(self, part: Part) -> None:
        """Have the provider make a batch of a part, once: after a doubtful try it is looked for first."""
        for tries in range(PATIENT):
            try:
                if part.stage == SUBMITTING:
                    known = self.parts.known()
                    found = await self.teacher.batch_find(part.key, part.since, part.requests, known)
                    if found is not None:
                        part.now(SUBMITTED, batch_id=found)  # its lines stay: the results will tell whether it is ours
                        return
                part.now(SUBMITTING, since=part.since or time.time())
                part.now(SUBMITTED, batch_id=await self.teacher.batch_submit(part.key, part.path))
                part.path.unlink()  # the provider has it; its media are in the corpus
                return
            except Failure as failure:
                if not failure.again and not failure.unsure:
                    part.now(READY, since=0.0)
                    raise Stop(failure.reason, failure.detail) from None
                if tries == PATIENT - 1:
                    raise Stop(failure.reason, failure.detail) from None
                await self.engine.sleep(failure.retry_after_s or 2.0**tries)

    # -- in ------------------------------------------------------------------------------------------------------------

    async def _take_in_all(self) -> None:
        failed = 0
        while (mine := self._mine()) and not self.engine.stopping:
            for part in mine:
                try:
                    if part.stage != SUBMITTED:
                        await self._submit(part)
                    elif await self.teacher.batch_ended(part.batch_id or ""):
                        await self._take_in(part)
                    failed = 0
                except Failure as failure:
                    failed += 1
                    if failure.fatal:
                        part.drop()
                        self.engine.budget.reserved -= self.reserved.pop(part.key, Decimal(0))
                    if failure.fatal or failed >= PATIENT:
                        raise Stop(failure.reason, failure.detail) from None
            if self._mine():
                await self.engine.sleep(self.engine.settings.poll_s)

    async def _take_in(self, part: Part) -> None:
        engine, asked, others = self.engine, part.asked(), 0
        async for custom_id, result in self.teacher.batch_results(part.batch_id or ""):
            of = asked.pop(custom_id, None)
            if of is None:
                others += 1
                continue
            try:
                if isinstance(result, Failure):
                    raise result
                reply = understood(result, self.teacher.secret, self.teacher.read, {})
            except Failure as failure:
                engine.tally.faults[failure.reason] += 1
                if not failure.again:
                    self.given_up.add(custom_id)
                    engine.reject(of, "request", failure.reason, failure.detail)
                continue
            engine.keep(of, reply, read(reply, of.question), None, batch_id=part.batch_id)
        if others and len(asked) == part.requests:
            self.parts.forget(part.batch_id)  # it was found, and somebody else made it: look further
            part.now(SUBMITTING, batch_id=None)
            return
        if asked:
            engine.tally.faults["expired"] += len(asked)  # no word of them: as if they had expired
        await engine.ledger.flush()  # the next round is planned from what the lake holds
        engine.budget.settle(self.reserved.pop(part.key, Decimal(0)), Decimal(0))
        part.done()


async def run_batches(engine: Engine, root: Path) -> None:
    """Do the engine's plan through its teacher's batch API. Raises UsageError where it has none."""
    try:
        with Parts(root) as parts:
            await BatchRun(engine, parts).work()
    except Timeout:
        raise OneThinkerError("another process is at work on the batches of this corpus; let it end first") from None
    except Stop as stop:
        engine.stop(stop.reason, stop.detail)
