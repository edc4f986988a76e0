"""A corpus whose catalog is a PostgreSQL database, for several machines that share its folder."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from corpus import Corpus, OneThinkerError, UsageError
from corpus.advisory_lock import AdvisoryLock
from corpus.connection import load_extension, quote
from tests.postgres import server


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with server() as connection:
        yield connection


@pytest.fixture(scope="module")
def root(database: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shared") / "corpus"
    Corpus.create(root, catalog=f"postgres:{database}").close()
    return root


@pytest.mark.slow
def test_it_is_opened_by_its_folder_and_holds_what_is_written(root: Path) -> None:
    with Corpus.open(root) as corpus, corpus.run("test", {}) as run:
        with run.transaction("two prompts") as tx:
            assert tx.append("prompts", [{"prompt_id": "a", "text": "A"}, {"prompt_id": "b", "text": "B"}]) == 2
        assert corpus.append("prompts", [{"prompt_id": "a", "text": "A"}]) == 0
    with Corpus.open(root) as again:
        assert again.sql("select prompt_id from prompts order by 1").fetchall() == [("a",), ("b",)]
        assert again.sql("select status from runs").fetchall() == [("done",)]
    assert not (root / "catalog.sqlite").exists()


@pytest.mark.slow
def test_another_corpus_s_database_is_refused_and_nothing_is_left(root: Path, database: str, tmp_path: Path) -> None:
    with pytest.raises(OneThinkerError, match="is another corpus's catalog; name an empty one"):
        Corpus.create(tmp_path / "second", catalog=f"postgres:{database}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_writers_of_two_machines_take_turns(root: Path) -> None:
    """Each has a Corpus of its own, and adds rows of the same keys: one of them finds all of them there."""
    added: list[int] = []

    def write() -> None:
        with Corpus.open(root) as corpus:
            for first in range(0, 60, 10):
                rows = [{"trace_id": f"t{i}", "run_id": "r"} for i in range(first, first + 10)]
                added.append(corpus.append("claims", rows))

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(added) == 60
    with Corpus.open(root) as corpus:
        assert corpus.sql("select count(*), count(distinct trace_id) from claims").fetchone() == (60, 60)


@pytest.mark.slow
def test_the_lock_ends_with_the_process_that_holds_it(database: str) -> None:
    holder = f"""
import sys
from corpus.advisory_lock import AdvisoryLock
with AdvisoryLock({database!r}):
    print("held", flush=True)
    sys.stdin.read()
"""
    process = subprocess.Popen([sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    lock, got = AdvisoryLock(database), threading.Event()

    def wait() -> None:
        with lock:
            got.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    while waiters(database) != 1:
        assert not got.is_set()
        time.sleep(0.01)
    assert not got.is_set()
    process.kill()
    process.wait()
    assert got.wait(120)
    waiting.join()


def waiters(database: str) -> int:
    """How many connections wait for an advisory lock."""
    with duckdb.connect() as connection:
        load_extension(connection, "postgres_scanner")
        connection.execute(f"attach '{quote(database)}' as pg (type postgres)")
        query = "select count(*) from pg_locks where locktype = ''advisory'' and not granted"
        return int(connection.execute(f"from postgres_query('pg', '{query}')").fetchall()[0][0])


def test_a_catalog_says_what_it_must_be(tmp_path: Path) -> None:
    for catalog, words in (
        ("mysql:x", "name a database as 'postgres:dbname=lake host=db'"),
        ("postgres:", "name a database as"),
        ("postgres:dbname=lake password=secret", "PGPASSWORD"),
    ):
        with pytest.raises(UsageError, match=words):
            Corpus.create(tmp_path / "corpus", catalog=catalog)
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_does_not_answer_is_an_error_and_nothing_is_left(tmp_path: Path) -> None:
    pytest.importorskip("duckdb_extension_postgres_scanner", reason="the extra `cluster` is not installed")
    with pytest.raises(OneThinkerError, match="cannot be opened"):
        Corpus.create(tmp_path / "corpus", catalog="postgres:dbname=lake host=/nowhere")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_corpus_file_names_the_database(root: Path, database: str) -> None:
    assert json.loads((root / "corpus.json").read_text())["catalog"] == f"postgres:{database}"
