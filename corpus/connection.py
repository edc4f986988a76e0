"""DuckDB connections to a DuckLake: extensions from their wheels, options set once, errors as ours."""

import importlib.util
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from corpus.errors import OneThinkerError
from corpus.scratch import scratch_folder

# A statement never brings in code: what is needed is loaded by name.
_NO_EXTENSIONS: dict[str, Any] = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}


def attach(catalog: str, data: Path, *, read_only: bool, lake_snapshot: int | None = None) -> duckdb.DuckDBPyConnection:
    """A new DuckDB connection with a DuckLake attached as `lake`; it downloads nothing and spills into the temp folder.

    `catalog` is `sqlite:PATH` or `postgres:CONNECTION`, `data` the folder of the Parquet files. With `lake_snapshot`
    the lake is attached as of that snapshot. Raises OneThinkerError if DuckLake refuses the catalog.
    """
    postgres = catalog.startswith("postgres:")
    # By default DuckDB spills into the working folder, two processes into the same files.
    spill = scratch_folder() / uuid.uuid4().hex
    connection = duckdb.connect(config=_NO_EXTENSIONS | {"temp_directory": str(spill)})
    connection.execute("set enable_progress_bar = false")  # in notebooks and `python -c` it prints to stdout
    for extension in ("postgres_scanner" if postgres else "sqlite_scanner", "ducklake"):
        load_extension(connection, extension)
    options = {"DATA_PATH": f"'{quote(data)}/'", "OVERRIDE_DATA_PATH": "true"}  # the folder may have been moved
    if not read_only:
        # Inlined rows that are flushed later can corrupt older snapshots (ducklake issue 1406).
        options |= {"DATA_INLINING_ROW_LIMIT": "0"}
        options |= {} if postgres else {"META_JOURNAL_MODE": "'WAL'", "META_BUSY_TIMEOUT": "60000"}
    if lake_snapshot is not None:
        options["SNAPSHOT_VERSION"] = str(int(lake_snapshot))
    clauses = ["READ_ONLY"] * read_only + [f"{name} {value}" for name, value in options.items()]
    try:
        connection.execute(f"ATTACH 'ducklake:{quote(catalog)}' AS lake ({', '.join(clauses)})")
    except duckdb.Error as error:
        connection.close()
        raise OneThinkerError(f"the catalog at {catalog} cannot be opened: {error}") from error
    return connection


def restrict(connection: duckdb.DuckDBPyConnection, data: Path) -> None:
    """Leave to `connection`, for good, the files of the lake alone, and its settings as they are."""
    for setting in (
        f"allowed_directories = ['{quote(data)}/']",  # without it the lake's own files are refused too
        "enable_external_access = false",
        "python_enable_replacements = false",
        "lock_configuration = true",
    ):
        connection.execute(f"set {setting}")


def load_extension(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Load a DuckDB extension from its PyPI wheel, or by DuckDB's own installer if the wheel is not installed.

    Raises OneThinkerError if neither works.
    """
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec and spec.submodule_search_locations:
        version = duckdb.__version__
        path = Path(spec.submodule_search_locations[0]) / "extensions" / f"v{version}" / f"{name}.duckdb_extension"
        if path.exists():
            connection.execute(f"LOAD '{quote(path)}'")
            return
    try:
        connection.execute(f"INSTALL {name}")
        connection.execute(f"LOAD {name}")
    except duckdb.Error as error:
        raise OneThinkerError(
            f"DuckDB's extension {name} is not installed: `pip install duckdb-extension-{name.replace('_', '-')}"
            f"=={duckdb.__version__}` (exactly the version of duckdb)"
        ) from error


@contextmanager
def translate_errors(doing: str) -> Iterator[None]:
    """Raise DuckDB's errors within the block as OneThinkerError: `doing`, then DuckDB's message with its near names."""
    try:
        yield
    except duckdb.Error as error:
        raise OneThinkerError(f"{doing}: {error}") from error


def quote(text: Path | str) -> str:
    """Text for the inside of a SQL string literal."""
    return str(text).replace("'", "''")
