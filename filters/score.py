"""Scores for responses against true answers: batches through the process pool, one row of numbers a response.

    from filters import score
    score(["<think>…</think><answer>B</answer>"], ["B"], ["multiple choice"], ["image"])["reward"]

The rules are those of `corpus.scoring`; here they get processes, time limits, and inputs that are not text.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import orjson
import pyarrow as pa

from corpus.errors import UsageError
from filters.pool import DIED, shared

CHUNK_ROWS = 8192
CHUNK_BYTES = 64 << 20

INPUT = pa.schema(
    [
        ("response", pa.string()),
        ("ground_truth", pa.string()),
        ("problem_type", pa.string()),
        ("data_type", pa.string()),
        ("options", pa.list_(pa.string())),
        ("truth", pa.string()),  # what the sample's source really had, as JSON (samples.truth)
    ]
)


def score(
    responses: Sequence[Any],
    truths: Sequence[Any],
    problem_types: Sequence[Any],
    data_types: Sequence[Any],
    profile: str = "strict",
    options: Sequence[Sequence[str] | None] | None = None,
    truth_sources: Sequence[str | None] | None = None,
    workers: int | None = None,
) -> pa.Table:
    """One row a response, in order: format, accuracy, structure, reward, components, reason.

    `truths` are answer bodies, with or without `<answer>` tags; numbers, lists and mappings stand for their JSON text.
    `options` are the choices of multiple choice, `truth_sources` the JSON of `samples.truth`, where there are any.
    A null number could not be scored and its reason says why. `workers` processes stay warm for the next call (all
    processors when None); with 0 the work is done in this process, without time limits.

    Raises UsageError for columns of unlike lengths, and OneThinkerError for an unknown profile or, under `strict`, an
    unknown problem type.
    """
    columns = {"truths": truths, "problem_types": problem_types, "data_types": data_types}
    columns |= {name: c for name, c in (("options", options), ("truth_sources", truth_sources)) if c is not None}
    for name, column in columns.items():
        if len(column) != len(responses):
            raise UsageError(f"score: {len(responses)} responses but {len(column)} {name}; give one for each response")
    table = as_input(responses, truths, problem_types, data_types, options, truth_sources, profile=profile)
    return pa.concat_tables(scored(in_chunks(table), profile, workers)).combine_chunks()


def scored(tables: Iterable[pa.Table], profile: str, workers: int | None = None) -> Iterator[pa.Table]:
    """The scores of tables of the `INPUT` columns (the last two may be left out), one table for each, in order."""
    work = partial(_score, profile=profile)
    if workers == 0:
        yield from map(work, tables)
        return
    pool = shared(workers, preload=("corpus.scoring",))
    yield from pool.map(work, tables, _lost, by="problem_type")


def as_input(
    responses: Sequence[Any],
    truths: Sequence[Any],
    problem_types: Sequence[Any],
    data_types: Sequence[Any],
    options: Sequence[Sequence[str] | None] | None = None,
    truth_sources: Sequence[str | None] | None = None,
    *,
    profile: str,
) -> pa.Table:
    """The `INPUT` table out of Python values of any type.

    A response that is not text is none. Under `paper`, whose reference breaks on them, a true answer that is not text
    earns nothing, nor does a row whose data type or problem type is neither text nor empty; elsewhere numbers, lists
    and mappings are true answers in their JSON text.
    """
    released = profile == "paper"
    kinds = zip(problem_types, data_types, strict=True)
    unusable = [any(not isinstance(kind, str) and bool(kind) for kind in pair) for pair in kinds] if released else None
    given = [r if isinstance(r, str) else None for r in responses]
    if unusable is not None:
        given = [None if bad else r for r, bad in zip(given, unusable, strict=True)]
    true = [t if isinstance(t, str) else None if released else _json_text(t) for t in truths]
    nothing: list[None] = [None] * len(given)
    return pa.table(
        [
            _texts(given),
            _texts(true),
            _texts([p if isinstance(p, str) else "" if released else _json_text(p) for p in problem_types]),
            _texts([d if isinstance(d, str) else "" for d in data_types]),
            pa.array(nothing if options is None else list(options), INPUT.field("options").type),
            _texts(nothing if truth_sources is None else list(truth_sources)),
        ],
        schema=INPUT,
    )


def in_chunks(table: pa.Table) -> Iterator[pa.Table]:
    """The table in pieces of bounded rows and bytes (a single row may be larger); at least one piece."""
    for start in range(0, max(table.num_rows, 1), CHUNK_ROWS):
        yield from _halved(table.slice(start, CHUNK_ROWS))


def _halved(table: pa.Table) -> Iterator[pa.Table]:
    if table.nbytes <= CHUNK_BYTES or table.num_rows < 2:
        yield table
    else:
        middle = table.num_rows // 2
        yield from _halved(table.slice(0, middle))
        yield from _halved(table.slice(middle))


def _score(table: pa.Table, profile: str) -> pa.Table:
    """Runs in a worker."""
    from corpus.scoring import score as score_batch  # imports sympy: the caller's process may do without

    return score_batch(table, profile)


def _lost(reason: str) -> dict[str, Any]:
    """An answer that hangs or breaks its reader is wrong; one whose worker died for reasons unknown is not known."""
    earned = None if reason == DIED else 0.0
    return {"format": earned, "accuracy": earned, "structure": earned, "reward": earned, "reason": reason}


def _json_text(value: Any) -> str | None:
    if value is None or isinstance(value, bool):
        return None
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()


def _texts(values: Sequence[str | None]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:  # half of a surrogate pair: JSON can say it, UTF-8 can not
        return pa.array([v if v is None else v.encode("utf-8", "replace").decode("utf-8") for v in values], pa.string())
