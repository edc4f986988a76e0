"""Samples from Python: plain dicts, checked by the rules of ingest."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from corpus.ingest.drafts import MEDIUM_TIMEOUT_S, PendingDraft, Source, collect_media, prepare, printable
from corpus.ingest.known import KnownSamples
from corpus.ingest.run import BATCH_ROWS, KNOWN_MEDIA, reject_row
from corpus.media.pool import MediaPool
from corpus.sources import Draft, Reject

if TYPE_CHECKING:
    from corpus.ingest.target import IngestTarget

READER = "add_samples"  # in `rejects`, and the file in `origin`


class NewSample(BaseModel):
    """What a row may have; `images` and `videos` are paths relative to the media root."""

    model_config = ConfigDict(strict=True, extra="forbid")

    problem: str = Field(min_length=1)  # with an <image> or <video> for each medium
    problem_type: str
    answer: str | None = None
    images: list[str] = []
    videos: list[str] = []
    source: str = Field(min_length=1)
    options: list[str] | None = None
    truth: dict[str, Any] | None = None
    truth_origin: Literal["human", "derived", "model"] | None = None
    split: Literal["train", "eval", "sft"] | None = None
    licence: str | None = None
    key: str | None = None


@dataclass
class AddedSamples:
    """What became of the rows: samples added, samples that were there already, and the rows that cannot be used."""

    samples: int = 0
    known: int = 0
    rejects: list[Reject] = field(default_factory=list)


def add_samples(
    corpus: "IngestTarget", rows: Iterable[Mapping[str, Any]], *, media_root: str | Path | None = None
) -> AddedSamples:
    """Add samples from plain dicts with the fields of `NewSample`; ids are computed, media measured and stored.

    Media paths are relative to `media_root` (the working folder if None) and may not leave it. A row that breaks a
    rule of ingest is returned and kept in `rejects`, with its 1-based place, field and reason; the others go in.
    Raises OneThinkerError if the media root is not a folder.
    """
    root = Source.of(media_root if media_root is not None else Path.cwd(), None, folders=True).media_root
    source = Source(root, root, READER, READER, None)
    done = AddedSamples()
    with (
        corpus.run("ingest", {"reader": READER, "media_root": printable(root)}) as run,
        MediaPool(corpus.media, known=corpus.root / KNOWN_MEDIA, timeout_s=MEDIUM_TIMEOUT_S) as pool,
    ):
        known = KnownSamples(corpus)
        numbered = enumerate(rows, 1)
        while batch := [prepare(source, _draft(row, at), pool) for at, row in islice(numbered, BATCH_ROWS)]:
            samples, rejects = [], []
            for outcome in _settle(batch, pool, known):
                if isinstance(outcome, Reject):
                    rejects.append(outcome)
                elif outcome is not None:
                    samples.append(outcome)
            with run.transaction(f"add {len(batch)} samples") as tx:
                added = tx.append("samples", samples)
                tx.append("rejects", [reject_row(reject, READER, READER) for reject in rejects])
            done.samples += added
            done.known += len(batch) - added - len(rejects)
            done.rejects += rejects
            pool.remember()
            run.counts.update(records=len(batch), samples=added, rejects=len(rejects))
    return done


def _settle(
    batch: list[PendingDraft], pool: MediaPool, known: KnownSamples
) -> Iterator[dict[str, Any] | Reject | None]:
    """For each draft its new row, a reject, or None if the corpus has it."""
    for pending in batch:
        media = collect_media(pending, pool)
        if isinstance(media, Reject):
            yield media
            continue
        draft = pending.draft
        assert isinstance(draft, Draft)
        outcome = known.add(draft, media, file=READER, split=draft.split, teacher="")
        # The same sample at another place is no fault here: rows of a program have no lasting places.
        yield None if isinstance(outcome, Reject) else outcome.sample


def _draft(row: Mapping[str, Any], at: int) -> Draft | Reject:
    if not isinstance(row, Mapping):
        detail = f"a {type(row).__name__} where a dict should be"
        return Reject(row=at, reason="not_an_object", detail=detail, raw=row)
    raw = dict(row)
    try:
        new = NewSample.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0]) if first["loc"] else None
        place = ".".join(map(str, first["loc"]))
        return Reject(row=at, field=name, reason="malformed", detail=f"`{place}`: {first['msg']}", raw=raw)
    for name, value in new:
        try:
            orjson.dumps(value)
        except TypeError as error:  # half of a surrogate pair, too deep, not JSON
            detail = f"`{name}` cannot be kept as JSON: {error}"
            return Reject(row=at, field=name, reason="malformed", detail=detail, raw=raw)
    media = [("image", path) for path in new.images] + [("video", path) for path in new.videos]
    kinds = {kind for kind, _ in media}
    if not kinds:
        return Reject(row=at, field="images", reason="malformed", detail="no media: name `images` or `videos`", raw=raw)
    return Draft(
        row=at,
        raw=raw,
        problem=new.problem,
        problem_type=new.problem_type,
        data_type="video-image" if len(kinds) == 2 else media[0][0],
        answer=new.answer,
        media=tuple(media),
        source=new.source,
        options=tuple(new.options) if new.options else None,
        truth=new.truth,
        truth_origin=new.truth_origin,
        split=new.split,
        licence=new.licence,
        key=new.key,
    )
