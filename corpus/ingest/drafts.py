"""From what a reader yields to drafts whose rules are checked and whose media are measured."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from corpus.errors import OneThinkerError, UsageError
from corpus.ingest.rules import broken_rule, reject
from corpus.media import MediaError, Medium
from corpus.media.pool import MediaPool
from corpus.sources import Draft, Reader, Reject
from corpus.tasks import tasks

MEDIUM_TIMEOUT_S = 120.0
BATCH_BYTES = 32 << 20  # of the records' text: what a batch holds in memory is some times that
# Which part of a dataset a file is, by the words of its name; the first that fits.
_SPLITS = (("sft", "sft"), ("eval|test|val|valid|validation|testmini|benchmark", "eval"), ("train", "train"))


@dataclass(frozen=True, slots=True)
class Source:
    """One file or folder to read, and the root that its media must stay inside."""

    path: Path
    media_root: Path
    file: str  # in `origin`: relative to the media root where it lies in there
    stem: str
    split: str | None  # from the file's name

    @classmethod
    def of(cls, path: str | Path, media_root: str | Path | None, *, folders: bool) -> "Source":
        """The source at a path, which may be a folder if the reader takes `folders`.

        Raises OneThinkerError if the path or the media root does not exist or is no such thing, UsageError for a folder
        in place of a file.
        """
        there = Path(path).expanduser()
        if not there.exists():
            raise OneThinkerError(f"no file or folder at {there}")
        if not there.is_file() and not there.is_dir():
            raise OneThinkerError(f"{there} is neither a file nor a folder")
        if there.is_dir() and not folders:
            first = min((found.name for found in there.glob("*.json*")), default=None)
            example = f", such as {there / first}" if first else ""
            raise UsageError(f"{there} is a folder, and this reader takes files: name them{example}")
        there = there.resolve()
        root = Path(media_root).expanduser() if media_root is not None else there if there.is_dir() else there.parent
        if not root.is_dir():
            raise OneThinkerError(f"the media root {root} is not a folder")
        root = root.resolve()
        file = str(there.relative_to(root)) if there.is_relative_to(root) else there.name
        return cls(there, root, printable(file), printable(there.name.split(".")[0]), split_of(there))


@dataclass(slots=True)
class PendingDraft:
    """A draft whose media are being measured, or a reject."""

    source: Source
    draft: Draft | Reject
    media: list[tuple[str, str]] = field(default_factory=list)  # (real path, kind)


def printable(path: str | Path) -> str:
    r"""A path as text that UTF-8 can hold: bytes of its name that are not UTF-8 as \xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def split_of(path: Path) -> str | None:
    """`train`, `eval` or `sft` if a word of the file's name says so, else None."""
    words = set(re.split(r"[^a-z]+", path.name.lower()))
    return next((split for pattern, split in _SPLITS if any(re.fullmatch(pattern, word) for word in words)), None)


def prepare(source: Source, draft: Draft | Reject, pool: MediaPool) -> PendingDraft:
    """Check a draft against the rules, and start to measure its media if it keeps them."""
    if isinstance(draft, Reject):
        return PendingDraft(source, draft)
    if found := broken_rule(draft, tasks()):
        return PendingDraft(source, found)
    try:
        media = [(pool.find(source.media_root, path), kind) for kind, path in draft.media]
    except MediaError as error:
        return PendingDraft(source, reject(draft, "media", error.reason, error.detail))
    for real, kind in media:
        pool.submit(real, kind)
    return PendingDraft(source, draft, media)


def collect_media(pending: PendingDraft, pool: MediaPool) -> list[Medium] | Reject:
    """Wait for the media of a draft; a reject that names the first one that cannot be used."""
    if isinstance(pending.draft, Reject):
        return pending.draft
    found = []
    for (path, kind), (_, name) in zip(pending.media, pending.draft.media, strict=True):
        outcome = pool.outcome(path, kind)
        if isinstance(outcome, MediaError):
            return reject(pending.draft, "media", outcome.reason, f"{name}: {outcome.detail}")
        found.append(outcome)
    return found


def read_drafts(read: Reader, sources: Sequence[Source], limit: int | None) -> Iterator[tuple[Source, Draft | Reject]]:
    """Every record of every source in order, at most `limit` in all."""
    every = ((source, draft) for source in sources for draft in read.read(str(source.path)))
    return islice(every, limit)


def in_batches(
    stream: Iterable[tuple[Source, Draft | Reject]], rows: int
) -> Iterator[list[tuple[Source, Draft | Reject]]]:
    """The stream in lists of at most `rows` records, fewer if their text is over BATCH_BYTES."""
    batch: list[tuple[Source, Draft | Reject]] = []
    size = 0
    for source, draft in stream:
        batch.append((source, draft))
        size += draft.size
        if len(batch) == rows or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
