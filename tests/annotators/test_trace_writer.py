"""The trace writer: rows reach the lake in batches, and in ever fewer of them the longer a run takes."""

import asyncio
from pathlib import Path

import pytest

from annotators import trace_writer
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
