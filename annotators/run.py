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
from annotators.batch import run_batches
from annotators.engine import Engine, Stop
from annotators.estimate import Estimate, estimate
from annotators.jobs import Jobs, Plan
from annotators.ledger import Ledger, replay
from annotators.log import logged
from annotators.media_pool import Preparer
from annotators.money import Budget, Price, price_of
from annotators.process_memory import sparing
from annotators.progress_view import Verifier, shown
from annotators.providers import connect
from annotators.settings import Settings
from corpus import Corpus, OneThinkerError
from corpus.ids import canonical_json
from corpus.runs import Run


@dataclass(frozen=True)
class Report:
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
    estimate: Estimate | None = None


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
) -> Report:
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


def annotate_with(corpus: Corpus, settings: Settings, *, verifier: Verifier | None = None) -> Report:
    """`annotate` with its settings in one object, as the command line has them."""
    replayed = replay(corpus)
    price = price_of(settings.teacher, settings.prices)
    if settings.budget_usd is not None and price is None:
        raise OneThinkerError(
            f"no price is known for {settings.teacher}, so a budget cannot be kept: give one with --prices FILE "
            f'(["{settings.teacher}"] input = 1.25, output = 10.00; USD for a million tokens)'
        )
    with sparing(corpus):
        report = _in_own_loop(_annotate(corpus, settings, price, replayed, verifier))
    if settings.mode == "ensemble" and not settings.dry_run:
        record_agreement(corpus, settings.where)
    return report


async def _annotate(
    corpus: Corpus, settings: Settings, price: Price | None, replayed: int, verifier: Verifier | None
) -> Report:
    teacher = connect(settings)
    try:
        plan = Plan(corpus, settings, teacher.address)
        with plan.jobs() as jobs:
            if not len(jobs):
                return Report(None, replayed=replayed, message="nothing is left to ask")
            if settings.dry_run:
                return await _estimated(plan, jobs, teacher, price)
            config = {**settings.config(), "address": teacher.address}
            budget = Budget(settings.budget_usd, before=spent_by_killed(corpus, config))
            with corpus.run("annotate", config) as run:
                return await _run(run, plan, jobs, teacher, price, budget, replayed, verifier)
    finally:
        await teacher.close()


async def _estimated(plan: Plan, jobs: Jobs, teacher: Any, price: Price | None) -> Report:
    s = plan.settings
    with Preparer(plan.corpus.media, workers=s.decoders, timeout_s=s.prepare_timeout_s) as preparer:
        expected = await estimate(plan, jobs, teacher, price, preparer)
    return Report(None, left=len(jobs), message="nothing was asked: this was a dry run", estimate=expected)


async def _run(
    run: Run,
    plan: Plan,
    jobs: Jobs,
    teacher: Any,
    price: Price | None,
    budget: Budget,
    replayed: int,
    verifier: Verifier | None,
) -> Report:
    s = plan.settings
    started = monotonic()
    with run.transaction("prompts") as tx:
        tx.append("prompts", plan.prompts())
    preparer = Preparer(plan.corpus.media, workers=s.decoders, timeout_s=s.prepare_timeout_s)
    with preparer, logged(run.corpus.root / "logs", run.run_id):
        async with Ledger(run, verifier) as ledger:
            engine = Engine(
                run,
                plan,
                teacher,
                price=price,
                budget=budget,
                ledger=ledger,
                preparer=preparer,
                total=len(jobs),
                verifier=verifier,
            )
            async with shown(engine.glimpse):
                with _stoppable(engine):
                    await (run_batches(engine, run.corpus.root) if s.batch else engine.work(jobs))
    tally, stop = engine.tally, engine.stopped
    report = Report(
        run_id=run.run_id,
        traces=tally.counts["traces"],
        rejected=tally.counts["rejects"],
        left=max(len(jobs) - tally.counts["done"] - tally.counts["elsewhere"], 0),
        elsewhere=tally.counts["elsewhere"],
        replayed=replayed,
        cost_usd=run.cost_usd,
        unsure_usd=budget.unsure,
        seconds=monotonic() - started,
        flags=dict(tally.flags),
        rejects=dict(tally.rejects),
        faults=dict(tally.faults),
        tokens=dict(tally.tokens),
        stopped=stop.reason if stop else None,
        message=_message(stop) if stop else "",
    )
    if stop and stop.reason == "interrupted":
        raise KeyboardInterrupt(report.message)
    if stop and stop.reason != "budget":
        raise OneThinkerError(report.message)
    return report


def spent_by_killed(corpus: Corpus, config: dict[str, Any]) -> Decimal:
    """What the runs of the same command that were killed since it last ended by itself have spent, in USD.

    A killed run and the one that continues it share a budget; a run that ended has had its own.
    """
    text = canonical_json({name: str(v) if isinstance(v, Decimal | Path) else v for name, v in config.items()}).decode()
    runs = corpus.sql(
        "select run_id, status from runs where kind = 'annotate' and config = ? order by started_at desc", [text]
    ).fetchall()
    killed = [run_id for run_id, _ in takewhile(lambda run: run[1] == "crashed", runs)]
    query = "select coalesce(sum(cost_usd), 0) from traces where run_id in (select unnest(?))"
    found = corpus.sql(query, [killed]).fetchone() if killed else None
    return Decimal(found[0]) if found else Decimal(0)


def _message(stop: Stop) -> str:
    if stop.reason == "budget":
        return f"the budget is spent: {stop.detail}. Give the same command again to go on, with another --budget"
    if stop.reason == "interrupted":
        return "stopped; every answer that arrived is kept. Give the same command again to go on"
    return (
        f"stopped ({stop.reason}): {stop.detail}. Every answer that arrived is kept; "
        "once that is settled, give the same command again to go on"
    )


@contextmanager
def _stoppable(engine: Engine) -> Iterator[None]:
    """Ctrl-C or SIGTERM ends the run cleanly; a second one at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()

    def on_signal() -> None:
        if engine.stopped is not None and main is not None:
            main.cancel()
        print("stopping: waiting for the answers under way", file=sys.stderr, flush=True)
        engine.stop("interrupted", "")

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in handlers:
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _in_own_loop(work: Any) -> Report:
    """Run a coroutine to its end, also where an event loop is running already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return cast(Report, asyncio.run(work))
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: cast(Report, asyncio.run(work))).result()
