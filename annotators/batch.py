"""Annotating through a provider's batch API: half the price, answers within a day, the same traces in the end.

The slice is written as batches within the provider's limits; each is submitted once, polled until it ends and taken in.
What expired or failed on the provider's side is planned again, in batches of the next round. Killed anywhere, the same
command continues with the batches on disk.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from decimal import Decimal

import orjson

from annotators.batch_files import READY, SUBMITTED, SUBMITTING, BatchFile, BatchStore, BatchWriter
from annotators.books import Books, RunStopped
from annotators.claims import claim_jobs
from annotators.flags import parse_response
from annotators.jobs import Job, JobPlan
from annotators.media_encoding import Undecodable
from annotators.media_pool import EncoderPool
from annotators.messages import BatchTeacher, Failure, Request, Teacher
from annotators.progress_view import ProgressSnapshot
from corpus.errors import UsageError

MAX_ROUNDS = 5  # times that a request is submitted
MAX_TRIES = 5  # times in a row that asking for a state or a result may fail
ENCODED_AT_ONCE = 16


@dataclass
class _Outstanding:
    """What is still reserved for a batch, and the trace ids whose reserve was settled or released."""

    requests: int
    usd: Decimal
    done: set[str] = field(default_factory=set)


class BatchRun:
    """One run over the batch API."""

    def __init__(
        self, books: Books, plan: JobPlan, teacher: BatchTeacher, encoder: EncoderPool, store: BatchStore
    ) -> None:
        self._books, self._plan, self._teacher, self._encoder, self._store = books, plan, teacher, encoder, store
        self._given_up: set[str] = set()
        self._outstanding: dict[str, _Outstanding] = {}

    async def work(self) -> None:
        """Submit all that is left of the slice and take in what comes, round by round. Raises RunStopped."""
        for batch in self._mine():
            self._reserve_again(batch)
        for _ in range(MAX_ROUNDS):
            await self._submit_new()
            if not self._mine():
                return
            await self._take_in_all()
            if self._books.stopping:
                return

    def snapshot(self) -> ProgressSnapshot:
        """The run as it stands; all requests at the provider are under way."""
        requests = sum(outstanding.requests for outstanding in self._outstanding.values())
        return self._books.snapshot(requests, requests)

    def _mine(self) -> list[BatchFile]:
        return self._store.of_teacher(self._plan.settings.teacher)

    def _reserve_again(self, batch: BatchFile) -> None:
        """Reserve for what an earlier process submitted; the answers that it kept are among its own costs."""
        jobs = batch.jobs()
        kept = self._in_lake(jobs)
        most = sum((batch.max_cost(job) for key, job in jobs.items() if key not in kept), Decimal(0))
        self._outstanding[batch.key] = _Outstanding(batch.requests, most)
        self._books.reserve_committed(most)

    def _in_lake(self, trace_ids: Iterable[str]) -> set[str]:
        query = "select trace_id from traces where trace_id in (select unnest($ids))"
        return {key for (key,) in self._plan.corpus.sql(query, {"ids": list(trace_ids)}).fetchall()}

    # -- out -----------------------------------------------------------------------------------------------------------

    async def _submit_new(self) -> None:
        for batch in self._mine():
            if batch.stage != SUBMITTED:
                await self._submit(batch)
        teacher, writer = self._teacher, None
        max_requests, max_bytes = teacher.batch_max
        with self._plan.jobs() as jobs:
            async for job, request in self._encode(jobs.batches()):
                most = self._books.max_cost(request, batch=True)
                try:
                    self._books.reserve_now(most)
                except RunStopped as stop:
                    self._books.stop(stop.reason, stop.detail)
                    break
                line = teacher.batch_line(job.trace_id, orjson.dumps(teacher.body(request)))
                if writer and (writer.batch.requests >= max_requests or writer.bytes + len(line) > max_bytes):
                    await self._close(writer)
                    writer = None
                writer = writer or BatchWriter(self._store.root, self._plan.settings.teacher)
                writer.add(job.row, line, most)
        if writer:
            await self._close(writer)

    async def _close(self, writer: BatchWriter) -> None:
        batch = writer.close()
        self._outstanding[batch.key] = _Outstanding(batch.requests, Decimal(batch.most_usd))
        await self._submit(batch)

    async def _encode(self, batches: Iterable[list[Job]]) -> AsyncIterator[tuple[Job, Request]]:
        for batch in batches:
            wanted = [job for job in batch if job.trace_id not in self._given_up]
            ours = await asyncio.to_thread(claim_jobs, self._books.run, wanted) if wanted else []
            for first in range(0, len(ours), ENCODED_AT_ONCE):
                some = ours[first : first + ENCODED_AT_ONCE]
                encoded = (self._plan.encode_request(job, self._encoder) for job in some)
                for job, request in zip(some, await asyncio.gather(*encoded, return_exceptions=True), strict=True):
                    if isinstance(request, Undecodable):
                        self._given_up.add(job.trace_id)
                        self._books.reject(job.row, "media", request.reason, request.detail)
                    elif isinstance(request, BaseException):
                        raise request
                    else:
                        yield job, request

    async def _submit(self, batch: BatchFile) -> None:
        """Have the provider make a batch once: after a doubtful try it is looked for first. Raises RunStopped."""
        for tries in range(MAX_TRIES):
            try:
                if batch.stage == SUBMITTING:
                    known = self._store.known_ids()
                    found = await self._teacher.batch_find(batch.key, batch.since, batch.requests, known)
                    if found is not None:
                        # Its lines stay: the results show whether it is ours.
                        batch.set_stage(SUBMITTED, batch_id=found)
                        return
                batch.set_stage(SUBMITTING, since=batch.since or time.time())
                batch.set_stage(SUBMITTED, batch_id=await self._teacher.batch_submit(batch.key, batch.path))
                batch.path.unlink()  # the provider has it; its media are in the corpus
                return
            except Failure as failure:
                if failure.reason in ("unknown_model", "not_served"):  # neither path names a model: a 404 is the API's
                    self._forget(batch)
                    raise RunStopped("no_batch_api", f"{failure.detail}; leave --batch out to ask one by one") from None
                if not failure.retryable and not failure.unsure:
                    batch.set_stage(READY, since=0.0)
                    raise RunStopped(failure.reason, failure.detail) from None
                if tries == MAX_TRIES - 1:
                    raise RunStopped(failure.reason, failure.detail) from None
                await self._books.sleep(failure.retry_after_s or 2.0**tries)

    # -- in ------------------------------------------------------------------------------------------------------------

    async def _take_in_all(self) -> None:
        failed = 0
        while (mine := self._mine()) and not self._books.stopping:
            for batch in mine:
                try:
                    if batch.stage != SUBMITTED:
                        await self._submit(batch)
                    elif await self._teacher.batch_ended(batch.batch_id or ""):
                        await self._take_in(batch)
                    failed = 0
                except Failure as failure:
                    failed += 1
                    if failure.fatal:
                        self._forget(batch)
                    if failure.fatal or failed >= MAX_TRIES:
                        raise RunStopped(failure.reason, failure.detail) from None
            if self._mine():
                await self._books.sleep(self._plan.settings.poll_s)

    async def _take_in(self, batch: BatchFile) -> None:
        """Keep a batch's answers, each once, also if an earlier try or process got through some of them."""
        jobs, strangers = batch.jobs(), 0
        kept = await asyncio.to_thread(self._in_lake, list(jobs))
        done = self._outstanding[batch.key].done
        async for trace_id, result in self._teacher.batch_results(batch.batch_id or ""):
            job = jobs.pop(trace_id, None)
            if job is None:
                strangers += 1
                continue
            if trace_id in kept or trace_id in done:
                continue
            done.add(trace_id)
            most = batch.max_cost(job)
            self._outstanding[batch.key].usd -= most
            if isinstance(result, Failure):
                self._books.release(trace_id, most, unsure=result.unsure)
                self._books.record_fault(trace_id, result)
                if not result.retryable:
                    self._given_up.add(trace_id)
                    self._books.reject(job, "request", result.reason, result.detail)
                continue
            cost = self._books.settle(trace_id, most, result, batch=True)
            response = parse_response(result, job.question)
            self._books.keep(job, result, response, cost, batch_id=batch.batch_id)
        if strangers and len(jobs) == batch.requests:
            self._store.forget(batch.batch_id)  # it was found, and another client made it: look further
            batch.set_stage(SUBMITTING, batch_id=None)
            return
        if jobs:
            self._books.tally.faults["expired"] += len(jobs)  # not in the results: as if they had expired
        await self._books.writer.flush()  # the next round is planned from what the lake holds
        self._release_rest(batch)
        batch.finish()

    def _forget(self, batch: BatchFile) -> None:
        """Delete a batch that the provider will not do, so that its samples can be asked about in another way."""
        batch.delete()
        self._release_rest(batch)

    def _release_rest(self, batch: BatchFile) -> None:
        self._books.release(batch.key, self._outstanding.pop(batch.key).usd)


def require_batches(teacher: Teacher, name: str) -> BatchTeacher:
    """The teacher called `name` as one with a batch API; raises UsageError if its provider has none."""
    if not isinstance(teacher, BatchTeacher):
        raise UsageError(f"{name}: this provider has no batch API here; leave --batch out")
    return teacher
