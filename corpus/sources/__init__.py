"""Sources: one reader per native dataset format, one file each, named by its file.

A reader is a module with a docstring and one function:

    def read(path: str) -> Iterator[Draft | Reject]

`path` is an annotation file or folder. A reader yields its records in order, as drafts of samples or as rejects, and
holds only one in memory. It reports what the source says and nothing else: media paths, media, ids, known tasks,
readable answers, duplicates and writing belong to `corpus.ingest`. A reader whose `path` may be a folder says so in the
module: `FOLDERS = True`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from corpus.discovery import modules, names
from corpus.errors import UsageError, near


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceDraft:
    """A response in a source; `response` is verbatim, `params` what is known of how it was made."""

    response: str
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A sample as its source has it.

    `media` are (kind, path) pairs, the path relative to the media root. `answer` is the body without tags, or None if
    `truth` replaces it. `truth_origin` is `human`, `derived` or `model`, None if unknown.
    """

    row: int  # 1-based: the place in the list, the line in JSONL
    raw: Any  # the record as the source has it, stored if it is rejected
    problem: str
    problem_type: str
    data_type: str
    answer: str | None
    media: tuple[tuple[str, str], ...]
    source: str
    options: tuple[str, ...] | None = None
    truth: dict[str, Any] | None = None
    truth_origin: str | None = None
    split: str | None = None
    licence: str | None = None
    key: str | None = None  # the source's own id of the record
    placeholders: bool = True  # the problem holds one <image> or <video> for each medium
    trace: TraceDraft | None = None
    # The answer is only the trace's: attach the trace to an existing sample with this question and these media, if any.
    answered_by_trace: bool = False
    share: float | None = None  # how much of the file has been read, from 0 to 1
    size: int = field(default=0, compare=False)  # of the record in its file, in bytes, if known


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A record that gives no sample: the field at fault, a stable reason word, a sentence, and the record."""

    row: int
    reason: str
    detail: str
    raw: Any
    field: str | None = None
    share: float | None = None
    size: int = 0


class Reader(Protocol):
    """The interface of a module in this folder."""

    def read(self, path: str) -> Iterator[Draft | Reject]:
        """The records of the file or folder at `path`, in order."""


def reader(name: str) -> Reader:
    """The reader of this name. Raises UsageError, with near names, if it is unknown."""
    if name not in names(__name__):
        raise UsageError(f"unknown reader '{name}'{near(name, names(__name__))}")
    return cast(Reader, modules(__name__)[name])


def reads_folders(name: str) -> bool:
    """Whether the reader of this name takes folders."""
    return bool(getattr(reader(name), "FOLDERS", False))


def readers() -> dict[str, str]:
    """Every reader's name with the first line of its docstring."""
    return {name: (module.__doc__ or "").strip().split("\n")[0] for name, module in modules(__name__).items()}
