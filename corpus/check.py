"""Check data before it costs money: gold answers earn full marks, and every medium opens.

A gold answer without full marks from its own task's reward teaches a model that the right answer is wrong; a medium
that does not open fails in the middle of a training run. Both are cheap to find beforehand.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
import pyarrow as pa

from corpus.ingest.drafts import MEDIUM_TIMEOUT_S, Source, collect_media, prepare, read_drafts
from corpus.ingest.rules import odd_sample
from corpus.integrity import Damage, Integrity, check_integrity
from corpus.media import MediaError, MediaStore
from corpus.media.pool import MediaPool
from corpus.progress import Bar, progress
from corpus.response import wrap
from corpus.sources import Reject, reader, reads_folders
from corpus.sql_gate import condition
from corpus.tasks import tasks

if TYPE_CHECKING:
    from corpus.store import Corpus

FULL = 1.0 - 1e-9  # of accuracy and of format
_ROWS = 4096
_Any = TypeVar("_Any")

Score = Callable[[Iterable[pa.Table], str], Iterator[pa.Table]]
_GOLD = pa.schema(
    [
        ("where", pa.string()),
        ("response", pa.string()),
        ("ground_truth", pa.string()),
        ("problem_type", pa.string()),
        ("data_type", pa.string()),
        ("options", pa.list_(pa.string())),
        ("truth", pa.string()),
    ]
)


@dataclass
class CheckReport:
    """How many samples and media were checked, and their failures, counted by kind with the first as example."""

    samples: int = 0
    media: int = 0
    failures: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str, str], tuple[str, str]] = field(default_factory=dict)
    stored: Integrity | None = None
    failed_media: set[str] = field(default_factory=set)

    def fail(self, check: str, problem_type: str, reason: str, where: str, detail: str) -> None:
        """Count one failure of `check` with a stable `reason` word; `where` is the sample or the file and row."""
        kind = (check, problem_type, reason)
        self.failures[kind] += 1
        self.examples.setdefault(kind, (where, detail))

    @property
    def damages(self) -> list[Damage]:
        """The damaged files; a medium that a sample names is among the failures instead."""
        named = self.stored.damages if self.stored else []
        return [d for d in named if d.kind != "medium" or Path(d.path).name not in self.failed_media]

    def table(self) -> pa.Table:
        """One row per kind of failure, the most frequent first, and one for each damaged file."""
        rows = [
            dict(zip(_COLUMNS, (*kind, count, *self.examples[kind]), strict=True))
            for kind, count in self.failures.most_common()
        ]
        for damage in self.damages:
            row = (damage.kind, "", damage.reason, 1, damage.path, damage.detail)
            rows.append(dict(zip(_COLUMNS, row, strict=True)))
        return pa.Table.from_pylist(rows, schema=pa.schema([(c, _COLUMNS[c]) for c in _COLUMNS]))


_COLUMNS = {
    "check": pa.string(),
    "problem_type": pa.string(),
    "reason": pa.string(),
    "failures": pa.int64(),
    "first": pa.string(),
    "detail": pa.string(),
}


def score_in_process(tables: Iterable[pa.Table], profile: str) -> Iterator[pa.Table]:
    """Score in this process, without time limits; callers with a pool of processes pass its function instead."""
    from corpus.scoring import score

    for table in tables:
        yield score(table, profile)


def check_corpus(
    corpus: "Corpus",
    *,
    where: str | None = None,
    profiles: Sequence[str] = ("strict",),
    score: Score = score_in_process,
) -> CheckReport:
    """Check the samples of a corpus (with `where`, a SQL condition, those of a slice) and the media that they name.

    Without `where` every stored file is read and compared too: see `corpus.integrity`. While the lake is damaged, gold
    answers are not checked.

    The `paper` profile is not checked by default: under it some true answers earn less whatever the data (a one-word
    open-ended answer gets 2/3), which matters only for training with it.
    """
    report = CheckReport()
    if where is None:
        report.stored = check_integrity(corpus)
        if not report.stored.is_lake_whole:  # SQL would read damaged rows, or fail on them
            return report
    slice_of = f"from samples where {condition(where)}" if where else "from samples"
    golds = _read_corpus_golds(corpus, slice_of, report)
    total = int(corpus.sql(f"select count(*) {slice_of}").fetchall()[0][0])
    with progress("gold answers", total) as bar:
        _check_golds(golds, profiles, score, report, bar)
    named = f"select sample_id, unnest(media) as m {slice_of}"
    query = f"select any_value(sample_id), m.kind, m.sha256 from ({named}) group by all order by m.sha256"
    media = corpus.sql(query).fetchall()
    with progress("media", len(media)) as bar, MediaPool(None, timeout_s=MEDIUM_TIMEOUT_S) as pool:
        for chunk in _chunks(media):
            _check_media(chunk, corpus.media, pool, report, bar)
    return report


def check_files(
    reader_name: str,
    paths: Sequence[str | Path],
    *,
    media_root: str | Path | None = None,
    profiles: Sequence[str] = ("strict",),
    score: Score = score_in_process,
) -> CheckReport:
    """Check annotation files as `ingest` would read them, without a corpus; nothing is written.

    Raises UsageError for an unknown reader, OneThinkerError if a path does not exist.
    """
    read, report = reader(reader_name), CheckReport()
    sources = [Source.of(path, media_root, folders=reads_folders(reader_name)) for path in paths]
    with progress("records") as bar, MediaPool(None, timeout_s=MEDIUM_TIMEOUT_S) as pool:
        golds = _read_file_golds(read_drafts(read, sources, None), pool, report)
        _check_golds(golds, profiles, score, report, bar)
    return report


def _read_file_golds(records: Iterable[Any], pool: MediaPool, report: CheckReport) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for chunk in _chunks(records):
        pending = [prepare(source, draft, pool) for source, draft in chunk]
        for one in pending:
            report.samples += 1
            outcome, where = collect_media(one, pool), f"row {one.draft.row} of {one.source.file}"
            if isinstance(outcome, Reject):
                problem_type = outcome.raw.get("problem_type") if isinstance(outcome.raw, dict) else None
                report.fail("record", str(problem_type or ""), outcome.reason, where, outcome.detail)
                continue
            seen.update(medium.sha256 for medium in outcome)
            report.media = len(seen)
            draft = one.draft
            assert not isinstance(draft, Reject)
            if draft.answer is not None:
                truth = orjson.dumps(draft.truth).decode() if draft.truth is not None else None
                yield _make_gold(where, draft.answer, draft.problem_type, draft.data_type, draft.options, truth)


def _read_corpus_golds(corpus: "Corpus", slice_of: str, report: CheckReport) -> Iterator[dict[str, Any]]:
    query = f"select sample_id, answer, problem_type, data_type, options, truth {slice_of}"
    relation = corpus.sql(query)
    while rows := relation.fetchmany(_ROWS):
        for sample_id, answer, *rest in rows:
            report.samples += 1
            if detail := odd_sample(rest[0], rest[1], tasks()):
                report.fail("sample", rest[0] or "", "odd_sample", sample_id, f"{detail}; every command skips it")
            elif answer is not None:
                yield _make_gold(sample_id, answer, *rest)


def _make_gold(
    where: str, answer: str, problem_type: str, data_type: str, options: Sequence[str] | None, truth: str | None
) -> dict[str, Any]:
    values = (where, wrap("This is the true answer.", answer), answer, problem_type, data_type, options, truth)
    return dict(zip(_GOLD.names, values, strict=True))


def _check_golds(
    golds: Iterator[dict[str, Any]], profiles: Sequence[str], score: Score, report: CheckReport, bar: Bar
) -> None:
    for rows in _chunks(golds):
        table = pa.Table.from_pylist(rows, schema=_GOLD)
        for profile in profiles:
            for scored in score([table.drop_columns("where")], profile):
                for row, scores in zip(rows, scored.to_pylist(), strict=True):
                    _check_scores(row, scores, profile, report)
        bar.advance(len(rows))


def _check_scores(row: dict[str, Any], scores: dict[str, Any], profile: str, report: CheckReport) -> None:
    for part in ("format", "accuracy"):
        earned = scores[part]
        if earned is None or not earned >= FULL:
            reason = scores["reason"] or f"{part}_below_full"
            shown = row["ground_truth"] if len(row["ground_truth"]) <= 80 else row["ground_truth"][:79] + "…"
            detail = f"{part} {earned} for its own answer: {shown}"
            report.fail(f"gold answer, {profile}", row["problem_type"], reason, row["where"], detail)
            return


def _check_media(
    media: Sequence[tuple[str, str, str]], store: MediaStore, pool: MediaPool, report: CheckReport, bar: Bar
) -> None:
    waiting = []
    for sample_id, kind, sha256 in media:
        report.media += 1
        try:
            path = store.path(sha256)
        except MediaError as error:
            report.fail("medium", "", error.reason, sample_id, error.detail)
            continue
        pool.submit(path, kind)
        waiting.append((sample_id, kind, sha256, path))
    for sample_id, kind, sha256, path in waiting:
        found = pool.outcome(path, kind)
        if isinstance(found, MediaError):
            report.failed_media.add(sha256)
            report.fail("medium", "", found.reason, sample_id, f"{sha256}: {found.detail}")
        elif found.sha256 != sha256:
            report.failed_media.add(sha256)
            report.fail("medium", "", "media_changed", sample_id, f"{sha256} now holds {found.sha256}")
    bar.advance(len(media))


def _chunks(rows: Iterable[_Any]) -> Iterator[list[_Any]]:
    stream = iter(rows)
    while chunk := list(islice(stream, _ROWS)):
        yield chunk
