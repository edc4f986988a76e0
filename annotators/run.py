"""Annotating: a teacher answers the samples of a slice, and every answer is a trace in the corpus."""

import asyncio
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from decimal import Decimal
from itertools import takewhile
from pathlib import Path
from time import monotonic
from typing import Any, cast

from annotators.agreement import record_agreement
from annotators.batch import BatchRun, require_batches
from annotators.batch_files import BatchStore
from annotators.books import Books, RunStopped
from annotators.charges import sum_charges
from annotators.estimate import CostEstimate, estimate
from annotators.jobs import JobPlan, Jobs
from annotators.log import log_to_file
from annotators.media_pool import EncoderPool
from annotators.messages import BatchTeacher, Failure, Teacher
from annotators.money import Budget, Price, price_of
from annotators.process_memory import sparing
from annotators.progress_view import ProgressView, Verifier
from annotators.providers import connect
from annotators.settings import Settings
from annotators.trace_writer import TraceWriter, replay
from annotators.workers import Workers
from corpus import Corpus, OneThinkerError
from corpus.ids import canonical_json
from corpus.progress import show_progress
from corpus.runs import Run


@dataclass(frozen=True)
class AnnotationReport:
    """What an annotation run did. `left` traces of the slice are still to be had; `stopped` says why, if early."""

    run_id: str | None
    traces: int = 0
    rejected: int = 0
    left: int = 0
    elsewhere: int = 0
    replayed: int = 0
    cost_usd: Decimal = Decimal(0)
    unsure_usd: Decimal = Decimal(0)
    seconds: float = 0.0
    flags: dict[str, int] = field(default_factory=dict)
    rejects: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    stopped: str | None = None
    message: str = ""
    estimate: CostEstimate | None = None


def annotate(
    corpus: Corpus,
    *,
    teacher: str,
    where: str = "true",
    n: int = 1,
    mode: str = "blind",
    prompt: str | Path | None = None,
    system: str | Path | None = None,
    limit: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    max_tokens: int = 4096,
    effort: str | None = None,
    thinking_tokens: int | None = None,
    seed: int = 0,
    concurrency: int = 64,
    rpm: int | None = None,
    tpm: int | None = None,
    budget_usd: Decimal | float | str | None = None,
    prices: str | Path | None = None,
    tries: int = 8,
    odd_retries: int = 1,
    timeout_s: float = 600.0,
    image_pixels: int = 1_048_576,
    frame_pixels: int = 262_144,
    fps: float | None = None,
    max_frames: int | None = None,
    native_video: bool = False,
    prepare_timeout_s: float = 60.0,
    decoders: int = 2,
    address: str | None = None,
    batch: bool = False,
    poll_s: float = 30.0,
    dry_run: bool = False,
    verifier: Verifier | None = None,
) -> AnnotationReport:
    """Ask a teacher about the samples of a slice and keep what it answers as traces.

    `annotate(corpus, teacher="openai:gpt-5", where="task = 'tracking'", n=4)`. The keywords are the fields of
    `Settings`, which documents each of them. The same call again continues an earlier one, however that ended, and
    buys nothing twice; another teacher, prompt or parameter adds traces. Ctrl-C and a spent budget stop it cleanly,
    and every answer that was paid for is kept. A `verifier` receives traces as they reach the lake, and its counts
    are shown.

    Raises UsageError for invalid settings, OneThinkerError for a missing or refused key, an empty account or a
    corpus that accepts no more commits.
    """
    keywords = locals()
    return annotate_with(corpus, Settings(**{f.name: keywords[f.name] for f in fields(Settings)}), verifier=verifier)


def annotate_with(corpus: Corpus, settings: Settings, *, verifier: Verifier | None = None) -> AnnotationReport:
    """`annotate` with its settings in one object, as the command line has them."""
    replayed = replay(corpus)
    price = require_price(settings)
    with sparing(corpus):
        report = _in_own_loop(_annotate(corpus, settings, price, replayed, verifier))
    if settings.mode == "ensemble" and not settings.dry_run:
        record_agreement(corpus, settings.where)
    return report


def require_price(settings: Settings) -> Price | None:
    """The teacher's price, or None if none is known. Raises OneThinkerError if the settings' budget needs one."""
    price = price_of(settings.teacher, settings.prices)
    if settings.budget_usd is not None and price is None:
        raise OneThinkerError(
            f"no price is known for {settings.teacher}, so a budget cannot be kept: give one with --prices FILE "
            f'(["{settings.teacher}"] input = 1.25, output = 10.00; USD for a million tokens)'
        )
    return price


async def _annotate(
    corpus: Corpus, settings: Settings, price: Price | None, replayed: int, verifier: Verifier | None
) -> AnnotationReport:
    teacher = connect(settings)
    try:
        plan = JobPlan(corpus, settings, teacher.address)
        with plan.jobs() as jobs:
            if not len(jobs):
                empty = f"nothing fits --where {settings.where!r} in mode {settings.mode}: nothing was asked"
                message = "nothing is left to ask" if plan.specs else empty
                return AnnotationReport(None, replayed=replayed, message=message)
            if settings.dry_run:
                return await _dry_run(plan, jobs, teacher, price)
            config = {**settings.config(), "address": teacher.address}
            budget = Budget(settings.budget_usd, before=killed_runs_cost(corpus, config))
            with corpus.run("annotate", config) as run:
                return await _run(run, plan, jobs, teacher, price, budget, replayed, verifier)
    finally:
        await teacher.close()


async def _dry_run(plan: JobPlan, jobs: Jobs, teacher: Teacher, price: Price | None) -> AnnotationReport:
    with _encoder(plan) as encoder:
        try:
            expected = await estimate(plan, jobs, teacher, price, encoder)
        except Failure as failure:
            raise OneThinkerError(f"the provider could not count the tokens: {failure}") from None
    return AnnotationReport(None, left=len(jobs), message="nothing was asked: this was a dry run", estimate=expected)


def _encoder(plan: JobPlan) -> EncoderPool:
    s = plan.settings
    return EncoderPool(plan.corpus.media, workers=s.decoders, timeout_s=s.prepare_timeout_s)


async def _run(
    run: Run,
    plan: JobPlan,
    jobs: Jobs,
    teacher: Teacher,
    price: Price | None,
    budget: Budget,
    replayed: int,
    verifier: Verifier | None,
) -> AnnotationReport:
    started = monotonic()
    with run.transaction("prompts") as tx:
        tx.append("prompts", plan.prompts())
    with _encoder(plan) as encoder, log_to_file(run.corpus.root / "logs", run.run_id):
        async with TraceWriter(run, verifier) as writer:
            books = Books(run, price=price, budget=budget, writer=writer, total=len(jobs), verifier=verifier)
            if plan.settings.batch:
                await _run_batches(books, plan, require_batches(teacher, plan.settings.teacher), encoder)
            else:
                workers = Workers(books, plan, teacher, encoder)
                view = ProgressView(workers.snapshot)
                with show_progress(view.render, view.line), _stop_on_signal(books):
                    await workers.work(jobs)
    report = _report(books, left=len(jobs), replayed=replayed, seconds=monotonic() - started)
    if report.stopped == "interrupted":
        raise KeyboardInterrupt(_summarize(report))
    if report.stopped not in (None, "budget"):
        raise OneThinkerError(report.message)
    return report


async def _run_batches(books: Books, plan: JobPlan, teacher: BatchTeacher, encoder: EncoderPool) -> None:
    with BatchStore(plan.corpus.root) as store:
        batches = BatchRun(books, plan, teacher, encoder, store)
        view = ProgressView(batches.snapshot)
        with show_progress(view.render, view.line), _stop_on_signal(books):
            try:
                await batches.work()
            except RunStopped as stop:
                books.stop(stop.reason, stop.detail)


def _report(books: Books, *, left: int, replayed: int, seconds: float) -> AnnotationReport:
    tally, stop = books.tally, books.stopped
    return AnnotationReport(
        run_id=books.run.run_id,
        traces=tally.counts["traces"],
        rejected=tally.counts["rejects"],
        left=max(left - tally.counts["done"] - tally.counts["elsewhere"], 0),
        elsewhere=tally.counts["elsewhere"],
        replayed=replayed,
        cost_usd=books.run.cost_usd,
        unsure_usd=books.unsure_usd,
        seconds=seconds,
        flags=dict(tally.flags),
        rejects=dict(tally.rejects),
        faults=dict(tally.faults),
        tokens=dict(tally.tokens),
        stopped=stop.reason if stop else None,
        message=_message(stop) if stop else "",
    )


def killed_runs_cost(corpus: Corpus, config: dict[str, Any]) -> Decimal:
    """What the runs of the same command that were killed since it last ended by itself have cost, in USD.

    Their traces' costs, and the most for what has no cost: see `charges`. A killed run and the one that continues it
    share a budget; a run that ended has had its own.
    """
    text = canonical_json({name: str(v) if isinstance(v, Decimal | Path) else v for name, v in config.items()}).decode()
    runs = corpus.sql(
        "select run_id, status from runs where kind = 'annotate' and config = ? order by started_at desc", [text]
    ).fetchall()
    killed = [run_id for run_id, _ in takewhile(lambda run: run[1] == "crashed", runs)]
    query = "select coalesce(sum(cost_usd), 0) from traces where run_id in (select unnest(?))"
    found = corpus.sql(query, [killed]).fetchone() if killed else None
    return sum_charges(corpus.root, killed) + (Decimal(found[0]) if found else Decimal(0))


def _summarize(report: AnnotationReport) -> str:
    unsure = f" (up to ${report.unsure_usd:.6f} more for requests that were cut off)" if report.unsure_usd else ""
    return (
        f"stopped: {report.traces:,} traces kept, {report.left:,} left to ask, ${report.cost_usd:.6f} spent{unsure}; "
        "the same command continues from there"
    )


def _message(stop: RunStopped) -> str:
    if stop.reason == "budget":
        return f"the budget is spent: {stop.detail}. Give the same command again to go on, with another --budget"
    if stop.reason == "interrupted":
        return "stopped; every answer that arrived is kept. Give the same command again to go on"
    return (
        f"stopped ({stop.reason}): {stop.detail}. Every answer that arrived is kept; "
        "once that is settled, give the same command again to go on"
    )


@contextmanager
def _stop_on_signal(books: Books) -> Iterator[None]:
    """Ctrl-C or SIGTERM ends the run cleanly; a second one at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()

    def on_signal() -> None:
        if books.stopped is not None and main is not None:
            main.cancel()
        print("stopping: waiting for the answers under way", file=sys.stderr, flush=True)
        books.stop("interrupted", "")

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in handlers:
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _in_own_loop(work: Any) -> AnnotationReport:
    """Run a coroutine to its end, also where an event loop is running already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return cast(AnnotationReport, asyncio.run(work))
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: cast(AnnotationReport, asyncio.run(work))).result()
