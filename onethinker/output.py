"""Rows on standard output: a table or lines for people; JSON, CSV or Parquet for programs."""

import json
import sys
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.cells import cell_len
from rich.console import Console

from onethinker.terminal_table import draw_table, printable

MAX_CELL_CHARS = 400


def show(rows: pa.RecordBatchReader | pa.Table, format: str = "table", title: str | None = None) -> None:
    """Write rows to standard output in one of the formats of `--format`; all but `table` and `json` stream."""
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
    elif format == "lines":
        _lines(reader.schema.names, (row for batch in reader for row in batch.to_pylist()), title)
    else:
        _table(reader, title)


def _table(reader: pa.RecordBatchReader, title: str | None) -> None:
    """A table; on a terminal that is too narrow for one whatever is cut, lines instead."""
    rows = [row for batch in reader for row in batch.to_pylist()]
    cells = [[_cell(value) for value in row.values()] for row in rows]
    # A pipe has no width: make it wide enough that nothing is cut off.
    is_terminal = sys.stdout.isatty()
    console = Console() if is_terminal else Console(width=100_000, soft_wrap=True)
    table = draw_table(reader.schema, cells, title, max_width=console.width if is_terminal else None)
    if table is None:
        _lines(reader.schema.names, rows, title)
    else:
        console.print(table)


def _lines(names: list[str], rows: Iterable[dict[str, Any]], title: str | None) -> None:
    """One `column | value` a line, as psql's \\x; a value of several lines goes on under itself."""
    if title:
        print(title)
    width = max(map(cell_len, names), default=0)
    count = 0
    for count, row in enumerate(rows, 1):
        print(f"-[ RECORD {count} ]")
        for name, value in row.items():
            first, *more = printable(_plain(value)).split("\n")
            print(f"{name}{' ' * (width - cell_len(name))} | {first}".rstrip())
            for line in more:
                print(f"{' ' * width} | {line}".rstrip())
    if not count:
        print("(0 rows)")


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
