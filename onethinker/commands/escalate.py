"""`onethinker escalate`: a cheap teacher first, a stronger one for what is left."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from corpus import Corpus
from corpus.accuracy import PASS_ACCURACY
from onethinker.options import DEFAULT_CORPUS, CorpusUrl, Format, Where
from onethinker.output import show


def escalate(
    *,
    teacher: list[str],
    where: Where = None,
    n: int = 1,
    keep: float = PASS_ACCURACY,
    budget: Decimal | None = None,
    concurrency: int = 64,
    prices: Path | None = None,
    format: Format = "table",
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> None:
    """Ask the first teacher about a slice, verify, then ask the next about what is not solved yet, and so on.

    Prints, for each stage, what was asked, solved and paid, and the cost of each sample solved. The same command
    again goes on where it stopped.

    Example: `onethinker escalate --teacher local:pixels-mini --teacher local:pixels-1`

    Parameters
    ----------
    teacher
        The teachers as provider:model, the cheapest first; give it once for each.
    n
        Traces of each sample at each stage.
    keep
        The accuracy (strict) from which on a sample counts as solved.
    budget
        USD at most for all stages together.
    concurrency
        Requests in flight at most.
    prices
        A TOML file of prices that speaks over the built-in one.
    """
    import pyarrow as pa

    from annotators import annotate
    from annotators.process_memory import frugal
    from filters import verify

    slice_ = where or "true"
    solved = f"select sample_id from scored_traces where profile = 'strict' and accuracy >= {keep}"
    rows: list[dict[str, Any]] = []
    spent = Decimal(0)
    with frugal(), Corpus.open(corpus) as opened:
        for stage, name in enumerate(teacher, 1):
            left = None if budget is None else budget - spent
            if left is not None and left <= 0:
                break
            before = _count(opened, f"({slice_}\n) and sample_id in ({solved})")
            unsolved = f"({slice_}\n) and sample_id not in ({solved})"
            asked = _count(opened, unsolved)
            report = annotate(
                opened,
                teacher=name,
                where=unsolved,
                n=n,
                budget_usd=left,
                concurrency=concurrency,
                prices=prices,
            )
            verify(opened, slice_)
            now = _count(opened, f"({slice_}\n) and sample_id in ({solved})") - before
            usd = report.cost_usd
            spent += usd
            row = {
                "stage": stage,
                "teacher": name,
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
