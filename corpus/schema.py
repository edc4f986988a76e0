"""The tables of a corpus: their columns, as Arrow schemas, and their keys.

DuckLake enforces no keys; `Transaction.append` does, by an anti-join. Column names are what people type in SQL, so
they are short and the same everywhere.
"""

from dataclasses import dataclass

import pyarrow as pa

FORMAT = 1  # of the folder and the tables; raise it with any change that older code cannot read

ORIGIN = pa.struct([("file", pa.string()), ("row", pa.int64()), ("key", pa.string())])
MEDIUM = pa.struct(
    [
        ("kind", pa.string()),  # image | video
        ("sha256", pa.string()),
        ("width", pa.int32()),  # pixels
        ("height", pa.int32()),
        ("fps", pa.float64()),  # null for images, as are the next two
        ("duration", pa.float64()),  # seconds
        ("frames", pa.int64()),
    ]
)
TIMESTAMP = pa.timestamp("us", tz="UTC")
USD = pa.decimal128(18, 12)  # a cached token of a cheap model costs 1e-8 USD; sums of it must stay exact

_WRITTEN_BY = [("run_id", pa.string()), ("created_at", TIMESTAMP)]


@dataclass(frozen=True)
class Table:
    """One table: its Arrow schema and its key, the columns whose values together are unique."""

    schema: pa.Schema
    key: tuple[str, ...]


TABLES: dict[str, Table] = {
    "samples": Table(
        pa.schema(
            [
                ("sample_id", pa.string()),
                ("task", pa.string()),  # one of the ten families
                ("problem_type", pa.string()),
                ("data_type", pa.string()),
                ("problem", pa.string()),  # verbatim, media placeholders included
                ("options", pa.list_(pa.string())),
                ("answer", pa.string()),  # the body, without <answer> tags
                ("media", pa.list_(MEDIUM)),
                # JSON: masks (COCO RLE), full-rate boxes, references; null if the answer is the whole truth
                ("truth", pa.string()),
                ("truth_origin", pa.string()),  # human | derived | model
                ("source", pa.string()),
                ("split", pa.string()),
                ("licence", pa.string()),
                ("origin", ORIGIN),
                *_WRITTEN_BY,
            ]
        ),
        ("sample_id",),
    ),
    "traces": Table(
        pa.schema(
            [
                ("trace_id", pa.string()),
                ("sample_id", pa.string()),
                ("teacher", pa.string()),  # provider:model
                ("mode", pa.string()),
                ("prompt_id", pa.string()),
                ("params", pa.string()),  # JSON of everything else that shapes the response
                ("attempt", pa.int32()),
                ("response", pa.string()),
                ("thinking", pa.string()),
                ("answer", pa.string()),
                ("finish_reason", pa.string()),
                ("input_tokens", pa.int64()),
                ("output_tokens", pa.int64()),
                ("cached_tokens", pa.int64()),
                ("reasoning_tokens", pa.int64()),
                ("cost_usd", USD),
                ("latency_s", pa.float64()),
                ("request_id", pa.string()),
                ("batch_id", pa.string()),
                ("flag", pa.string()),  # a stable word for an odd response
                ("raw", pa.string()),  # JSON of the provider's response, without media
                ("origin", ORIGIN),  # of traces read from a file
                *_WRITTEN_BY,
            ]
        ),
        ("trace_id",),
    ),
    "verdicts": Table(
        pa.schema(
            [
                ("trace_id", pa.string()),
                ("profile", pa.string()),
                ("verifier", pa.string()),
                ("format", pa.float64()),
                ("structure", pa.float64()),
                ("accuracy", pa.float64()),  # null if it could not be scored; `reason` says why
                ("reward", pa.float64()),
                ("components", pa.map_(pa.string(), pa.float64())),
                ("reason", pa.string()),
                *_WRITTEN_BY,
            ]
        ),
        ("trace_id", "profile", "verifier"),
    ),
    "prompts": Table(
        pa.schema(
            [
                ("prompt_id", pa.string()),
                ("problem_type", pa.string()),
                ("mode", pa.string()),
                ("text", pa.string()),
                *_WRITTEN_BY,
            ]
        ),
        ("prompt_id",),
    ),
    "rejects": Table(
        pa.schema(
            [
                ("reject_id", pa.string()),
                ("reader", pa.string()),
                ("file", pa.string()),
                ("row", pa.int64()),
                ("field", pa.string()),
                ("reason", pa.string()),
                ("detail", pa.string()),
                ("raw", pa.string()),
                *_WRITTEN_BY,
            ]
        ),
        ("reject_id",),
    ),
    "run_events": Table(
        pa.schema(
            [
                ("run_id", pa.string()),
                ("event", pa.string()),  # started, then one of done | failed | interrupted | crashed
                ("kind", pa.string()),
                ("config", pa.string()),  # JSON
                ("code_version", pa.string()),
                ("counts", pa.map_(pa.string(), pa.int64())),
                ("cost_usd", USD),
                ("lake_snapshot", pa.int64()),
                ("host", pa.string()),
                ("error", pa.string()),
                ("created_at", TIMESTAMP),
            ]
        ),
        ("run_id", "event"),
    ),
    "metrics": Table(  # of training runs, one row per number
        pa.schema(
            [
                ("run_id", pa.string()),
                ("step", pa.int64()),  # optimiser steps done
                ("name", pa.string()),
                ("value", pa.float64()),
                ("created_at", TIMESTAMP),
            ]
        ),
        ("run_id", "step", "name"),
    ),
    "claims": Table(
        pa.schema([("trace_id", pa.string()), *_WRITTEN_BY]),
        ("trace_id", "run_id"),
    ),
    "snapshots": Table(
        pa.schema(
            [
                ("name", pa.string()),
                ("version", pa.int32()),
                ("lake_snapshot", pa.int64()),
                ("recipe", pa.string()),
                ("rows", pa.int64()),
                ("counts", pa.map_(pa.string(), pa.int64())),  # rows per task
                ("manifest", pa.string()),  # JSON: the frozen files with their SHA-256s
                ("fingerprint", pa.string()),
                ("parent", pa.string()),  # name@version, or null
                ("code_version", pa.string()),
                *_WRITTEN_BY,
            ]
        ),
        ("name", "version"),
    ),
    "snapshot_rows": Table(
        pa.schema(
            [
                ("name", pa.string()),
                ("version", pa.int32()),
                ("position", pa.int64()),
                ("sample_id", pa.string()),
                ("trace_id", pa.string()),
                ("run_id", pa.string()),
            ]
        ),
        ("name", "version", "position"),
    ),
    "snapshot_drops": Table(
        pa.schema(
            [
                ("name", pa.string()),
                ("version", pa.int32()),
                ("sample_id", pa.string()),
                ("trace_id", pa.string()),  # null if the sample has no trace
                ("reason", pa.string()),
                ("run_id", pa.string()),
            ]
        ),
        ("name", "version", "sample_id", "trace_id"),
    ),
}


def to_table(table: str, rows: "pa.Table | pa.RecordBatch | list[dict[str, object]]") -> pa.Table:
    """`rows` in the columns, order and types of `table`; absent columns are null.

    Raises ValueError for an unknown column or a missing key column, and Arrow's error for a value of another type.
    """
    spec = TABLES[table]
    if isinstance(rows, list):
        unknown = {name for row in rows for name in row} - set(spec.schema.names)
        if unknown:
            raise ValueError(
                f"{table} has no column {', '.join(sorted(unknown))}; it has {', '.join(spec.schema.names)}"
            )
        given = pa.Table.from_pylist(rows, schema=spec.schema)
        missing = [name for name in spec.key if rows and name not in rows[0]]
    else:
        given = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
        unknown = set(given.column_names) - set(spec.schema.names)
        if unknown:
            raise ValueError(
                f"{table} has no column {', '.join(sorted(unknown))}; it has {', '.join(spec.schema.names)}"
            )
        missing = [name for name in spec.key if name not in given.column_names]
        columns = [
            given[field.name].cast(field.type) if field.name in given.column_names else pa.nulls(len(given), field.type)
            for field in spec.schema
        ]
        given = pa.Table.from_arrays(columns, schema=spec.schema)
    if missing:
        raise ValueError(f"rows for {table} need their key {', '.join(spec.key)}; {', '.join(missing)} left out")
    return given
