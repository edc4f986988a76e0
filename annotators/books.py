"""The books of one run: its budget, its counts, what it keeps and rejects, and whether it goes on.

Live and batch requests reserve money here before they are sent and settle or release it afterwards; no other code
changes the budget.
"""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

from annotators.charges import ChargeLog
from annotators.flags import ParsedResponse
from annotators.jobs import JobRow
from annotators.log import log_event, log_warning
from annotators.messages import Failure, Reply, Request
from annotators.money import Budget, Price, max_input_tokens
from annotators.progress_view import ProgressSnapshot, Verifier
from annotators.trace_writer import TraceWriter
from corpus.ids import digest
from corpus.runs import Run

MAX_FAILED_AT_START = 25  # requests that failed for good before any answer: the next ones will not fare better


@dataclass
class Tally:
    """What happened so far."""

    counts: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    rejects: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)


class RunStopped(Exception):  # noqa: N818, a reason to stop is not always a fault
    """The run ends here: `reason` is a stable word, `detail` explains it."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


class Books:
    """One run's budget, tally, traces, rejects and stop flag."""

    def __init__(
        self,
        run: Run,
        *,
        price: Price | None,
        budget: Budget,
        writer: TraceWriter,
        total: int,
        verifier: Verifier | None = None,
    ) -> None:
        self.run, self.writer = run, writer
        self.tally = Tally()
        self.stopped: RunStopped | None = None
        self._price, self._budget, self._total, self._verifier = price, budget, total, verifier
        self._charges = ChargeLog(run.corpus.root, run.run_id)
        self._stop = asyncio.Event()
        self._settled = asyncio.Event()
        self._given_up = 0

    # -- money ---------------------------------------------------------------------------------------------------------

    def max_cost(self, request: Request, *, batch: bool = False) -> Decimal:
        """The most that a request can cost, in USD; 0 if its price is not known."""
        if self._price is None:
            return Decimal(0)
        output_tokens = request.max_tokens + (request.thinking_tokens or 0)
        return self._price.max_cost(max_input_tokens(request), output_tokens, batch=batch)

    async def reserve(self, most: Decimal) -> None:
        """Set the most that a request can cost aside, waiting for those under way to settle if it does not fit.

        Raises RunStopped if it will not fit, or if the run takes no more answers.
        """
        while True:
            if self.stopping:
                raise RunStopped("stopping", "")
            if self.writer.full:
                raise RunStopped("disk_full", "the disk is full: free some space and give the same command again")
            if self.writer.broken:
                raise RunStopped("lake", "the lake takes no more commits")
            if self._budget.reserve(most):
                return
            if self._budget.reserved == 0:
                gone = self._budget.spent + self._budget.unsure
                limit = self._budget.limit
                raise RunStopped("budget", f"{gone:.6f} of {limit} USD are gone and the next may cost {most:.6f}")
            self._settled.clear()
            await self._settled.wait()

    def reserve_now(self, most: Decimal) -> None:
        """Set the most that a request of a batch can cost aside. Raises RunStopped if it does not fit."""
        if not self._budget.reserve(most):
            limit = self._budget.limit
            raise RunStopped("budget", f"{limit} USD are gone or at the provider and the next may cost {most:.6f}")

    def reserve_committed(self, most: Decimal) -> None:
        """Set aside what is at the provider already, even if it is over the budget."""
        self._budget.reserve_committed(most)

    def settle(self, trace_id: str, most: Decimal, reply: Reply, *, batch: bool = False) -> Decimal | None:
        """Replace a reserve by what its reply cost, and return that; None if the reply does not say its tokens.

        Unknown usage takes the whole reserve from the budget.
        """
        cost = self._price.cost(reply, batch=batch) if self._price else None
        self._budget.settle(most, cost)
        if cost is None:
            self._charges.add(trace_id, "no_usage", most)
        self._settled.set()
        return cost

    def release(self, trace_id: str, most: Decimal, *, unsure: bool = False) -> None:
        """Give a reserve back; if `unsure`, the request may have been charged, and its reserve stays counted."""
        self._budget.release(most, unsure=unsure)
        if unsure:
            self._charges.add(trace_id, "unsure", most)
        self._settled.set()

    # -- answers -------------------------------------------------------------------------------------------------------

    def keep(
        self,
        job: JobRow,
        reply: Reply,
        response: ParsedResponse,
        cost: Decimal | None,
        latency_s: float | None = None,
        *,
        last: bool = True,
        batch_id: str | None = None,
    ) -> None:
        """Write an answer as a trace; `last` if its slot is not asked again."""
        self.writer.add("traces", trace_row(job, reply, response, cost, latency_s, batch_id))
        if reply.ignored:
            log_warning("ignored", trace_id=job.trace_id, detail="; ".join(reply.ignored)[:500])
        self.run.cost_usd += cost or 0
        self.count("traces")
        self.tally.tokens["input"] += reply.input_tokens or 0
        self.tally.tokens["output"] += reply.output_tokens or 0
        if response.flag:
            self.tally.flags[response.flag] += 1
            log_event("odd", trace_id=job.trace_id, flag=response.flag, asked_again=not last)
            self.count("flagged")
        self.tally.counts["done"] += last

    def reject(self, job: JobRow, where: str, reason: str, detail: str) -> None:
        """Write a job that cannot be done as a reject, with its reason."""
        ids = {"sample_id": job.sample_id, "trace_id": job.trace_id, "teacher": job.teacher}
        row = {
            "reject_id": digest("annotate", job.trace_id, reason),
            "reader": "annotate",
            "field": where,
            "reason": reason,
            "detail": detail,
            "raw": orjson.dumps(ids).decode(),
            "created_at": datetime.now(UTC),
        }
        self.writer.add("rejects", row)
        log_warning("reject", sample_id=job.sample_id, trace_id=job.trace_id, reason=reason, detail=detail)
        self.tally.rejects[reason] += 1
        self.count("rejects")
        self.tally.counts["done"] += 1

    def give_up(self, job: JobRow, failure: Failure) -> None:
        """Reject a job whose request failed for good; stop the run if that is all that requests ever did."""
        self.reject(job, "request", failure.reason, failure.detail)
        self._given_up += 1
        if self._given_up >= MAX_FAILED_AT_START and not self.tally.counts["answers"]:
            hint = ". Is its server up?" if failure.reason == "connection" else ""
            detail = f"the first {self._given_up} requests all failed; the last: {failure.detail}{hint}"
            self.stop(failure.reason, detail)

    def record_fault(self, trace_id: str, failure: Failure) -> None:
        """Count a request that failed, for now or for good."""
        self.tally.faults[failure.reason] += 1
        log_warning("fault", trace_id=trace_id, reason=failure.reason, detail=failure.detail, again=failure.retryable)

    def count(self, name: str, n: int = 1) -> None:
        """Add to a count of the tally and of the run's row."""
        if n:
            self.tally.counts[name] += n
            self.run.counts[name] += n

    # -- state ---------------------------------------------------------------------------------------------------------

    def stop(self, reason: str, detail: str) -> None:
        """Let nothing more be asked; answers under way are still taken in. The first reason is the one reported."""
        if self.stopped is None:
            self.stopped = RunStopped(reason, detail)
            log_warning("stopped", reason=reason, detail=detail)
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """True once nothing more is to be asked."""
        return self._stop.is_set()

    async def wait_for_stop(self) -> None:
        """Wait until the run is to stop."""
        await self._stop.wait()

    async def sleep(self, seconds: float) -> None:
        """Wait, but no longer than until the run is stopped."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    def snapshot(self, in_flight: int, allowed: int) -> ProgressSnapshot:
        """The run as it stands, with `in_flight` requests of the `allowed` ones under way."""
        tally = self.tally
        return ProgressSnapshot(
            total=self._total - tally.counts["elsewhere"],
            done=tally.counts["done"],
            in_flight=in_flight,
            allowed=allowed,
            answers=tally.counts["traces"],
            tokens=tally.tokens["input"] + tally.tokens["output"],
            usd=self.run.cost_usd,
            budget_usd=self._budget.limit,
            verified=self._verifier.verified if self._verifier else None,
            kept=self._verifier.kept if self._verifier else None,
            flags=tally.flags.copy(),  # the view reads them in its own thread
            rejects=tally.rejects.copy(),
            faults=tally.faults.copy(),
        )

    @property
    def unsure_usd(self) -> Decimal:
        """What requests that broke after they were sent may have cost."""
        return self._budget.unsure


def trace_row(
    job: JobRow,
    reply: Reply,
    response: ParsedResponse,
    cost: Decimal | None,
    latency_s: float | None,
    batch_id: str | None,
) -> dict[str, Any]:
    """A row of `traces`, all but its run."""
    return {
        "trace_id": job.trace_id,
        "sample_id": job.sample_id,
        "teacher": job.teacher,
        "mode": job.mode,
        "prompt_id": job.prompt_id,
        "params": job.params,
        "attempt": job.attempt,
        "response": response.response,
        "thinking": response.thinking,
        "answer": response.answer,
        "finish_reason": reply.finish_reason,
        "input_tokens": reply.input_tokens,
        "output_tokens": reply.output_tokens,
        "cached_tokens": reply.cached_tokens,
        "reasoning_tokens": reply.reasoning_tokens,
        "cost_usd": cost,
        "latency_s": latency_s,
        "request_id": reply.request_id,
        "batch_id": batch_id,
        "flag": response.flag,
        "raw": reply.raw.decode("utf-8", "replace"),
        "created_at": datetime.now(UTC),
    }
