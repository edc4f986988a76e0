"""The lake: DuckDB connections to one DuckLake, read with SQL, written in transactions that append new rows.

Readers and writers use connections of their own: what `Lake.sql` reads cannot write, and always sees whole commits.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from corpus import checksums, rows_by_id
from corpus.connection import restrict, translate_errors
from corpus.errors import OneThinkerError
from corpus.location import Location, add_tables, missing_tables
from corpus.schema import TABLES, to_table
from corpus.sql_gate import check_query
from corpus.views import define_table, define_views

# By default DuckDB has a thread per processor, each with its own buffers, caches what it has read, and returns freed
# memory when there is more to do.
_LOW_MEMORY = {
    "threads": 1,
    "enable_external_file_cache": "false",
    "allocator_background_threads": "true",
    "allocator_bulk_deallocation_flush_threshold": "'1MB'",
    "partitioned_write_flush_threshold": 8192,
}
_RENEW_EVERY = 100  # commits
Rows: TypeAlias = pa.Table | pa.RecordBatch | list[dict[str, Any]]
Params: TypeAlias = Sequence[Any] | dict[str, Any] | None


class Lake:
    """One open DuckLake. Its methods may be called from several threads; it does not survive a fork."""

    def __init__(self, location: Location, *, lake_snapshot: int | None = None) -> None:
        self.location = location
        self.root: Path = location.root
        self.lake_snapshot = lake_snapshot
        self._writer: duckdb.DuckDBPyConnection | None = None
        self._commits = 0  # since the connections were made
        self._has_low_memory = False
        self._write_lock = location.write_lock()
        self._views_lock = threading.Lock()
        self._reader = self._connect_reader()

    def sql(self, query: str, params: Params = None) -> duckdb.DuckDBPyRelation:
        """A DuckDB relation over the tables and views of `corpus.views`; no statement can change the lake.

        It is evaluated when it is fetched (`.df()`, `.arrow()`, `.pl()`, `.fetchall()`). Raises OneThinkerError, with
        DuckDB's suggestions, for an unknown column or table.
        """
        if self._absent and self.lake_snapshot is None:
            self._show_added_tables()
        with translate_errors("SQL"):
            relation = self._reader.cursor().sql(query, params=params)
        if relation is None:
            raise OneThinkerError("SQL: this statement returns no rows; the corpus is open for reading: use `select`")
        return relation

    def query(self, query: str, *, files: bool = False) -> duckdb.DuckDBPyRelation:
        """`sql` for text that somebody else wrote: it passes `corpus.sql_gate` first, which refuses all but SELECT.

        With `files` it may read files too. Raises UsageError naming what is refused.
        """
        check_query(query, files=files)
        return self.sql(query)

    def restrict_files(self) -> None:
        """Take from the reading connection, for good, all files but the lake's: a second wall behind the gate.

        The settings alone are not enough: sqlite_scanner opens files past them.
        """
        restrict(self._reader, self.root / "data")

    def rows_by_id(
        self,
        table: str,
        ids: pa.Table,
        columns: str = "*",
        rest: str = "",
        params: dict[str, Any] | None = None,
        batch_rows: int = rows_by_id.BATCH_ROWS,
    ) -> pa.RecordBatchReader:
        """Rows of `table` by their ids, in bounded memory: see `corpus.rows_by_id.read`."""
        with translate_errors("SQL"):
            return rows_by_id.read(self._reader.cursor(), table, ids, columns, rest, params, batch_rows)

    def append(self, table: str, rows: Rows) -> int:
        """Add the rows whose key is new, in one transaction; returns how many those were."""
        with self.transaction(f"append to {table}") as tx:
            return tx.append(table, rows)

    @contextmanager
    def transaction(self, message: str, *, run_id: str | None = None) -> Iterator["Transaction"]:
        """One commit over several tables: all of the block's appends, or none if an exception leaves it."""
        if self.lake_snapshot is not None:
            raise OneThinkerError("this corpus is open as it stood at a snapshot; open it without `at` to write")
        with self._write_lock:
            writer = self._connect_writer()
            before = checksums.list_data_files(self.root)
            writer.execute("begin")
            try:
                yield Transaction(writer, run_id)
                writer.execute("call lake.set_commit_message(?, ?)", [run_id or "onethinker", message])
                checksums.record(self.root, checksums.list_data_files(self.root) - before)
            except BaseException:
                writer.execute("rollback")
                raise
            with translate_errors("the commit failed, and nothing of it was written"):
                writer.execute("commit")
            self._commits += 1

    @contextmanager
    def exclusive_connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A writing connection for maintenance; every other writer waits until the block ends."""
        with self._write_lock, translate_errors("maintenance"):
            connection = self.location.connect(read_only=False)
            before = checksums.list_data_files(self.root)
            try:
                yield connection
            finally:
                checksums.record(self.root, checksums.list_data_files(self.root) - before)
                connection.close()

    @contextmanager
    def write_lock(self) -> Iterator[None]:
        """Keep every other writer waiting until the block ends."""
        with self._write_lock:
            yield

    @contextmanager
    def low_memory(self) -> Iterator[None]:
        """Within the block DuckDB keeps its memory small, at the cost of speed: for long work in small steps."""
        self._set_low_memory(True)
        try:
            yield
        finally:
            self._set_low_memory(False)

    def _set_low_memory(self, wanted: bool) -> None:
        with self._write_lock:  # no transaction is open, and no connection is being renewed
            self._has_low_memory = wanted
            for connection in filter(None, (self._reader, self._writer)):
                _configure_memory(connection, wanted)

    def _connect_reader(self) -> duckdb.DuckDBPyConnection:
        reader = self.location.connect(read_only=True, lake_snapshot=self.lake_snapshot)
        self._absent = missing_tables(reader)
        define_views(reader, self.root, self._absent)
        if self._has_low_memory:
            _configure_memory(reader, True)
        return reader

    def _show_added_tables(self) -> None:
        with self._views_lock, translate_errors("SQL"):
            cursor = self._reader.cursor()
            absent = missing_tables(cursor)
            for name in set(self._absent) - set(absent):
                define_table(cursor, name)
            self._absent = absent

    def _connect_writer(self) -> duckdb.DuckDBPyConnection:
        """The writing connection, for the holder of the write lock; it adds the tables that the lake lacks."""
        if self._writer is not None and self._commits >= _RENEW_EVERY:
            # DuckLake keeps statistics of all tables for each commit that a connection made or saw (ducklake issue
            # 1136), some 40 kB. They go with the connections; the reader's when its last relation is gone.
            self._writer.close()
            self._writer = None
            self._reader = self._connect_reader()
        if self._writer is None:
            writer = self.location.connect(read_only=False)
            if absent := missing_tables(writer):  # the lake was made by an older version
                writer.execute("begin")
                add_tables(writer, absent)
                writer.execute("call lake.set_commit_message('onethinker', ?)", [f"add {', '.join(absent)}"])
                writer.execute("commit")
            if self._has_low_memory:
                _configure_memory(writer, True)
            self._writer, self._commits = writer, 0
        return self._writer

    def close(self) -> None:
        """Close both connections; relations already handed out can no longer be fetched."""
        self._reader.close()
        if self._writer is not None:
            self._writer.close()


def _configure_memory(connection: duckdb.DuckDBPyConnection, low: bool) -> None:
    cursor = connection.cursor()  # another thread may be reading what its own statement gave
    for name, value in _LOW_MEMORY.items():
        cursor.execute(f"set global {name} = {value}" if low else f"reset global {name}")


class Transaction:
    """The open transaction of `Lake.transaction`: append to as many tables as the step needs."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, run_id: str | None) -> None:
        self._connection = connection
        self.run_id = run_id

    def append(self, table: str, rows: Rows) -> int:
        """Add the rows whose key the table does not hold yet, by an anti-join; returns how many those were.

        `run_id` and `created_at` are filled in where they are null. The first of several rows with one key wins. A
        killed writer may have committed without knowing it, so writing again must add nothing.
        """
        spec = TABLES[table]
        rows = _fill_provenance(to_table(table, rows), self.run_id)
        if not len(rows):
            return 0
        keys = ", ".join(spec.key)
        same = " and ".join(f"t.{key} is not distinct from g.{key}" for key in spec.key)
        names = ", ".join(f'"{name}"' for name in spec.schema.names)
        with translate_errors(f"writing to {table}"):
            try:
                # The anti-join sees the keys alone: the rest is copied once, into the data file.
                positions = pa.array(range(len(rows)), pa.int64())
                self._connection.register("given_keys", rows.select(spec.key).append_column("_position", positions))
                new = self._connection.execute(
                    f"""select min(_position) as first from given_keys g
                        where not exists (select 1 from lake.{table} t where {same}) group by {keys} order by first"""
                ).to_arrow_table()["first"]
                if len(new) < len(rows):
                    rows = rows.take(new)
                if len(rows):
                    self._connection.register("given", rows)
                    self._connection.execute(f"insert into lake.{table} select {names} from given")
            finally:
                self._connection.unregister("given_keys")
                self._connection.unregister("given")
        return len(rows)

    def register(self, name: str, table: pa.Table) -> None:
        """Let SQL inside this transaction read an Arrow table under `name`."""
        self._connection.register(name, table)

    def rows_by_id(
        self,
        table: str,
        ids: pa.Table,
        columns: str = "*",
        rest: str = "",
        params: dict[str, Any] | None = None,
        batch_rows: int = rows_by_id.BATCH_ROWS,
    ) -> pa.RecordBatchReader:
        """Rows of `table` by their ids, in bounded memory: see `corpus.rows_by_id.read`."""
        with translate_errors("SQL"):
            return rows_by_id.read(self._connection, table, ids, columns, rest, params, batch_rows)

    def sql(self, query: str, params: Params = None) -> duckdb.DuckDBPyRelation:
        """Read inside the transaction, its own appends included; tables are `lake.samples`, `lake.traces` and so on."""
        with translate_errors("SQL"):
            return self._connection.sql(query, params=params)


def _fill_provenance(rows: pa.Table, run_id: str | None) -> pa.Table:
    for name, value in (("run_id", run_id), ("created_at", datetime.now(UTC))):
        if name in rows.column_names and rows[name].null_count and value is not None:
            i = rows.column_names.index(name)
            field = rows.schema.field(name)
            rows = rows.set_column(i, field, pc.fill_null(rows[name], pa.scalar(value, field.type)))
    return rows
