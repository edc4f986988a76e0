"""The store: what goes in once is there once, whole commits only, and nothing that reads can write."""

import gc
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pytest

from corpus import Corpus, OneThinkerError, UsageError
from corpus.schema import FORMAT, TABLES


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus.create(tmp_path / "corpus")


def trace(i: int) -> dict[str, object]:
    return {"trace_id": f"t{i}", "sample_id": f"s{i}", "teacher": "p:m", "response": f"<think>{i}</think>"}


def test_appending_twice_adds_nothing(corpus: Corpus) -> None:
    rows = [trace(i) for i in range(5)]
    assert corpus.append("traces", [*rows, trace(0)]) == 5
    assert corpus.append("traces", rows) == 0
    assert corpus.append("traces", [*rows, trace(9)]) == 1
    assert corpus.sql("select count(*), count(distinct trace_id) from traces").fetchone() == (6, 6)


def test_rows_keep_their_values_through_every_type(corpus: Corpus) -> None:
    from decimal import Decimal

    medium = {"kind": "video", "sha256": "ab", "width": 3, "height": 2, "fps": 2.5, "duration": 4.0, "frames": 10}
    sample = {"sample_id": "s", "options": ["A. x", "B. y"], "media": [medium], "origin": {"file": "f", "row": 7}}
    corpus.append("samples", [sample])
    corpus.append("traces", [{**trace(1), "cost_usd": Decimal("0.000000012345")}])
    corpus.append("verdicts", [{"trace_id": "t1", "profile": "p", "verifier": "v", "components": [("tiou", 0.5)]}])
    found = corpus.sql("select options, media, origin, created_at is not null from samples").fetchone()
    assert found == (["A. x", "B. y"], [medium], {"file": "f", "row": 7, "key": None}, True)
    assert corpus.sql("select sum(cost_usd) from traces").fetchone() == (Decimal("0.000000012345"),)
    assert corpus.sql("select components['tiou'] from verdicts").fetchone() == (0.5,)


def test_a_transaction_is_all_or_nothing(corpus: Corpus) -> None:
    def broken() -> None:
        with corpus.transaction("broken") as tx:
            tx.append("traces", [trace(1)])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert corpus.sql("select count(*) from traces").fetchone() == (0,)
    with corpus.transaction("whole") as tx:
        tx.append("traces", [trace(1)])
        tx.append("claims", [{"trace_id": "t1", "run_id": "r"}])
    assert corpus.sql("select (select count(*) from traces), (select count(*) from claims)").fetchone() == (1, 1)


@pytest.mark.parametrize(
    "write", ["insert into lake.traces (trace_id) values ('x')", "drop table lake.traces", "delete from lake.traces"]
)
def test_sql_cannot_write(corpus: Corpus, write: str) -> None:
    corpus.append("traces", [trace(1)])
    with pytest.raises(OneThinkerError):
        corpus.sql(write)
    assert corpus.sql("select count(*) from traces").fetchone() == (1,)


def test_sql_names_the_near_column(corpus: Corpus) -> None:
    with pytest.raises(OneThinkerError, match="teacher"):
        corpus.sql("select teachr from traces")
    with pytest.raises(OneThinkerError, match="samples"):
        corpus.sql("select * from sampels")


def test_unknown_columns_and_missing_keys_are_refused(corpus: Corpus) -> None:
    with pytest.raises(ValueError, match="no column colour"):
        corpus.append("traces", [{"trace_id": "t", "colour": "red"}])
    with pytest.raises(ValueError, match="trace_id left out"):
        corpus.append("traces", [{"teacher": "p:m"}])


def test_open_says_what_is_wrong_with_the_path(tmp_path: Path) -> None:
    with pytest.raises(OneThinkerError, match="onethinker init"):
        Corpus.open(tmp_path / "nowhere")
    made = Corpus.create(tmp_path / "c")
    made.close()
    with pytest.raises(OneThinkerError, match="already"):
        Corpus.create(tmp_path / "c")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    with pytest.raises(OneThinkerError, match="not an empty folder"):
        Corpus.create(tmp_path / "full")
    with pytest.raises(UsageError, match="unknown scheme 'gopher'"):
        Corpus.open("gopher://x/y")


def test_a_newer_corpus_or_catalog_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "c"
    Corpus.create(root).close()
    (root / "corpus.json").write_text(json.dumps({"format": FORMAT + 1}))
    with pytest.raises(OneThinkerError, match="upgrade onethinker"):
        Corpus.open(root)
    (root / "corpus.json").write_text("{")
    with pytest.raises(OneThinkerError, match=r"corpus\.json is not JSON"):
        Corpus.open(root)
    (root / "corpus.json").write_text(json.dumps({"format": FORMAT}))
    import sqlite3

    with sqlite3.connect(root / "catalog.sqlite") as catalog:
        catalog.execute("update ducklake_metadata set value = '99.0' where key = 'version'")
    with pytest.raises(OneThinkerError, match="the catalog at sqlite:"):
        Corpus.open(root)


def test_a_moved_corpus_still_reads_and_writes(tmp_path: Path) -> None:
    with Corpus.create(tmp_path / "a") as made:
        made.append("traces", [trace(1)])
    (tmp_path / "a").rename(tmp_path / "b")
    with Corpus.open(tmp_path / "b") as moved:
        moved.append("traces", [trace(2)])
        assert moved.sql("select count(*) from traces").fetchone() == (2,)
    assert not (tmp_path / "a").exists()


def test_two_corpora_and_many_threads_write_at_once(tmp_path: Path) -> None:
    first = Corpus.create(tmp_path / "c")
    second = Corpus.open(tmp_path / "c")
    failures: list[BaseException] = []

    def write(corpus: Corpus, lane: int) -> None:
        try:
            for i in range(5):
                corpus.append("traces", [trace(1000 * lane + i), trace(i)])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=((first, second)[lane % 2], lane + 1)) for lane in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert first.sql("select count(*), count(distinct trace_id) from traces").fetchone() == (35, 35)


def test_a_reader_sees_whole_commits_made_after_it_opened(corpus: Corpus) -> None:
    with Corpus.open(corpus.root) as reader:
        assert reader.sql("select count(*) from traces").fetchone() == (0,)
        corpus.append("traces", [trace(1)])
        assert reader.sql("select count(*) from traces").fetchone() == (1,)


def test_connections_are_renewed_now_and_then_and_nothing_shows_of_it(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corpus.lake._RENEW_EVERY", 3)
    threads = "select current_setting('threads')"
    corpus.append("traces", [trace(0)])
    usual = corpus.sql(threads).fetchone()
    in_hand = corpus.sql("select trace_id from traces")
    streamed = corpus.sql("from range(10_000)").to_arrow_reader(10)
    rows = len(streamed.read_next_batch())
    first = corpus._reader, corpus._writer
    with corpus.low_memory():
        for i in range(1, 8):
            with corpus.transaction("one more") as tx:
                assert tx.append("traces", [trace(i), trace(i - 1)]) == 1
                assert tx.sql(threads).fetchone() == (1,), "what a block set stays set"
            assert corpus.sql(threads).fetchone() == (1,)
    assert corpus._reader is not first[0]
    assert corpus._writer is not first[1]
    assert corpus.sql(threads).fetchone() == usual
    assert len(in_hand.fetchall()) == 8, "what an earlier connection gave can be fetched"
    assert rows + sum(map(len, streamed)) == 10_000
    assert corpus.sql("select count(*) from traces").fetchone() == (8,)


def test_a_run_records_how_it_ended(corpus: Corpus) -> None:
    with corpus.run("verify", {"where": "true", "path": Path("x")}) as run:
        run.counts["scored"] += 3
        status = corpus.sql("select status from runs where run_id = ?", [run.run_id]).fetchone()
        assert status == ("running",)
        with run.transaction("step") as tx:
            tx.append("traces", [trace(1)])
    with pytest.raises(KeyError), corpus.run("select", {}):
        raise KeyError("gone")
    with pytest.raises(KeyboardInterrupt), corpus.run("annotate", {}):
        raise KeyboardInterrupt
    rows = corpus.sql(
        "select kind, status, counts, error, lake_after > lake_before from runs order by started_at"
    ).fetchall()
    assert rows == [
        ("verify", "done", {"scored": 3}, None, True),
        ("select", "failed", {}, "KeyError: 'gone'", True),
        ("annotate", "interrupted", {}, None, True),
    ]
    assert corpus.sql("select run_id = (select run_id from runs where kind = 'verify') from traces").fetchone() == (
        True,
    )
    assert list((corpus.root / "runs").iterdir()) == []


CRASHING = """
import sys
from corpus import Corpus
with Corpus.open(sys.argv[1]) as corpus, corpus.run("annotate", {}) as run:
    with run.transaction("paid for") as tx:
        tx.append("traces", [{"trace_id": "before"}])
    with run.transaction("never committed") as tx:
        tx.append("traces", [{"trace_id": "within"}])
        print("inside", flush=True)
        sys.stdin.read()
"""


def test_a_killed_run_is_seen_as_crashed_and_leaves_whole_commits(corpus: Corpus) -> None:
    command = [sys.executable, "-c", CRASHING, str(corpus.root)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "inside\n"
    assert corpus.sql("select status from runs").fetchall() == [("running",)]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert corpus.sql("select status from runs").fetchall() == [("crashed",)]
    assert corpus.sql("select trace_id from traces").fetchall() == [("before",)]
    with corpus.run("verify", {}):
        pass
    assert corpus.sql("select kind, status from runs order by started_at").fetchall() == [
        ("annotate", "crashed"),
        ("verify", "done"),
    ]
    assert corpus.sql("select count(*) from run_events where event = 'crashed'").fetchone() == (1,)


def test_import_is_light() -> None:
    heavy = ("torch", "transformers", "trl", "vllm", "ray", "duckdb", "pyarrow")
    code = f"import sys, corpus; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_table_is_there_under_its_own_name(corpus: Corpus) -> None:
    for name, table in TABLES.items():
        assert corpus.sql(f"from {name}").columns == table.schema.names
    for view in ("runs", "latest_verdicts", "scored_traces", "pass_rates", "provenance"):
        assert corpus.sql(f"from {view}").fetchall() == []


def test_a_full_disk_leaves_the_table_as_it_was(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus.append("traces", [trace(1)])
    data = corpus.root / "data"
    hidden = data.with_name("elsewhere")
    data.rename(hidden)
    data.write_text("a file where the folder was: no Parquet file can be written")
    with pytest.raises((OneThinkerError, duckdb.Error)):
        corpus.append("traces", [trace(2)])
    data.unlink()
    hidden.rename(data)
    assert corpus.append("traces", [trace(2)]) == 1
    assert corpus.sql("select count(*) from traces").fetchone() == (2,)


def test_a_table_added_later_is_empty_to_readers_until_the_first_write_makes_it(tmp_path: Path) -> None:
    later = TABLES.pop("metrics")
    try:
        with Corpus.create(tmp_path / "old") as old:
            old.append("traces", [trace(1)])
            before = old.sql("select max(snapshot_id) from lake.snapshots()").fetchall()[0][0]
    finally:
        TABLES["metrics"] = later
    reader, writer = Corpus.open(tmp_path / "old"), Corpus.open(tmp_path / "old")
    assert reader.sql("from metrics").columns == later.schema.names
    assert reader.sql("select count(*) from metrics").fetchone() == (0,)
    assert reader.sql("select max(snapshot_id) from lake.snapshots()").fetchone() == (before,), "reading wrote"
    for i in range(2):
        writer.append("metrics", [{"run_id": "r", "step": i, "name": "loss", "value": 0.5}])
        for corpus in (reader, writer):
            assert corpus.sql("select count(*) from metrics").fetchone() == (i + 1,)
    then = Corpus(reader.location, lake_snapshot=before)
    assert then.sql("select (select count(*) from traces), (select count(*) from metrics)").fetchone() == (1, 0)


def test_a_corpus_says_what_is_in_it(corpus: Corpus) -> None:
    corpus.append("traces", [trace(i) for i in range(1_200)])
    assert repr(corpus) == f"Corpus('{corpus.root}': 0 samples, 1,200 traces, 0 verdicts, 0 snapshots)"
    corpus.append("snapshots", [{"name": "<b>", "version": 1, "rows": 3, "counts": [("image QA", 3)]}])
    assert repr(corpus.snapshots) == "Snapshots(<b>@1: 3 rows)"
    html = corpus._repr_html_()
    assert '<td style="text-align: right">1,200</td>' in html
    assert "<td>&lt;b&gt;@1</td>" in html
    assert "<td>image QA 3</td>" in html
    corpus.close()
    assert repr(corpus) == f"Corpus('{corpus.root}': cannot be read)"


def test_a_run_s_status_is_of_the_moment_it_is_fetched_even_after_its_connection_is_gone(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "corpus")
    with corpus.run("verify", {}):
        during, after = (corpus.sql("select status from runs") for _ in range(2))
        assert during.fetchall() == [("running",)]
    assert after.fetchall() == [("done",)]
    corpus.append("run_events", [{"run_id": "../../x", "event": "started"}])
    held = corpus.sql("select status from runs where run_id = '../../x'")
    del corpus
    gc.collect()
    assert held.fetchall() == [("crashed",)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus"], "a run's id named a lock file"
