"""Parquet files from outside: their columns checked, their decoded size bounded, their batches validated."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus.errors import OneThinkerError
from corpus.hub.manifest import CLOCK_SKEW

MAX_VALUE_BYTES = 64 << 20  # of one decoded text; of one medium in a row it is 16 times this
MAX_GROUP_BYTES = 1 << 30  # of the decoded texts of GROUP_ROWS rows, or of the media of MEDIA_ROWS
GROUP_ROWS, MEDIA_ROWS = 4_096, 16
_MEMORY = "4GB"


@contextmanager
def translate(name: str) -> Iterator[None]:
    """Raise what Arrow and DuckDB raise on a broken file as OneThinkerError that names the file."""
    try:
        yield
    except OneThinkerError:
        raise
    except (pa.ArrowException, duckdb.Error, OSError, ValueError, OverflowError, MemoryError) as error:
        first = str(error).strip().split("\n")[0][:200]
        raise OneThinkerError(f"{name}: not readable as Parquet ({type(error).__name__}: {first})") from error


def check_parquet(folder: Path, name: str, schema: pa.Schema, *, has_media: bool = False) -> int:
    """The number of rows of a file whose columns are those of `schema` and whose texts are of a sane size.

    A dictionary-encoded column of a few kilobytes can decode to terabytes; its size is measured without decoding it.
    Raises OneThinkerError naming the file and the column.
    """
    path = folder / name
    with translate(name):
        found = pq.read_schema(path)
        if len(set(found.names)) < len(found.names):
            raise OneThinkerError(f"{name}: a column comes twice")
        for field in schema:
            if field.name not in found.names:
                raise OneThinkerError(f"{name}: no column {field.name}: not a publication of onethinker")
            if (kind := found.field(field.name).type) != field.type:
                raise OneThinkerError(f"{name}: column {field.name} is {kind}, it has to be {field.type}")
        with duckdb.connect(config={"memory_limit": _MEMORY, "threads": 1}) as connection:
            texts = {f.name: _size_of(f.type, f'"{f.name}"') for f in schema if f.name not in ("images", "videos")}
            rows = _check_sizes(connection, path, name, {k: v for k, v in texts.items() if v}, GROUP_ROWS)
            if has_media:
                blobs = {
                    kind: f'list_sum(list_transform("{kind}", m -> octet_length(m."bytes")))'
                    for kind in ("images", "videos")
                }
                _check_sizes(connection, path, name, blobs, MEDIA_ROWS, 16)
    return rows


def _check_sizes(
    connection: duckdb.DuckDBPyConnection, path: Path, name: str, sizes: dict[str, str], rows: int, times: int = 1
) -> int:
    shown = ", ".join(f'coalesce({size}, 0)::bigint as "{column}"' for column, size in sizes.items())
    largest = ", ".join(f'coalesce(max("{column}"), 0)' for column in sizes)
    total = " + ".join(f'"{column}"' for column in sizes)
    counted, *most = connection.execute(
        f"select count(*), {largest} from (select {shown} from read_parquet(?))", [str(path)]
    ).fetchall()[0]
    for column, size in zip(sizes, most, strict=True):
        if size > MAX_VALUE_BYTES * times:
            raise OneThinkerError(
                f"{name}: a value of column {column} is {size:,} bytes long; the limit is {MAX_VALUE_BYTES * times:,}"
            )
    groups = connection.execute(
        f"""select coalesce(max(total), 0) from (
            select sum({total}) as total from (select {shown}, file_row_number as n
            from read_parquet(?, file_row_number => true)) group by n // {rows})""",
        [str(path)],
    ).fetchall()[0][0]
    if groups > MAX_GROUP_BYTES * times:
        raise OneThinkerError(
            f"{name}: {rows:,} rows decode to {groups:,} bytes; the limit is {MAX_GROUP_BYTES * times:,}"
        )
    return int(counted)


def _size_of(kind: pa.DataType, value: str) -> str | None:
    """SQL for the bytes of the texts of a value of an Arrow type; None if it holds none."""
    if pa.types.is_string(kind):
        return f"strlen({value})"
    if pa.types.is_struct(kind):
        parts = [_size_of(kind[i].type, f'{value}."{kind[i].name}"') for i in range(kind.num_fields)]
        return " + ".join(f"coalesce({part}, 0)" for part in parts if part) or None
    if pa.types.is_map(kind):
        return f"coalesce(list_sum(list_transform(map_keys({value}), k -> strlen(k))), 0)"
    if pa.types.is_list(kind):
        inner = _size_of(kind.value_type, "x")
        return f"list_sum(list_transform({value}, x -> {inner}))" if inner else None
    return None


def read_batches(folder: Path, name: str, columns: list[str], rows: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The file's batches, each with the number of its first row (from 1); texts are UTF-8, times are sane."""
    first = 1
    with translate(name), pq.ParquetFile(folder / name) as file:
        for batch in file.iter_batches(rows, columns=columns):
            batch.validate(full=True)
            _check_times(batch, name, first)
            yield first, batch
            first += len(batch)


def _check_times(batch: pa.RecordBatch, name: str, first: int) -> None:
    last = int((datetime.now(UTC) + CLOCK_SKEW).timestamp() * 1e6)
    for field in batch.schema:
        if pa.types.is_timestamp(field.type):
            micros = batch[field.name].cast(pa.int64())
            wrong = pc.indices_nonzero(pc.fill_null(pc.or_(pc.less(micros, 0), pc.greater(micros, last)), False))
            if len(wrong):
                raise OneThinkerError(
                    f"{name}, row {first + wrong[0].as_py()}, {field.name}: the time lies before 1970 or in the future"
                )
