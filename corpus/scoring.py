"""Scoring of a table of responses: an Arrow table in, an Arrow table out, rows in the same order.

Rows are grouped by task, and each task scores its rows as one batch. A profile names a way to score: how a response is
parsed, which function scores a type, and what an unreadable truth scores.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from corpus.errors import UsageError, near
from corpus.response import ANSWER, block, final_answer, split_released
from corpus.scores import Batch, Floats, Scores, wrong_as_released
from corpus.tasks import task, tasks

VERSION = 1  # of what all tasks share: parsing a response, summing a reward; verdicts name it
ACCURACY_SHARE, FORMAT_SHARE = 0.9, 0.1
ROWS = 2048  # scored at a time: they fit the processor's cache, and a long table costs no memory
COMPONENTS = pa.map_(pa.string(), pa.float64())
SCHEMA = pa.schema(
    [
        ("format", pa.float64()),
        ("accuracy", pa.float64()),
        ("structure", pa.float64()),
        ("reward", pa.float64()),
        ("components", COMPONENTS),
        ("reason", pa.string()),
    ]
)

Read = tuple[float, str | None, str | None]  # format, answer body, reason if there is no body


@dataclass(frozen=True)
class Profile:
    """A named way to score."""

    read: Callable[[str | None], Read]
    of_type: Callable[[str], Callable[[Batch], Scores]]
    missing_is_null: bool  # a NaN means "could not be scored" and becomes null; else it is a score like any other


def _read_strictly(response: str | None) -> Read:
    return final_answer(response or "")


def _read_as_released(response: str | None) -> Read:
    if response is None:
        return 0.0, None, "not_text"
    return *split_released(response), None


def _strict(name: str) -> Callable[[Batch], Scores]:
    return task(name).strict


def _released(name: str) -> Callable[[Batch], Scores]:
    """The released reward folds case, and gives a type that it does not know a wrong answer's score."""
    known = {found.name.lower(): found.paper for found in tasks().values()}
    return known.get(name.lower(), wrong_as_released)


PROFILES = {
    "strict": Profile(_read_strictly, _strict, missing_is_null=True),
    "paper": Profile(_read_as_released, _released, missing_is_null=False),
}


def find_profile(name: str) -> Profile:
    """The profile of that name. Raises UsageError, with near names, if there is none."""
    if name not in PROFILES:
        raise UsageError(f"unknown profile {name!r}{near(name, PROFILES)}; there are: {', '.join(PROFILES)}")
    return PROFILES[name]


def score(table: pa.Table, profile: str = "strict") -> pa.Table:
    """Scores of a table with response, ground_truth, problem_type, data_type and perhaps options and truth (JSON text).

    Returns format, accuracy, structure, reward, components and reason in the same order. A null accuracy and reward
    mean that the row could not be scored; its reason says why. Raises UsageError for an unknown profile and, under
    `strict`, OneThinkerError for an unknown problem_type.
    """
    rules = find_profile(profile)
    slices = [_score_slice(table.slice(start, ROWS), rules) for start in range(0, table.num_rows, ROWS)]
    return pa.concat_tables(slices) if slices else SCHEMA.empty_table()


def _score_slice(table: pa.Table, rules: Profile) -> pa.Table:
    count = table.num_rows
    columns = _columns(table)
    reads = [rules.read(response) for response in _each(table.column("response"))]
    form = np.array([read[0] for read in reads], dtype=np.float64)
    accuracy, structure = np.zeros(count), np.zeros(count)
    reasons: list[str | None] = [read[2] for read in reads]
    parts: list[tuple[np.ndarray[Any, Any], dict[str, Floats]]] = []
    for name, rows in _by_type(columns["problem_type"]).items():
        batch = _batch(columns, reads, rows)
        scores = rules.of_type(name)(batch)
        accuracy[rows], structure[rows] = scores.accuracy, scores.structure
        for row, reason in zip(rows.tolist(), scores.reasons, strict=True):
            if reason:
                reasons[row] = reason
        if scores.components:
            parts.append((rows, scores.components))
    if not rules.missing_is_null:
        unread = np.array([read[1] is None for read in reads], dtype=bool)
        accuracy[unread] = 0.0
    structure = np.where(form > 0, structure, 0.0)
    reward = ACCURACY_SHARE * accuracy + FORMAT_SHARE * form + structure
    null = np.isnan(accuracy) if rules.missing_is_null else None
    return pa.table(
        [
            pa.array(form),
            pa.array(accuracy, mask=null),
            pa.array(structure),
            pa.array(reward, mask=null),
            _components(count, parts),
            pa.array(reasons, pa.string()),
        ],
        schema=SCHEMA,
    )


def _each(column: pa.ChunkedArray) -> Iterator[str | None]:
    """The texts of a column, few in memory at a time: responses are long, and only their answers are kept."""
    for start in range(0, len(column), 128):
        yield from column.slice(start, 128).to_pylist()


def _columns(table: pa.Table) -> dict[str, list[Any]]:
    found = {name: table.column(name).to_pylist() for name in ("ground_truth", "problem_type", "data_type")}
    for name in ("options", "truth"):
        found[name] = table.column(name).to_pylist() if name in table.column_names else []
    return found


def _by_type(names: list[str | None]) -> dict[str, np.ndarray[Any, Any]]:
    groups: dict[str, list[int]] = {}
    if len(set(names)) == 1:
        return {names[0] or "": np.arange(len(names))}
    for row, name in enumerate(names):
        groups.setdefault(name or "", []).append(row)
    return {name: np.array(rows, dtype=np.intp) for name, rows in groups.items()}


def _batch(columns: dict[str, list[Any]], reads: list[Read], rows: np.ndarray[Any, Any]) -> Batch:
    index = rows.tolist()
    truths = [columns["ground_truth"][row] for row in index]
    return Batch(
        [reads[row][1] for row in index],
        [(block(truth) or truth) if truth and ANSWER in truth else truth for truth in truths],
        [columns["data_type"][row] or "" for row in index],
        [columns["options"][row] for row in index] if columns["options"] else (),
        [columns["truth"][row] for row in index] if columns["truth"] else (),
    )


def _components(count: int, parts: list[tuple[np.ndarray[Any, Any], dict[str, Floats]]]) -> pa.Array:
    """The map column: each row has the components of its own task, those that are NaN left out."""
    sizes = np.zeros(count, dtype=np.int64)
    for rows, components in parts:
        sizes[rows] += sum((~np.isnan(values)).astype(np.int64) for values in components.values())
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    keys, values = np.zeros(offsets[-1], dtype=np.int32), np.zeros(offsets[-1])
    names: list[str] = []
    for rows, components in parts:
        place = offsets[rows]
        for name, column in components.items():
            there = ~np.isnan(column)
            keys[place[there]] = len(names)
            values[place[there]] = column[there]
            place = place + there
            names.append(name)
    words = pa.DictionaryArray.from_arrays(pa.array(keys), pa.array(names, pa.string())).cast(pa.string())
    return pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), words, pa.array(values))


def table_of(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """A table for `score` from parsed JSON lines with fields of any type.

    The released reward takes an absent or falsy field for the empty text, and gives 0 to a row whose response, type or
    data_type is not text; here such a row's response is null. A truth that is not text is null too.
    """
    columns: dict[str, list[Any]] = {name: [] for name in ("response", "ground_truth", "problem_type", "data_type")}
    options, truth = [], []
    for row in rows:
        fields = {name: row.get(name) or "" for name in columns}
        if not all(isinstance(fields[name], str) for name in ("response", "problem_type", "data_type")):
            fields["response"] = None
        for name, column in columns.items():
            value = fields[name]
            column.append(_encodable(value) if isinstance(value, str) else None)
        listed = row.get("options")
        options.append([str(option) for option in listed] if isinstance(listed, list) and listed else None)
        truth.append(row["truth"] if isinstance(row.get("truth"), str) else None)
    arrays = {name: pa.array(column, pa.string()) for name, column in columns.items()}
    return pa.table(
        {**arrays, "options": pa.array(options, pa.list_(pa.string())), "truth": pa.array(truth, pa.string())}
    )


def _encodable(text: str) -> str:
    """A text that Arrow can hold: lone surrogates, which UTF-8 cannot encode, become U+FFFD."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode() if _has_lone_surrogate(text) else text


def _has_lone_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
