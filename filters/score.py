"""Scores for responses against true answers: batches through the process pool, one row of numbers a response.

    from filters import score
    score(["<think>…</think><answer>B</answer>"], ["B"], ["multiple choice"], ["image"])["reward"]

The rules are those of `corpus.scoring`; here they get processes, time limits, and inputs that are not text.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, partial
from itertools import islice
from typing import Any

import pyarrow as pa

from corpus.errors import UsageError
from filters.pool import DIED, get_pool

PRELOAD = ("corpus.scoring",)  # one warm pool serves all of filters
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

    `truths` are answer bodies, with or without `<answer>` tags. `options` are the choices of multiple choice,
    `truth_sources` the JSON of `samples.truth`, where there are any. A null number could not be scored and its reason
    says why. `workers` processes stay warm for the next call (all processors when None); with 0 the work is done in
    this process, without time limits.

    Raises UsageError for columns of unlike lengths, and OneThinkerError for an unknown profile or, under `strict`, an
    unknown problem type.
    """
    nothing = [None] * len(responses)
    columns: dict[str, Sequence[Any]] = {
        "response": responses,
        "ground_truth": truths,
        "problem_type": problem_types,
        "data_type": data_types,
        "options": nothing if options is None else options,
        "truth": nothing if truth_sources is None else truth_sources,
    }
    for name, column in columns.items():
        if len(column) != len(responses):
            raise UsageError(f"score: {len(responses)} responses but {len(column)} of {name}; give one for each")
    rows = (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))
    tables = (encode_rows(chunk, profile) for chunk in _batched(rows))
    return pa.concat_tables(score_tables(tables, profile, workers)).combine_chunks()


def score_tables(tables: Iterable[pa.Table], profile: str, workers: int | None = None) -> Iterator[pa.Table]:
    """The scores of tables of the `INPUT` columns (the last two may be left out), one table for each, in order."""
    work = partial(_score, profile=profile)
    if workers == 0:
        yield from map(work, tables)
        return
    pool = get_pool(workers, preload=PRELOAD)
    pool.start()
    yield from pool.map(work, tables, _lost, by="problem_type", prepare=partial(warm, profile=profile))


def encode_rows(rows: list[dict[str, Any]], profile: str) -> pa.Table:
    """The `INPUT` table of rows whose values may be of any type.

    Outside `paper`, whose reference gives them nothing, true answers that are numbers, lists or mappings stand for
    their JSON text.
    """
    from corpus.scoring import table_of

    if profile != "paper":
        rows = [row | {"ground_truth": _json_text(row["ground_truth"])} for row in rows]
    return table_of(row | {"truth": _json_text(row.get("truth"))} for row in rows)


def split_table(table: pa.Table) -> Iterator[pa.Table]:
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


@cache
def warm(problem_type: str, profile: str) -> None:
    """Score a task's own examples, once in each worker: what they import (sympy, say) is paid for off the clock."""
    from corpus.response import wrap
    from corpus.scoring import score as score_batch
    from corpus.scoring import table_of
    from corpus.task import format_answer
    from corpus.tasks import tasks

    known = [task for name, task in tasks().items() if name.casefold() == (problem_type or "").casefold()]
    rows = [
        {
            "response": wrap("", format_answer(example.answer)),
            "ground_truth": format_answer(example.truth),
            "problem_type": task.name,
            "data_type": example.data_type,
            "options": example.options,
        }
        for task in known
        for example in task.examples
    ]
    if rows:
        score_batch(table_of(rows), profile)


def _lost(reason: str) -> dict[str, Any]:
    """An answer that hangs or breaks its reader is wrong; one whose worker died for reasons unknown is not known."""
    earned = None if reason == DIED else 0.0
    return {"format": earned, "accuracy": earned, "structure": earned, "reward": earned, "reason": reason}


def _json_text(value: Any) -> str | None:
    if value is None or isinstance(value, str | bool):
        return value if isinstance(value, str) else None
    return json.dumps(value, default=str)


def _batched(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    yield list(islice(rows, CHUNK_ROWS))  # perhaps empty: the empty input has an empty table
    while chunk := list(islice(rows, CHUNK_ROWS)):
        yield chunk
