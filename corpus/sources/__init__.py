"""Sources: one file for each native dataset format, found by walking this folder and known by its file's name.

A reader is a module with a docstring and one function:

    def read(path: str) -> Iterator[Draft | Reject]

`path` is the annotation file or folder that the person named; a reader yields its records in order, as drafts of
samples or as rejections, and holds only one at a time. It tells what the source says and decides nothing else: paths
inside the media root, media, ids, known tasks, readable answers, duplicates and writing are the ingest's business.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from corpus.discovery import modules, names
from corpus.errors import UsageError, near


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceDraft:
    """A response that a source brings along; `response` verbatim, `params` all that is known of how it was made."""

    response: str
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A sample as its source tells it.

    `media` are (kind, path) pairs, the path relative to the media root. `answer` is the body without tags, or None
    where `truth` says it all. `truth_origin` is `human`, `derived` or `model`, None where the source does not tell.
    """

    row: int  # 1-based: the place in the list, the line in JSONL
    raw: Any  # the record as the source has it, kept with it if it is set aside
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
    # The answer is only the trace's: hang the trace on a sample with this question and these media, if there is one.
    answered_by_trace: bool = False
    share: float | None = None  # how much of the file has been read, from 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A record that gives no sample: the field at fault, a stable reason word, a sentence, and the record itself."""

    row: int
    reason: str
    detail: str
    raw: Any
    field: str | None = None
    share: float | None = None


class Reader(Protocol):
    """What a file of this folder is."""

    def read(self, path: str) -> Iterator[Draft | Reject]:
        """The records of the file or folder at `path`, in order."""


def reader(name: str) -> Reader:
    """The reader with this name; raises UsageError with the near names where there is none."""
    if name not in names(__name__):
        raise UsageError(f"unknown reader '{name}'{near(name, names(__name__))}")
    return cast(Reader, modules(__name__)[name])


def readers() -> dict[str, str]:
    """Every reader's name with the first line of its docstring."""
    return {name: (module.__doc__ or "").strip().split("\n")[0] for name, module in modules(__name__).items()}
