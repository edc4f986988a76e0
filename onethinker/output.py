"""Rows on standard output: a table for people; JSON, CSV or Parquet for programs."""

import json
import sys
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

MAX_CELL_CHARS = 400


def show(rows: pa.RecordBatchReader | pa.Table, format: str = "table", title: str | None = None) -> None:
    """Write rows to standard output in one of the formats of `--format`; all but `table` stream."""
    reader = rows.to_reader() if isinstance(rows, pa.Table) else rows
    if format == "parquet":
        with pq.ParquetWriter(sys.stdout.buffer, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
    elif format == "csv":
        import csv

        out = csv.writer(sys.stdout)
        out.writerow(reader.schema.names)
        for batch in reader:
            out.writerows([_plain(v) for v in row.values()] for row in batch.to_pylist())
    elif format == "jsonl":
        for batch in reader:
            for row in batch.to_pylist():
                print(json.dumps(row, ensure_ascii=False, default=_json))
    elif format == "json":
        print(json.dumps([r for b in reader for r in b.to_pylist()], ensure_ascii=False, indent=1, default=_json))
    else:
        _table(reader, title)


def _table(reader: pa.RecordBatchReader, title: str | None) -> None:
    table = Table(title=title, title_justify="left")
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    for field in reader.schema:
        right = any(is_number(field.type) for is_number in numbers)
        table.add_column(field.name, justify="right" if right else "left", overflow="fold")
    for batch in reader:
        for row in batch.to_pylist():
            table.add_row(*(_cell(value) for value in row.values()))
    # A pipe has no width: make it wide enough that nothing is cut off.
    console = Console() if sys.stdout.isatty() else Console(width=100_000, soft_wrap=True)
    console.print(table)


def _cell(value: Any) -> str:
    text = _plain(value)
    return text if len(text) <= MAX_CELL_CHARS else text[: MAX_CELL_CHARS - 1] + "…"


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, list) and value and all(isinstance(pair, tuple) for pair in value):  # Arrow's maps
        return ", ".join(f"{key} {_plain(inner)}" for key, inner in value)
    if isinstance(value, list | dict | tuple):
        return json.dumps(value, ensure_ascii=False, default=_json)
    return str(value)


def _json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        return value.hex()
    return _plain(value)
