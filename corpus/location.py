"""Where a corpus lies: the folder that its name means, what is in it, and how to connect to its lake.

corpus.json       the format, and the catalog's database if that is PostgreSQL
catalog.sqlite    DuckLake's SQL catalog otherwise
data/             DuckLake's Parquet files
media/            images and videos, named by their SHA-256
snapshots/        frozen dataset versions
runs/             one lock file for each live run
"""

import json
import shutil
import uuid
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
from filelock import FileLock

from corpus.advisory_lock import AdvisoryLock
from corpus.connection import attach
from corpus.errors import OneThinkerError, UsageError
from corpus.schema import FORMAT, TABLES

CORPUS_FILE = "corpus.json"


@dataclass(frozen=True)
class Location:
    """An absolute corpus folder and the paths inside it.

    `postgres` is the connection string of the catalog's database, or None for SQLite. With PostgreSQL several machines
    that share the folder write without waiting for a file system's locks.
    """

    root: Path
    postgres: str | None = None

    @classmethod
    def parse(cls, url: str | Path, catalog: str | None = None) -> "Location":
        """The location that `url` names: a folder's path or its `file://` URL.

        `catalog` (`postgres:dbname=… host=…`) is for a new corpus; an existing one names its own in corpus.json.
        Raises UsageError for another scheme, and for a password, which corpus.json would keep.
        """
        parts = urlsplit(str(url))
        if parts.scheme in ("", "file"):
            root = Path(parts.path if parts.scheme else str(url)).expanduser().absolute()
            return cls(root, _parse_catalog(catalog or _read_corpus_file(root).get("catalog")))
        raise UsageError(f"a corpus cannot be at '{url}': unknown scheme '{parts.scheme}'; name a folder")

    @property
    def sqlite(self) -> Path:
        """DuckLake's catalog, unless it is in PostgreSQL."""
        return self.root / "catalog.sqlite"

    def exists(self) -> bool:
        """Whether the folder is a corpus, readable by this version or not."""
        return (self.root / CORPUS_FILE).exists()

    def check(self) -> None:
        """Raise OneThinkerError unless the folder is a corpus that this version of the code can read."""
        try:
            config = json.loads((self.root / CORPUS_FILE).read_text())
        except FileNotFoundError:
            raise OneThinkerError(
                f"no corpus at {self.root} (it has no {CORPUS_FILE}); "
                f"make one with `onethinker init --corpus {self.root}`"
            ) from None
        except NotADirectoryError:
            raise UsageError(
                f"{self.root} is not a folder, so no corpus can be there; name a corpus's folder"
            ) from None
        except OSError as error:
            raise OneThinkerError(f"{self.root / CORPUS_FILE} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise OneThinkerError(f"{self.root / CORPUS_FILE} is not JSON: {error}") from error
        if not isinstance(config, dict) or not isinstance(config.get("format"), int):
            raise OneThinkerError(f"{self.root / CORPUS_FILE} has no number under 'format': not a corpus of onethinker")
        if config["format"] > FORMAT:
            raise OneThinkerError(
                f"the corpus at {self.root} has format {config['format']}, this version reads up to {FORMAT}; "
                "upgrade onethinker"
            )
        if self.postgres is None and not self.sqlite.exists():
            raise OneThinkerError(f"the corpus at {self.root} has lost its catalog, {self.sqlite.name}")

    def create(self) -> None:
        """Make an empty corpus here, or nothing at all: it is built in a sibling folder and moved into place.

        Raises OneThinkerError if the folder is a corpus already or holds other files.
        """
        if self.exists():
            raise OneThinkerError(f"there is a corpus at {self.root} already")
        if self.root.exists() and (not self.root.is_dir() or any(self.root.iterdir())):
            raise OneThinkerError(f"{self.root} is not an empty folder; name another, or empty it first")
        try:
            self.root.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OneThinkerError(
                f"no corpus can be made at {self.root}: {error.strerror}: {error.filename}"
            ) from error
        draft = Location(self.root.with_name(f".{self.root.name}.{uuid.uuid4().hex[:8]}"), self.postgres)
        try:
            for folder in ("data", "media", "snapshots", "runs"):
                (draft.root / folder).mkdir(parents=True)
            connection = draft.connect(read_only=False)
            if len(missing_tables(connection)) < len(TABLES):
                raise OneThinkerError(
                    f"the database at '{self.postgres}' is another corpus's catalog; name an empty one"
                )
            connection.execute("begin")
            add_tables(connection, list(TABLES))
            connection.execute("commit")
            connection.close()
            config = {"format": FORMAT} | ({"catalog": f"postgres:{self.postgres}"} if self.postgres else {})
            (draft.root / CORPUS_FILE).write_text(json.dumps(config) + "\n")
            draft.root.replace(self.root)
        finally:
            shutil.rmtree(draft.root, ignore_errors=True)

    def connect(self, *, read_only: bool, lake_snapshot: int | None = None) -> duckdb.DuckDBPyConnection:
        """A new DuckDB connection with the lake attached as `lake`: see `corpus.connection.attach`."""
        catalog = f"postgres:{self.postgres}" if self.postgres else f"sqlite:{self.sqlite}"
        return attach(catalog, self.root / "data", read_only=read_only, lake_snapshot=lake_snapshot)

    def write_lock(self) -> AbstractContextManager[object]:
        """The lock that the one writer at a time holds: a file's, or in PostgreSQL an advisory lock.

        Both exclude threads as well, and end with the process that holds them.
        """
        # With SQLite more writers get "database is locked" past any time-out or retry count (measured). PostgreSQL
        # takes several; but two anti-joins at once could both find a row's key new.
        return AdvisoryLock(self.postgres) if self.postgres else FileLock(self.root / "write.lock")


def missing_tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The tables of `TABLES` that the attached lake does not have: it is older than they are."""
    found = connection.execute("select table_name from duckdb_tables() where database_name = 'lake'").fetchall()
    return [name for name in TABLES if (name,) not in found]


def add_tables(connection: duckdb.DuckDBPyConnection, names: list[str]) -> None:
    """Create tables, empty, inside the transaction that `connection` has open."""
    for name in names:
        connection.register("columns_of", TABLES[name].schema.empty_table())
        connection.execute(f"create table if not exists lake.{name} as from columns_of limit 0")
    connection.unregister("columns_of")


def _read_corpus_file(root: Path) -> dict[str, Any]:
    try:
        config = json.loads((root / CORPUS_FILE).read_text())
    except (ValueError, OSError):
        return {}  # `check` says what is wrong with it
    return config if isinstance(config, dict) else {}


def _parse_catalog(catalog: str | None) -> str | None:
    if catalog is None:
        return None
    kind, _, connection = catalog.partition(":")
    if kind != "postgres" or not connection:
        raise UsageError(f"a catalog cannot be at '{catalog}': name a database as 'postgres:dbname=lake host=db'")
    if "password" in connection:
        raise UsageError("--catalog: the corpus keeps this text; give the password in PGPASSWORD or ~/.pgpass instead")
    return connection
