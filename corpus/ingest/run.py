"""One run of ingest: a transaction per batch, and media of the next batch measured while one is written."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from corpus.errors import UsageError, near
from corpus.ids import digest
from corpus.ingest.drafts import (
    MEDIUM_TIMEOUT_S,
    PendingDraft,
    Source,
    collect_media,
    in_batches,
    prepare,
    printable,
    read_drafts,
)
from corpus.ingest.known import Addition, KnownSamples
from corpus.media import sha256_of
from corpus.media.pool import MediaPool
from corpus.progress import Bar, progress
from corpus.sources import Draft, Reject, reader, reads_folders

if TYPE_CHECKING:
    from corpus.ingest.target import IngestTarget
    from corpus.runs import Run

BATCH_ROWS = 10_000
KNOWN_MEDIA = "known-media.sqlite"
SPLITS = ("train", "eval", "sft")
_RAW_CHARS, _DETAIL_CHARS = 1 << 20, 2000  # kept of a rejected record, and of what is wrong with it


def ingest(
    corpus: "IngestTarget",
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

    `media_root` defaults to the folder of each path, `split` to what the file's name says, `teacher` (of the traces in
    the file) to `release:` and the file's name. The counts: `records` = `samples` added + `attached` to an existing
    sample + `known` already + `rejects`; `traces` and `rejects added` are rows written.
    Raises UsageError for an unknown reader or split, OneThinkerError if a path does not exist or cannot be what the
    reader reads; a bad record becomes a reject.
    """
    read = reader(reader_name)
    if not paths:
        raise UsageError("nothing to ingest: name at least one file or folder")
    if split is not None and split not in SPLITS:
        raise UsageError(f"unknown split '{split}'{near(split, SPLITS)}")
    if limit is not None and limit < 1:
        raise UsageError(f"--limit must be at least 1, not {limit}")
    sources = [Source.of(path, media_root, folders=reads_folders(reader_name)) for path in paths]
    config = {
        "reader": reader_name,
        "files": [
            {
                "path": printable(s.path),
                "sha256": sha256_of(s.path) if s.path.is_file() else None,
                "media_root": printable(s.media_root),
            }
            for s in sources
        ],
        "split": split,
        "limit": limit,
        "teacher": teacher,
    }
    with corpus.run("ingest", config) as run, progress("ingest", limit) as bar:
        known = KnownSamples(corpus)
        with MediaPool(corpus.media, known=corpus.root / KNOWN_MEDIA, timeout_s=timeout_s) as pool:
            writer = _Writer(run, known, pool, reader_name, split, teacher, bar, _Expected(sources), limit)
            stream = read_drafts(read, sources, limit)
            ahead: list[PendingDraft] = []
            for records in in_batches(stream, batch_rows):
                batch = [prepare(source, draft, pool) for source, draft in records]
                # The media of this batch are being measured while the one before it is written.
                writer.write(ahead)
                ahead = batch
            writer.write(ahead)
        return run.counts


class _Expected:
    """An estimate of how many records there are, from the share of the bytes read so far."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._before: dict[Source, int] = {}
        self._size = {source: source.path.stat().st_size for source in sources}
        total = 0
        for source in sources:
            self._before[source] = total
            total += self._size[source]
        self._total = total

    def after(self, done: int, last: PendingDraft) -> int | None:
        share = last.draft.share
        if share is None or not self._total:
            return None
        read = self._before[last.source] + share * self._size[last.source]
        return max(done, round(done * self._total / read)) if read else None


@dataclass(slots=True)
class _Writer:
    run: "Run"
    known: KnownSamples
    pool: MediaPool
    reader: str
    split: str | None
    teacher: str | None
    bar: Bar
    expected: _Expected
    limit: int | None

    def write(self, batch: Sequence[PendingDraft]) -> None:
        """Write a batch in one transaction."""
        if not batch:
            return
        counts: Counter[str] = Counter(records=len(batch))
        samples, traces, rejects = [], [], []
        for pending in batch:
            outcome = self._settle(pending)
            if isinstance(outcome, Reject):
                rejects.append(reject_row(outcome, self.reader, pending.source.file))
                counts[f"rejects: {outcome.reason}"] += 1
                continue
            if outcome.sample:
                samples.append(outcome.sample)
            if outcome.trace:
                traces.append(outcome.trace)
                counts["attached"] += outcome.sample is None
        with self.run.transaction(f"ingest {len(batch)} records") as tx:
            counts["samples"] = tx.append("samples", samples)
            counts["traces"] = tx.append("traces", traces)
            counts["rejects added"] = tx.append("rejects", rejects)
        counts["rejects"] = len(rejects)
        counts["known"] = len(batch) - counts["samples"] - counts["attached"] - counts["rejects"]
        self.run.counts.update(counts)
        self.pool.remember()
        self._show(counts, batch)

    def _settle(self, pending: PendingDraft) -> Addition | Reject:
        media = collect_media(pending, self.pool)
        if isinstance(media, Reject):
            return media
        draft, source = pending.draft, pending.source
        assert isinstance(draft, Draft)
        split = self.split or source.split or draft.split
        teacher = self.teacher or f"release:{source.stem}"
        return self.known.add(draft, media, file=source.file, split=split, teacher=teacher)

    def _show(self, counts: Counter[str], batch: Sequence[PendingDraft]) -> None:
        shown = {name: counts[name] for name in ("samples", "traces", "known", "rejects") if counts[name]}
        if expected := self.expected.after(self.run.counts["records"], batch[-1]):
            self.bar.total = min(expected, self.limit or expected)
        self.bar.advance(len(batch), **shown)


def reject_row(reject: Reject, reader_name: str, file: str) -> dict[str, Any]:
    """The row of `rejects` for a reject; what no UTF-8 can hold is escaped, what is very long is cut."""
    raw = _cut(_as_text(reject.raw), _RAW_CHARS)
    return {
        "reject_id": digest("reject", reader_name, file, reject.row, reject.field, reject.reason, raw),
        "reader": reader_name,
        "file": file,
        "row": reject.row,
        "field": reject.field,
        "reason": reject.reason,
        "detail": _cut(_as_text(reject.detail), _DETAIL_CHARS),
        "raw": raw,
    }


def _as_text(value: Any) -> str:
    if not isinstance(value, str):
        try:
            return orjson.dumps(value, default=str).decode()
        except TypeError:  # too deep, integers over 64 bits, lone surrogates, keys that are not text
            value = repr(value)
    return str(value).encode("utf-8", "backslashreplace").decode()


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: chars - 1] + "…"
