"""Native files into the corpus: every record ends as a sample, a trace, something known already, or a reject.

    ingest(corpus, "onethinker", ["onethinker_rl_train.json"], media_root="onethinker-data")

Rows are read, measured and written in batches, each one transaction over samples, traces and rejects. Ids follow from
content and rejects from their place, so a run that was killed is completed by running it again, and running it twice
adds nothing.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from corpus.errors import OneThinkerError, UsageError
from corpus.ids import digest
from corpus.intake import fault, rejected
from corpus.ledger import Entry, Ledger
from corpus.media import MediaError, Medium, sha256_of
from corpus.media_pool import MediaPool
from corpus.progress import Bar, progress
from corpus.sources import Draft, Reader, Rejected, reader
from corpus.tasks import tasks

if TYPE_CHECKING:
    from corpus.runs import Run
    from corpus.store import Corpus

BATCH_ROWS = 10_000
MEDIUM_TIMEOUT_S = 120.0
KNOWN_MEDIA = "known-media.sqlite"
# Which part of a dataset a file is, by the words of its name; the first that fits.
_SPLITS = (("sft", "sft"), ("eval|test|val|valid|validation|testmini|benchmark", "eval"), ("train", "train"))


@dataclass(frozen=True, slots=True)
class Source:
    """One file or folder to read, the root that its media must stay inside, and what its name says of it."""

    path: Path
    media_root: Path
    file: str  # in `origin`: relative to the media root where it lies in there
    stem: str
    split: str | None

    @classmethod
    def of(cls, path: str | Path, media_root: str | Path | None) -> "Source":
        """Raises OneThinkerError where the path or the media root is not there."""
        there = Path(path).expanduser()
        if not there.exists():
            raise OneThinkerError(f"no file or folder at {there}")
        there = there.resolve()
        root = Path(media_root).expanduser() if media_root is not None else there if there.is_dir() else there.parent
        if not root.is_dir():
            raise OneThinkerError(f"the media root {root} is not a folder")
        root = root.resolve()
        file = str(there.relative_to(root)) if there.is_relative_to(root) else there.name
        return cls(there, root, file, there.name.split(".")[0], split_of(there))


@dataclass(slots=True)
class Looked:
    """A draft and where its media are, being measured; or a rejection already."""

    source: Source
    told: Draft | Rejected
    media: list[tuple[str, str]] = field(default_factory=list)


def split_of(path: Path) -> str | None:
    """`train`, `eval` or `sft`, if the file's name says so."""
    words = set(re.split(r"[^a-z]+", path.name.lower()))
    return next((split for pattern, split in _SPLITS if any(re.fullmatch(pattern, word) for word in words)), None)


def look(source: Source, told: Draft | Rejected, pool: MediaPool) -> Looked:
    """Judge a draft by itself, and begin to measure its media if it may go on."""
    if isinstance(told, Rejected):
        return Looked(source, told)
    if wrong := fault(told, tasks()):
        return Looked(source, wrong)
    try:
        media = [(pool.find(source.media_root, path), kind) for kind, path in told.media]
    except MediaError as error:
        return Looked(source, rejected(told, "media", error.reason, error.detail))
    for real, kind in media:
        pool.submit(real, kind)
    return Looked(source, told, media)


def measured(looked: Looked, pool: MediaPool) -> list[Medium] | Rejected:
    """The media of a draft, once they are measured; a rejection that names the first that cannot be used."""
    if isinstance(looked.told, Rejected):
        return looked.told
    found = []
    for (path, kind), (_, name) in zip(looked.media, looked.told.media, strict=True):
        outcome = pool.outcome(path, kind)
        if isinstance(outcome, MediaError):
            return rejected(looked.told, "media", outcome.reason, f"{name}: {outcome.detail}")
        found.append(outcome)
    return found


def drafts(read: Reader, sources: Sequence[Source], limit: int | None) -> Iterator[tuple[Source, Draft | Rejected]]:
    """Every record of every source in order, at most `limit` in all."""
    every = ((source, told) for source in sources for told in read.read(str(source.path)))
    return islice(every, limit)


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
