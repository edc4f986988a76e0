"""Where a corpus lies: the folder that its name means, the DuckLake in it, and the connections to that lake.

corpus.json       what this folder is and its format
catalog.sqlite    DuckLake's SQL catalog, unless corpus.json names a PostgreSQL database for it
data/             DuckLake's Parquet files
media/            pictures and videos, named by their SHA-256
snapshots/        frozen dataset versions
runs/             one lock file for each run that is alive
"""

import importlib.util
import json
import shutil
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
from filelock import FileLock

from corpus.errors import OneThinkerError, UsageError
from corpus.schema import FORMAT, TABLES

MARK = "corpus.json"
_LOCK = 0x6F6E657468696E6B  # any number: the lock's name among a database's


@dataclass(frozen=True)
class Location:
    """An absolute corpus folder and the paths inside it.

    `postgres` is the connection string of its catalog's database, where that is in PostgreSQL: then several machines
    that share the folder write without waiting for a file system's locks.
    """

    root: Path
    postgres: str | None = None

    @classmethod
    def of(cls, url: str | Path, catalog: str | None = None) -> "Location":
        """The location that `url` names: a folder's path or its `file://` URL.

        `catalog` is for one that is to be made: `postgres:dbname=… host=…`; of one that is there its mark tells.
        Raises UsageError for another scheme, and for a password, which the corpus would keep.
        """
        parts = urlsplit(str(url))
        if parts.scheme in ("", "file"):
            root = Path(parts.path if parts.scheme else str(url)).expanduser().absolute()
            return cls(root, _postgres(catalog or _marked(root).get("catalog")))
        raise UsageError(f"a corpus cannot be at '{url}': '{parts.scheme}' is not a scheme it knows; name a folder")

    @property
    def catalog(self) -> Path:
        """DuckLake's catalog, a SQLite file."""
        return self.root / "catalog.sqlite"

    def check(self) -> None:
        """Raise OneThinkerError unless this folder is a corpus that this version of the code can read."""
        try:
            mark = json.loads((self.root / MARK).read_text())
        except FileNotFoundError:
            raise OneThinkerError(
                f"no corpus at {self.root} (it has no {MARK}); make one with `onethinker init --corpus {self.root}`"
            ) from None
        except (ValueError, OSError) as error:
            raise OneThinkerError(f"{self.root / MARK} cannot be read: {error}") from error
        if not isinstance(mark, dict) or not isinstance(mark.get("format"), int):
            raise OneThinkerError(f"{self.root / MARK} has no number under 'format': this is not a corpus of ours")
        if mark["format"] > FORMAT:
            raise OneThinkerError(
                f"the corpus at {self.root} has format {mark['format']}, this version reads up to {FORMAT}; "
                "upgrade onethinker"
            )
        if self.postgres is None and not self.catalog.exists():
            raise OneThinkerError(f"the corpus at {self.root} has lost its catalog, {self.catalog.name}")

    def create(self) -> None:
        """Lay out an empty corpus here, or nothing at all: it is made beside and moved into place.

        Raises OneThinkerError where there is a corpus already or the folder holds other files.
        """
        if (self.root / MARK).exists():
            raise OneThinkerError(f"there is a corpus at {self.root} already")
        if self.root.exists() and (not self.root.is_dir() or any(self.root.iterdir())):
            raise OneThinkerError(f"{self.root} is not an empty folder; name another, or empty it first")
        self.root.parent.mkdir(parents=True, exist_ok=True)
        made = Location(self.root.with_name(f".{self.root.name}.{uuid.uuid4().hex[:8]}"), self.postgres)
        try:
            for folder in ("data", "media", "snapshots", "runs"):
                (made.root / folder).mkdir(parents=True)
            connection = made.connect(read_only=False)
            if len(self.missing_tables(connection)) < len(TABLES):
                raise OneThinkerError(
                    f"the database at '{self.postgres}' is another corpus's catalog; name an empty one"
                )
            connection.execute("begin")
            made.add_tables(connection, list(TABLES))
            connection.execute("commit")
            connection.close()
            mark = {"format": FORMAT} | ({"catalog": f"postgres:{self.postgres}"} if self.postgres else {})
            (made.root / MARK).write_text(json.dumps(mark) + "\n")
            made.root.replace(self.root)
        finally:
            shutil.rmtree(made.root, ignore_errors=True)

    def missing_tables(self, connection: duckdb.DuckDBPyConnection) -> list[str]:
        """The tables that this version of the code knows and the attached lake does not have."""
        there = connection.execute("select table_name from duckdb_tables() where database_name = 'lake'").fetchall()
        return [name for name in TABLES if (name,) not in there]

    def add_tables(self, connection: duckdb.DuckDBPyConnection, names: list[str]) -> None:
        """Create tables, empty, inside the transaction that `connection` has open."""
        for name in names:
            connection.register("columns_of", TABLES[name].schema.empty_table())
            connection.execute(f"create table if not exists lake.{name} as from columns_of limit 0")

    def connect(self, *, read_only: bool, lake_snapshot: int | None = None) -> duckdb.DuckDBPyConnection:
        """A DuckDB connection with the lake attached as `lake`, nothing downloaded and nothing written elsewhere.

        `lake_snapshot` attaches the lake as it stood then. Raises OneThinkerError where DuckLake refuses the catalog.
        """
        # By default it would spill into the working folder, two processes into the same files.
        spill = Path(tempfile.gettempdir()) / f"onethinker-{uuid.uuid4().hex}"
        connection = duckdb.connect(config={"autoinstall_known_extensions": "false", "temp_directory": str(spill)})
        connection.execute("set enable_progress_bar = false")  # in notebooks and `python -c` it prints to stdout
        for extension in ("postgres_scanner" if self.postgres else "sqlite_scanner", "ducklake"):
            load_extension(connection, extension)
        options = {
            "DATA_PATH": f"'{_quoted(self.root / 'data')}/'",
            "OVERRIDE_DATA_PATH": "true",  # the folder may have been moved since
            "META_JOURNAL_MODE": "'WAL'",
            "META_BUSY_TIMEOUT": "60000",
            # Inlined rows that are flushed later can corrupt older snapshots (ducklake issue 1406).
            "DATA_INLINING_ROW_LIMIT": "0",
        }
        if self.postgres:
            options = {k: v for k, v in options.items() if not k.startswith("META")}
        if read_only:
            options = {k: v for k, v in options.items() if not k.startswith(("META", "DATA_INL"))}
        flags = ["READ_ONLY"] if read_only else []
        if lake_snapshot is not None:
            options["SNAPSHOT_VERSION"] = str(int(lake_snapshot))
        given = ", ".join(flags + [f"{name} {value}" for name, value in options.items()])
        try:
            catalog = f"postgres:{_quoted(self.postgres)}" if self.postgres else f"sqlite:{_quoted(self.catalog)}"
            connection.execute(f"ATTACH 'ducklake:{catalog}' AS lake ({given})")
        except duckdb.Error as error:
            connection.close()
            raise OneThinkerError(f"the catalog of the corpus at {self.root} cannot be opened: {error}") from error
        return connection

    def write_lock(self) -> AbstractContextManager[object]:
        """What the one writer at a time holds: a file's lock, or, with PostgreSQL, one in the database.

        Both exclude threads as well, and end with the process that holds them.
        """
        # With SQLite more writers get "database is locked" past any time-out or retry count (measured). PostgreSQL
        # takes them; but whether a row's key is new would be asked by two at once and answered yes to both.
        return AdvisoryLock(self.postgres) if self.postgres else FileLock(self.root / "write.lock")


class AdvisoryLock:
    """A lock in a PostgreSQL database, for one writer of all machines. Taken once at a time by each object."""

    def __init__(self, postgres: str) -> None:
        self._postgres = postgres
        self._threads = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None

    def __enter__(self) -> None:
        self._threads.acquire()
        try:
            with told_as_ours("waiting for the corpus's other writers"):
                if self._connection is None:
                    self._connection = duckdb.connect(config={"autoinstall_known_extensions": "false", "threads": 1})
                    load_extension(self._connection, "postgres_scanner")
                    self._connection.execute(f"attach '{_quoted(self._postgres)}' as pg (type postgres)")
                self._connection.execute("begin")
                query = f"select pg_advisory_xact_lock({_LOCK})::text"
                self._connection.execute(f"from postgres_query('pg', '{query}')").fetchall()
        except BaseException:
            self._connection = None  # lost, or in a state of its own: the next try makes another
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


def _marked(root: Path) -> dict[str, Any]:
    try:
        mark = json.loads((root / MARK).read_text())
    except (ValueError, OSError):
        return {}  # `check` says what is wrong with it
    return mark if isinstance(mark, dict) else {}


def _postgres(catalog: str | None) -> str | None:
    if catalog is None:
        return None
    kind, _, connection = catalog.partition(":")
    if kind != "postgres" or not connection:
        raise UsageError(f"a catalog cannot be at '{catalog}': name a database as 'postgres:dbname=lake host=db'")
    if "password" in connection:
        raise UsageError("--catalog: the corpus keeps this text; give the password in PGPASSWORD or ~/.pgpass instead")
    return connection


def load_extension(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Load a DuckDB extension from its PyPI wheel, or by DuckDB's own installer where the wheel is absent.

    Raises OneThinkerError where neither is there.
    """
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec and spec.submodule_search_locations:
        version = duckdb.__version__
        path = Path(spec.submodule_search_locations[0]) / "extensions" / f"v{version}" / f"{name}.duckdb_extension"
        if path.exists():
            connection.execute(f"LOAD '{_quoted(path)}'")
            return
    try:
        connection.execute(f"INSTALL {name}")
        connection.execute(f"LOAD {name}")
    except duckdb.Error as error:
        raise OneThinkerError(
            f"DuckDB's extension {name} is not there: `pip install duckdb-extension-{name.replace('_', '-')}"
            f"=={duckdb.__version__}` (of the same version as duckdb, to the last digit)"
        ) from error


@contextmanager
def told_as_ours(doing: str) -> Iterator[None]:
    """Turn DuckDB's errors within the block into ours, with `doing` before DuckDB's own words (it names near names)."""
    try:
        yield
    except duckdb.Error as error:
        raise OneThinkerError(f"{doing}: {error}") from error


def _quoted(path: Path | str) -> str:
    return str(path).replace("'", "''")
