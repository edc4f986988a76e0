"""The corpus: samples, traces, verdicts and dataset versions in one DuckLake, read with SQL, written in transactions.

corpus = Corpus.open("corpus-data")
corpus.sql("select task, count(*) from samples group by 1").show()
with corpus.run("ingest", {"reader": "onethinker"}) as run, run.transaction("first thousand") as tx:
    tx.append("samples", table)
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from corpus.errors import OneThinkerError
from corpus.location import Location, told_as_ours
from corpus.schema import TABLES, to_table
from corpus.views import SHOWN, VIEWS

if TYPE_CHECKING:
    from corpus.media import MediaStore
    from corpus.runs import Run
    from corpus.snapshots import Snapshots

_SPARING = {
    "threads": 1,
    "enable_external_file_cache": "false",
    "allocator_background_threads": "true",
    "allocator_bulk_deallocation_flush_threshold": "'1MB'",
    "partitioned_write_flush_threshold": 8192,
}
_RENEW_EVERY = 100  # commits
Rows: TypeAlias = pa.Table | pa.RecordBatch | list[dict[str, Any]]


class Corpus:
    """One corpus, open. Its methods may be called from several threads; it does not survive a fork.

    Reading and writing use connections of their own: what `sql` reads cannot write, and always sees whole commits.
    """

    def __init__(self, location: Location, *, lake_snapshot: int | None = None) -> None:
        self.location = location
        self.root: Path = location.root
        self.lake_snapshot = lake_snapshot
        self._writer: duckdb.DuckDBPyConnection | None = None
        self._commits = 0  # since the connections were made
        self._is_sparing = False
        self._lock = location.write_lock()
        self._opening = threading.Lock()
        self._reader = self._reading()

    @classmethod
    def create(cls, url: str | Path, *, catalog: str | None = None) -> "Corpus":
        """Make an empty corpus at `url` and open it; its catalog is a file in it, or `postgres:dbname=… host=…`.

        Raises OneThinkerError where something is there already.
        """
        location = Location.of(url, catalog)
        location.create()
        return cls(location)

    @classmethod
    def open(cls, url: str | Path, *, at: str | None = None) -> "Corpus":
        """Open the corpus at `url`; with `at="name@version"`, every table as it stood when that snapshot was made.

        Raises OneThinkerError where there is none, or one that this version of the code cannot read.
        """
        location = Location.of(url)
        location.check()
        corpus = cls(location)
        if at is None:
            return corpus
        with corpus:
            lake_snapshot = corpus.snapshots.get(at).lake_snapshot
        return cls(location, lake_snapshot=lake_snapshot)

    @property
    def media(self) -> "MediaStore":
        """The pictures and videos, by their SHA-256."""
        from corpus.media import MediaStore

        return MediaStore(str(self.root / "media"))

    @property
    def snapshots(self) -> "Snapshots":
        """The named, immutable dataset versions."""
        from corpus.snapshots import Snapshots

        return Snapshots(self)

    def sql(self, query: str, params: Sequence[Any] | dict[str, Any] | None = None) -> duckdb.DuckDBPyRelation:
        """A DuckDB relation over the tables and views; nothing it says can change the corpus.

        It is evaluated when it is fetched (`.df()`, `.arrow()`, `.pl()`, `.fetchall()`). Raises OneThinkerError, with
        DuckDB's near names, for a column or table that is not there.
        """
        from corpus.runs import live_runs

        cursor = self._reader.cursor()
        with told_as_ours("SQL"):
            if "runs" in query:
                with self._opening:
                    cursor.execute("begin; delete from live_runs")
                    cursor.executemany(
                        "insert into live_runs values (?)", [[r] for r in live_runs(self.root)] or [[""]]
                    )
                    cursor.execute("commit")
            relation = cursor.sql(query, params=params)
        if relation is None:
            raise OneThinkerError(
                "SQL: this statement gives no rows; the corpus is open for reading: ask with `select`"
            )
        return relation

    def append(self, table: str, rows: Rows) -> int:
        """Add the rows whose key is new, in one transaction; returns how many those were."""
        with self.transaction(f"append to {table}") as tx:
            return tx.append(table, rows)

    @contextmanager
    def transaction(self, message: str, *, run_id: str | None = None) -> Iterator["Transaction"]:
        """One commit over several tables: all of the block's appends, or none if it is left by an exception."""
        if self.lake_snapshot is not None:
            raise OneThinkerError("this corpus is open as it stood at a snapshot; open it without `at` to write")
        with self._lock:
            writer = self._writing()
            writer.execute("begin")
            try:
                yield Transaction(writer, run_id)
                writer.execute("call lake.set_commit_message(?, ?)", [run_id or "onethinker", message])
            except BaseException:
                writer.execute("rollback")
                raise
            with told_as_ours("the commit failed, and nothing of it was written"):
                writer.execute("commit")
            self._commits += 1

    @contextmanager
    def exclusively(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A writing connection for maintenance, with every other writer kept out for the time of the block."""
        with self._lock, told_as_ours("maintenance"):
            connection = self.location.connect(read_only=False)
            try:
                yield connection
            finally:
                connection.close()

    @contextmanager
    def sparing(self) -> Iterator[None]:
        """For long work that reads and writes little at a time: within the block it takes little memory.

        By default DuckDB has a thread for each processor, each with buffers of its own, keeps what it has read, and
        returns what it has freed when there is more to do.
        """
        self._spare(True)
        try:
            yield
        finally:
            self._spare(False)

    def _spare(self, wanted: bool) -> None:
        with self._lock:  # nobody is in the midst of a transaction, or renews the connections
            self._is_sparing = wanted
            for connection in filter(None, (self._reader, self._writer)):
                _set_sparing(connection, wanted)

    @contextmanager
    def run(self, kind: str, config: dict[str, Any]) -> Iterator["Run"]:
        """Do the block as one recorded run of `kind`: see `corpus.runs.Run`."""
        from corpus.runs import recorded

        with recorded(self, kind, config) as run:
            yield run

    def _reading(self) -> duckdb.DuckDBPyConnection:
        reader = self.location.connect(read_only=True, lake_snapshot=self.lake_snapshot)
        reader.execute("create table live_runs (run_id varchar)")
        missing = self.location.missing_tables(reader)
        if missing and self.lake_snapshot is None:  # a corpus made before these tables were thought of
            with self.transaction(f"add {', '.join(missing)}"):
                self.location.add_tables(self._writing(), missing)
            missing = []
        for name, table in TABLES.items():
            if name in missing:  # it did not exist at that snapshot: empty
                reader.register("columns_of", table.schema.empty_table())
                reader.execute(f"create table {name} as from columns_of")
                continue
            reader.execute(f"create view {name} as {SHOWN.get(name, f'from lake.{name}')}")
        for name, query in VIEWS.items():
            reader.execute(f"create view {name} as {query}")
        if self._is_sparing:
            _set_sparing(reader, True)
        return reader

    def _writing(self) -> duckdb.DuckDBPyConnection:
        """The writing connection, for whoever holds the lock."""
        if self._writer is not None and self._commits >= _RENEW_EVERY:
            # DuckLake keeps statistics of all tables for each commit that a connection made or saw (ducklake issue
            # 1136), some 40 kB. They go with the connections; the reader's once nobody holds what it gave.
            self._writer.close()
            self._writer = None
            self._reader = self._reading()
        if self._writer is None:
            self._writer, self._commits = self.location.connect(read_only=False), 0
            if self._is_sparing:
                _set_sparing(self._writer, True)
        return self._writer

    def close(self) -> None:
        """Close both connections; relations already handed out can no longer be fetched."""
        self._reader.close()
        if self._writer is not None:
            self._writer.close()

    def __enter__(self) -> "Corpus":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _set_sparing(connection: duckdb.DuckDBPyConnection, wanted: bool) -> None:
    cursor = connection.cursor()  # another thread may be reading what its own statement gave
    for name, value in _SPARING.items():
        cursor.execute(f"set global {name} = {value}" if wanted else f"reset global {name}")


class Transaction:
    """The open end of `Corpus.transaction`: append to as many tables as the step needs."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, run_id: str | None) -> None:
        self._connection = connection
        self.run_id = run_id

    def append(self, table: str, rows: Rows) -> int:
        """Add the rows whose key the table does not hold yet; returns how many those were.

        `run_id` and `created_at` are filled in where they are null. The first of several rows with one key wins. A
        killed writer may have committed without knowing it, so every write goes through this anti-join.
        """
        spec = TABLES[table]
        given = _stamped(to_table(table, rows), self.run_id)
        if not len(given):
            return 0
        keys = ", ".join(spec.key)
        same = " and ".join(f"t.{key} is not distinct from g.{key}" for key in spec.key)
        names = ", ".join(f'"{name}"' for name in spec.schema.names)
        with told_as_ours(f"writing to {table}"):
            try:
                # Which rows are new is found by their keys alone: the rest is copied once, into the data file.
                places = pa.array(range(len(given)), pa.int64())
                self._connection.register("given_keys", given.select(spec.key).append_column("_position", places))
                new = self._connection.execute(
                    f"""select min(_position) as first from given_keys g
                        where not exists (select 1 from lake.{table} t where {same}) group by {keys} order by first"""
                ).to_arrow_table()["first"]
                if len(new) < len(given):
                    given = given.take(new)
                if len(given):
                    self._connection.register("given", given)
                    self._connection.execute(f"insert into lake.{table} select {names} from given")
            finally:
                self._connection.unregister("given_keys")
                self._connection.unregister("given")
        return len(given)

    def register(self, name: str, table: pa.Table) -> None:
        """Let SQL inside this transaction read an Arrow table under `name`."""
        self._connection.register(name, table)

    def sql(self, query: str, params: Sequence[Any] | dict[str, Any] | None = None) -> duckdb.DuckDBPyRelation:
        """Read inside the transaction, its own appends included; tables are `lake.samples`, `lake.traces` and so on."""
        with told_as_ours("SQL"):
            return self._connection.sql(query, params=params)


def _stamped(given: pa.Table, run_id: str | None) -> pa.Table:
    for name, value in (("run_id", run_id), ("created_at", datetime.now(UTC))):
        if name in given.column_names and given[name].null_count and value is not None:
            where = given.column_names.index(name)
            kind = given.schema.field(name).type
            given = given.set_column(where, given.schema.field(name), pc.fill_null(given[name], pa.scalar(value, kind)))
    return given
