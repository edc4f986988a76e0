"""The trace writer: rows reach the lake in batches, and in ever fewer of them the longer a run takes."""

import asyncio
from pathlib import Path

import pytest

from annotators import trace_writer
from annotators.journal import SET_ASIDE
from annotators.trace_writer import TraceWriter
from corpus import Corpus


def test_a_slow_run_commits_less_and_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty rows come one by one; where a pause is as long as the run so far, a batch is as large as all before it."""
    monkeypatch.setattr(trace_writer, "COMMIT_EVERY_S", 0.01)
    monkeypatch.setattr(trace_writer, "COMMIT_SHARE", 0)
    monkeypatch.setattr(trace_writer, "AGE_SHARE", 1)
    batches: list[int] = []
    write = trace_writer.write

    def counted(corpus: Corpus, rows: trace_writer.Rows, message: str, run_id: str | None) -> int:
        batches.append(len(rows))
        return write(corpus, rows, message, run_id)

    monkeypatch.setattr(trace_writer, "write", counted)

    async def work(corpus: Corpus) -> None:
        with corpus.run("annotate", {}) as run:
            async with TraceWriter(run) as book:
                for i in range(40):
                    book.add("traces", {"trace_id": f"t{i}", "response": "A"})
                    await asyncio.sleep(0.05)

    with Corpus.create(tmp_path / "corpus") as corpus:
        asyncio.run(work(corpus))
        assert corpus.sql("select count(*) from traces").fetchone() == (40,)
    assert sum(batches) == 40
    assert max(batches) >= 10, batches


def test_a_batch_does_not_wait_once_it_is_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_writer, "COMMIT_EVERY_S", 60)
    monkeypatch.setattr(trace_writer, "MOST_PENDING", 5)

    async def work(corpus: Corpus) -> int:
        with corpus.run("annotate", {}) as run:
            async with TraceWriter(run) as book:
                for i in range(5):
                    book.add("traces", {"trace_id": f"t{i}", "response": "A"})
                async with asyncio.timeout(30):
                    while not book.committed:
                        await asyncio.sleep(0.01)
                return book.committed

    with Corpus.create(tmp_path / "corpus") as corpus:
        assert asyncio.run(work(corpus)) == 5


def test_a_line_that_no_table_takes_is_set_aside_and_the_others_are_replayed(tmp_path: Path) -> None:
    lines = [
        b'["traces",{"trace_id":"a","response":"A"}]',
        b'["traces",{"trace_id":"b","finish_reason":7}]',
        b'["traces",{"trace_id":"c","input_tokens":"10"}]',
        b'["traces",{"response":"no id"}]',
        b'["runs",{"run_id":"r"}]',
        b'["traces",[]]',
        b'{"trace_id":"d"}',
        b"not JSON",
        b'["traces",{"trace_id":"e","cost_usd":"much"}]',
        b'["traces",{"trace_id":"f","response":"F"}]',
    ]
    with Corpus.create(tmp_path / "corpus") as corpus:
        run = trace_writer.journal_folder(corpus) / "killed"
        run.mkdir(parents=True)
        (run / "lock").touch()
        (run / "000001.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
        assert trace_writer.replay(corpus) == 2
        assert corpus.sql("select trace_id from traces order by 1").fetchall() == [("a",), ("f",)]
        assert not run.exists()
        kept = (run.parent / SET_ASIDE).read_text().splitlines()
        assert len(kept) == len(lines) - 2
        assert all('"run_id":"killed","reason":' in line for line in kept)
        assert trace_writer.replay(corpus) == 0
