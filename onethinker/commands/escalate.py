"""`onethinker escalate`: a cheap teacher first, stronger ones for what it did not solve."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from corpus import Corpus
from corpus.accuracy import PASS_ACCURACY
from corpus.ranges import ABOVE_0, SHARE_ABOVE_0
from corpus.sql_gate import condition
from onethinker.options import DEFAULT_CORPUS, CorpusUrl, Count, Format, Where
from onethinker.output import show


def escalate(
    *,
    teacher: list[str],
    where: Where = None,
    n: Count = 1,
    keep: Annotated[float, Parameter(validator=SHARE_ABOVE_0)] = PASS_ACCURACY,
    budget: Annotated[Decimal | None, Parameter(validator=ABOVE_0)] = None,
    concurrency: Count = 64,
    prices: Path | None = None,
    format: Format = "table",
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> None:
    """Ask the first teacher about a slice, verify, then ask the next one about unsolved samples, and so on.

    Prints for each stage the samples asked and solved, the cost, and the cost of each solved sample. The same command
    continues where it stopped.

    Example: `onethinker escalate --teacher local:pixels-mini --teacher local:pixels-1 --corpus demo/corpus`

    Parameters
    ----------
    teacher
        A teacher, as provider:model; repeat for each stage, the cheapest first.
    n
        Traces of each sample at each stage.
    keep
        The least accuracy (profile strict) of a solved sample, above 0 and at most 1.
    budget
        At most this many USD for all stages together.
    concurrency
        At most this many requests in flight.
    prices
        A TOML file of prices that override the built-in ones.
    """
    import pyarrow as pa

    from annotators import annotate_with
    from annotators.process_memory import frugal
    from annotators.run import require_price
    from annotators.settings import Settings
    from filters import verify

    slice_ = condition(where or "true")
    # All stages are checked before the first is paid for.
    stages = [Settings(teacher=t, n=n, budget_usd=budget, concurrency=concurrency, prices=prices) for t in teacher]
    for settings in stages:
        require_price(settings)
    solved = f"select sample_id from scored_traces where profile = 'strict' and accuracy >= {keep}"
    rows: list[dict[str, Any]] = []
    spent = Decimal(0)
    with frugal(), Corpus.open(corpus) as opened:
        for stage, settings in enumerate(stages, 1):
            left = None if budget is None else budget - spent
            if left is not None and left <= 0:
                break
            before = _count(opened, f"{slice_} and sample_id in ({solved})")
            unsolved = f"{slice_} and sample_id not in ({solved})"
            asked = _count(opened, unsolved)
            report = annotate_with(opened, replace(settings, where=unsolved, budget_usd=left))
            verify(opened, where or "true")
            now = _count(opened, f"{slice_} and sample_id in ({solved})") - before
            usd = report.cost_usd
            spent += usd
            row = {
                "stage": stage,
                "teacher": settings.teacher,
                "unsolved": asked,
                "traces": report.traces,
                "solved": now,
                "usd": usd,
            }
            rows.append(row | {"usd_per_solved": (usd / now).quantize(Decimal("1e-12")) if now else None})
    kinds = (pa.int64(), pa.string(), pa.int64(), pa.int64(), pa.int64(), pa.decimal128(18, 12), pa.decimal128(18, 12))
    names = ("stage", "teacher", "unsolved", "traces", "solved", "usd", "usd_per_solved")
    schema = pa.schema(list(zip(names, kinds, strict=True)))
    show(pa.Table.from_pylist(rows, schema), format)


def _count(corpus: Corpus, where: str) -> int:
    found = corpus.sql(f"select count(*) from samples where {where}").fetchone()
    return int(found[0]) if found else 0
