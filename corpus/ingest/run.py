"""The run of an ingest: batches read, measured while the one before is written, each one transaction."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from corpus.errors import UsageError
from corpus.ids import digest
from corpus.ingest.drafts import MEDIUM_TIMEOUT_S, Looked, Source, drafts, look, measured
from corpus.ingest.known import Entry, Ledger
from corpus.media import sha256_of
from corpus.media.pool import MediaPool
from corpus.progress import Bar, progress
from corpus.sources import Draft, Rejected, reader

if TYPE_CHECKING:
    from corpus.runs import Run
    from corpus.store import Corpus

BATCH_ROWS = 10_000
KNOWN_MEDIA = "known-media.sqlite"


def ingest(
    corpus: "Corpus",
    reader_name: str,
    paths: Sequence[str | Path],
    *,
    media_root: str | Path | None = None,
    split: str | None = None,
    limit: int | None = None,
    teacher: str | None = None,
    batch_rows: int = BATCH_ROWS,
    timeout_s: float = MEDIUM_TIMEOUT_S,
) -> Counter[str]:
    """Read `paths` into the corpus, and return what became of their records.

    Without `media_root` it is the folder of each path. `split` is told by the file's name unless given, `teacher`
    (of traces that come along) is `release:` and the file's name. The counts: `records` = `samples` added +
    `attached` to a sample that was there + `known` already + `rejects`; `traces` and `rejects added` are rows written.
    Raises UsageError for an unknown reader, OneThinkerError where a path is not there; a bad record raises nothing.
    """
    read = reader(reader_name)
    if not paths:
        raise UsageError("nothing to ingest: name at least one file or folder")
    if limit is not None and limit < 1:
        raise UsageError(f"--limit must be at least 1, not {limit}")
    sources = [Source.of(path, media_root) for path in paths]
    config = {
        "reader": reader_name,
        "files": [
            {"path": s.path, "sha256": sha256_of(s.path) if s.path.is_file() else None, "media_root": s.media_root}
            for s in sources
        ],
        "split": split,
        "limit": limit,
        "teacher": teacher,
    }
    with corpus.run("ingest", config) as run, progress("ingest", limit) as bar:
        ledger = Ledger(corpus)
        with MediaPool(corpus.media, known=corpus.root / KNOWN_MEDIA, timeout_s=timeout_s) as pool:
            writer = _Writer(run, ledger, pool, reader_name, split, teacher, bar, _Expected(sources), limit)
            stream = drafts(read, sources, limit)
            ahead: list[Looked] = []
            while batch := [look(source, told, pool) for source, told in islice(stream, batch_rows)]:
                # The media of this batch are being measured while the one before it is written.
                writer.write(ahead)
                ahead = batch
            writer.write(ahead)
        return run.counts


class _Expected:
    """How many records there will be, from the share of the bytes that the ones so far took."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._before: dict[Source, int] = {}
        self._size = {source: source.path.stat().st_size for source in sources}
        total = 0
        for source in sources:
            self._before[source] = total
            total += self._size[source]
        self._total = total

    def after(self, done: int, last: Looked) -> int | None:
        share = last.told.share
        if share is None or not self._total:
            return None
        read = self._before[last.source] + share * self._size[last.source]
        return max(done, round(done * self._total / read)) if read else None


@dataclass(slots=True)
class _Writer:
    run: "Run"
    ledger: Ledger
    pool: MediaPool
    reader: str
    split: str | None
    teacher: str | None
    bar: Bar
    expected: _Expected
    limit: int | None

    def write(self, batch: Sequence[Looked]) -> None:
        """Settle a batch and write it, all of it or nothing."""
        if not batch:
            return
        counts: Counter[str] = Counter(records=len(batch))
        samples, traces, rejects = [], [], []
        for looked in batch:
            entry = self._settled(looked)
            if isinstance(entry, Rejected):
                rejects.append(_reject(entry, self.reader, looked.source.file))
                counts[f"rejects: {entry.reason}"] += 1
                continue
            if entry.sample:
                samples.append(entry.sample)
            if entry.trace:
                traces.append(entry.trace)
                counts["attached"] += entry.sample is None
        with self.run.transaction(f"ingest {len(batch)} records") as tx:
            counts["samples"] = tx.append("samples", samples)
            counts["traces"] = tx.append("traces", traces)
            counts["rejects added"] = tx.append("rejects", rejects)
        counts["rejects"] = len(rejects)
        counts["known"] = len(batch) - counts["samples"] - counts["attached"] - counts["rejects"]
        self.run.counts.update(counts)
        self.pool.remember()
        self._show(counts, batch)

    def _settled(self, looked: Looked) -> Entry | Rejected:
        media = measured(looked, self.pool)
        if isinstance(media, Rejected):
            return media
        told, source = looked.told, looked.source
        assert isinstance(told, Draft)
        split = self.split or source.split or told.split
        teacher = self.teacher or f"release:{source.stem}"
        return self.ledger.enter(told, media, file=source.file, split=split, teacher=teacher)

    def _show(self, counts: Counter[str], batch: Sequence[Looked]) -> None:
        shown = {name: counts[name] for name in ("samples", "traces", "known", "rejects") if counts[name]}
        if expected := self.expected.after(self.run.counts["records"], batch[-1]):
            self.bar.total = min(expected, self.limit or expected)
        self.bar.advance(len(batch), **shown)


def _reject(told: Rejected, reader_name: str, file: str) -> dict[str, Any]:
    raw = told.raw if isinstance(told.raw, str) else orjson.dumps(told.raw, default=str).decode()
    return {
        "reject_id": digest("reject", reader_name, file, told.row, told.field, told.reason, raw),
        "reader": reader_name,
        "file": file,
        "row": told.row,
        "field": told.field,
        "reason": told.reason,
        "detail": told.detail,
        "raw": raw,
    }
