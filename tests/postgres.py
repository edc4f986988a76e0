"""A PostgreSQL server of the tests' own, where its programs are installed: on a socket in a folder, gone afterwards."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _program(name: str) -> str | None:
    return shutil.which(name) or next(map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None)


@contextmanager
def server() -> Iterator[str]:
    """The connection string of an empty database; skips where there is no server, or no extension to reach it."""
    initdb, postgres = _program("initdb"), _program("postgres")
    if initdb is None or postgres is None:
        pytest.skip("no PostgreSQL server is installed here (initdb, postgres)")
    pytest.importorskip("duckdb_extension_postgres_scanner", reason="of the extra `cluster`")
    root = os.geteuid() == 0  # as which PostgreSQL refuses to run
    user = {"user": "nobody"} if root else {}
    folder = Path(tempfile.mkdtemp(prefix="ot-pg-"))  # a socket's path must be short
    if root:
        shutil.chown(folder, "nobody")
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    made = [initdb, "-D", str(folder / "data"), "-A", "trust", "-U", "tests", "--no-sync"]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL, env=env, cwd=folder, **user)  # type: ignore[call-overload]
    options = ["-k", str(folder), "-c", "listen_addresses=", "-c", "fsync=off"]
    running = subprocess.Popen(
        [postgres, "-D", str(folder / "data"), *options], stderr=subprocess.DEVNULL, env=env, cwd=folder, **user
    )  # type: ignore[call-overload]
    try:
        deadline = time.monotonic() + 30
        while not (folder / ".s.PGSQL.5432").exists() or "ready" not in (folder / "data/postmaster.pid").read_text():
            assert running.poll() is None, "the server did not start"
            assert time.monotonic() < deadline, "the server is not ready"
            time.sleep(0.05)
        yield f"dbname=postgres host={folder} user=tests"
    finally:
        running.terminate()
        running.wait()
        shutil.rmtree(folder, ignore_errors=True)
