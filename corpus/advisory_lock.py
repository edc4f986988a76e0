"""A lock in a PostgreSQL database: one writer at a time across machines."""

import threading

import duckdb

from corpus.connection import load_extension, quote, translate_errors

_KEY = 0x6F6E657468696E6B  # any number: the lock's name among a database's


class AdvisoryLock:
    """A context manager that waits for the lock, across threads, processes and machines; not reentrant.

    The database releases it when the holder's connection ends.
    """

    def __init__(self, postgres: str) -> None:
        self._postgres = postgres
        self._threads = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None

    def __enter__(self) -> None:
        self._threads.acquire()
        try:
            with translate_errors("waiting for the corpus's other writers"):
                if self._connection is None:
                    self._connection = duckdb.connect(config={"autoinstall_known_extensions": "false", "threads": 1})
                    load_extension(self._connection, "postgres_scanner")
                    self._connection.execute(f"attach '{quote(self._postgres)}' as pg (type postgres)")
                self._connection.execute("begin")
                query = f"select pg_advisory_xact_lock({_KEY})::text"
                self._connection.execute(f"from postgres_query('pg', '{query}')").fetchall()
        except BaseException:
            self._connection = None  # lost or in an unknown state: the next attempt connects anew
            self._threads.release()
            raise

    def __exit__(self, *_: object) -> None:
        try:
            if self._connection is not None:
                self._connection.execute("rollback")
        except duckdb.Error:
            self._connection = None  # the connection is lost, and the lock with it
        finally:
            self._threads.release()
