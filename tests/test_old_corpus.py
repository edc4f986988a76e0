"""A corpus and a snapshot made by commit 32b94c0 open, verify and continue: see tests/fixtures/README.md."""

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from annotators import annotate
from corpus import Corpus
from corpus.ingest import ingest
from filters import select, verify
from onethinker.demo.run import _local_teacher

FIXTURES = Path(__file__).parent / "fixtures"
FACTS: dict[str, Any] = json.loads((FIXTURES / "corpus_32b94c0.json").read_text())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with tarfile.open(FIXTURES / "corpus_32b94c0.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def column(corpus: Corpus, query: str) -> list[Any]:
    return [value for (value,) in corpus.sql(query).fetchall()]


def test_every_row_and_id_is_read_as_it_was_written(folder: Path) -> None:
    with Corpus.open(folder / "corpus") as corpus:
        for table, rows in FACTS["counts"].items():
            assert column(corpus, f"select count(*) from {table}") == [rows], table
        assert column(corpus, "select sample_id from samples order by 1") == FACTS["sample_ids"]
        assert column(corpus, "select trace_id from traces order by 1") == FACTS["trace_ids"]
        assert column(corpus, "select prompt_id from prompts order by 1") == FACTS["prompt_ids"]
        runs = corpus.sql("select kind, status from runs order by started_at").fetchall()
        assert [list(run) for run in runs] == FACTS["statuses"]


def test_the_snapshot_is_whole_and_gives_the_same_messages(folder: Path) -> None:
    with Corpus.open(folder / "corpus") as corpus:
        snapshot = corpus.snapshots.get("demo@1")
        assert (snapshot.rows, snapshot.fingerprint) == (FACTS["rows"], FACTS["fingerprint"])
        assert snapshot.damage() == []
        messages = [row["messages"] for row in snapshot.dataset(decode=False)]
    assert hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).hexdigest() == FACTS["dataset_sha256"]


def test_what_is_known_is_not_ingested_or_verified_again_and_selects_to_the_same_rows(folder: Path) -> None:
    with Corpus.open(folder / "corpus") as corpus:
        world = folder / "world"
        ingest(corpus, "onethinker", [world / "world_rl_train.json", world / "world_eval.json"], media_root=world)
        assert column(corpus, "select sample_id from samples order by 1") == FACTS["sample_ids"]
        assert verify(corpus).traces == 0
        again = select(corpus, "demo", "demo").snapshot
        assert (again.ref, again.fingerprint) == ("demo@2", FACTS["fingerprint"])


def test_verdicts_are_the_same_when_they_are_made_again(folder: Path) -> None:
    with Corpus.open(folder / "corpus") as old:
        tables = {name: old.sql(f"select * from {name}").to_arrow_table() for name in ("samples", "traces")}
    with Corpus.create(folder / "new") as new:
        for name, rows in tables.items():
            new.append(name, rows)
        verify(new)
        columns = "trace_id, profile, verifier, format, structure, accuracy, reward, reason"
        made = new.sql(f"select {columns} from verdicts order by 1, 2, 3").fetchall()
    assert [list(row) for row in made] == FACTS["verdicts"]


def test_a_killed_run_continues_and_buys_nothing_twice(folder: Path) -> None:
    """Four answers of the killed run are in its journal; the same command takes them in and asks for the rest."""
    with Corpus.open(folder / "corpus") as corpus, _local_teacher(0):
        report = annotate(corpus, teacher="local:pixels-1", where="split = 'eval'")
        rows = corpus.sql(
            """select count(distinct t.sample_id), count(distinct t.run_id)
               from traces t join samples s using (sample_id) where s.split = 'eval'"""
        ).fetchone()
    assert report.replayed == 4
    assert rows == (10, 2)
    assert not any((folder / "corpus" / "journal").iterdir())
