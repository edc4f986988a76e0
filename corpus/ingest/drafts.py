"""Drafts as a reader gives them, judged by themselves, and their media found and measured."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from corpus.errors import OneThinkerError
from corpus.ingest.rules import fault, rejected
from corpus.media import MediaError, Medium
from corpus.media.pool import MediaPool
from corpus.sources import Draft, Reader, Rejected
from corpus.tasks import tasks

MEDIUM_TIMEOUT_S = 120.0
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
