"""The samples and traces that a corpus holds, in memory during an ingest, to find which drafts are new.

    sample_id   what is asked, about which bytes, with which answer, by which source; not the file it came from
    trace_id    the response's place among the responses of one teacher to one sample (`attempt`, from 1)

Ids are looked up as 16-byte digests: 600k samples take about 80 MB.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from corpus.ids import canonical_json, digest
from corpus.ingest.rules import reject
from corpus.media import Medium
from corpus.response import split
from corpus.sources import Draft, Reject, TraceDraft
from corpus.tasks import task

if TYPE_CHECKING:
    from corpus.ingest.target import IngestTarget

MODE = "release"  # of traces that came in a file
_SAMPLE_ID = re.compile("[0-9a-f]{32}")
_PLACEHOLDER = re.compile(r"<(?:image|video)>")
_ROW_BITS = 40


@dataclass(frozen=True, slots=True)
class Addition:
    """The rows that one draft adds: a sample, a trace, both, or neither if they are known."""

    sample: dict[str, Any] | None = None
    trace: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Question:
    """A sample of the corpus that a trace may belong to."""

    sample_id: str
    problem_type: str
    options: str | None
    by_model: bool


class KnownSamples:
    """The samples and released traces of a corpus by content, and every draft added since."""

    def __init__(self, corpus: "IngestTarget") -> None:
        self._corpus = corpus
        self._files: dict[str, int] = {}
        self._names: list[str] = []
        self._samples: dict[bytes, int] = {}
        self._traces: _Traces | None = None
        query = 'select sample_id, origin.file, origin."row" from samples'
        for sample_id, file, row in _rows(corpus, query):
            if _SAMPLE_ID.fullmatch(sample_id or ""):  # any other is no draft's: a program wrote it
                self._samples[bytes.fromhex(sample_id)] = self._place(file, row)

    def _place(self, file: str | None, row: int | None) -> int:
        file, row = file or "no file", row or 0
        number = self._files.setdefault(file, len(self._files))
        if number == len(self._names):
            self._names.append(file)
        return number << _ROW_BITS | row

    def _describe(self, place: int) -> str:
        return f"row {place & (1 << _ROW_BITS) - 1} of {self._names[place >> _ROW_BITS]}"

    def add(
        self, draft: Draft, media: Sequence[Medium], *, file: str, split: str | None, teacher: str
    ) -> Addition | Reject:
        """The rows that a draft adds; a reject if it duplicates another record."""
        sample = _sample_row(draft, media, file, split)
        key, here = bytes.fromhex(sample["sample_id"]), self._place(file, draft.row)
        if draft.trace is None:
            return self._add_question(draft, sample, key, here)
        traces = self._traces = self._traces or _Traces(self._corpus)
        place = (teacher, file, draft.row, draft.trace.response)
        if _key(*place) in traces.origins:
            return Addition()
        if draft.answered_by_trace:
            asked = traces.sample_for(draft, media)
            sample_id = asked.sample_id if asked else sample["sample_id"]
        else:
            sample_id = sample["sample_id"]
        response_key = _key(sample_id, teacher, draft.trace.response)
        if response_key in traces.responses:
            first = self._describe(self._place(*traces.responses[response_key]))
            detail = f"the same response of {teacher} to the same sample is {first}"
            return reject(draft, "messages", "duplicate", detail)
        new = sample_id == sample["sample_id"] and key not in self._samples
        if new:
            self._samples[key] = here
            traces.add_sample(sample)
        origin = sample["origin"]
        return Addition(sample if new else None, traces.add(sample_id, draft.trace, teacher, origin))

    def _add_question(self, draft: Draft, sample: dict[str, Any], key: bytes, here: int) -> Addition | Reject:
        first = self._samples.get(key)
        if first is not None:
            detail = f"the same sample is {self._describe(first)}"
            return Addition() if first == here else reject(draft, "problem", "duplicate", detail)
        self._samples[key] = here
        if self._traces is not None:
            self._traces.add_sample(sample)
        return Addition(sample)


class _Traces:
    """The released traces of a corpus and its samples by question; loaded only if a source brings traces."""

    def __init__(self, corpus: "IngestTarget") -> None:
        self.origins: set[bytes] = set()
        self.responses: dict[bytes, tuple[str, int]] = {}
        self._attempts: Counter[bytes] = Counter()
        self._questions: dict[bytes, list[_Question]] = {}
        query = f"select sample_id, teacher, response, origin.file, origin.\"row\" from traces where mode = '{MODE}'"
        for sample_id, teacher, response, file, row in _rows(corpus, query):
            self._count(sample_id, teacher, response, file, row)
        query = """select sample_id, problem, problem_type, options, truth_origin,
                          list_transform(media, m -> m.sha256) from samples"""
        for sample_id, problem, problem_type, options, truth_origin, sha256s in _rows(corpus, query):
            if problem is None or problem_type is None or not sha256s:
                continue  # no trace can be about it
            question = _Question(sample_id, problem_type, _join_options(options), truth_origin == "model")
            self._index(sha256s, problem, question)

    def _count(self, sample_id: str, teacher: str, response: str, file: str, row: int) -> int:
        self.origins.add(_key(teacher, file, row, response))
        self.responses.setdefault(_key(sample_id, teacher, response), (file, row))
        counted = _key(sample_id, teacher)
        self._attempts[counted] += 1
        return self._attempts[counted]

    def _index(self, sha256s: list[str], problem: str, question: _Question) -> None:
        self._questions.setdefault(_key(sha256s, _plain_text(problem)), []).append(question)

    def add_sample(self, row: dict[str, Any]) -> None:
        """Add a sample, so that later traces find it."""
        sha256s = [medium["sha256"] for medium in row["media"]]
        by_model = row["truth_origin"] == "model"
        question = _Question(row["sample_id"], row["problem_type"], _join_options(row["options"]), by_model)
        self._index(sha256s, row["problem"], question)

    def sample_for(self, draft: Draft, media: Sequence[Medium]) -> _Question | None:
        """The sample with these media that the trace's prompt asks: all of its text, or its first lines.

        The lines behind the question are what a prompt template added: options, the format asked for. Of several
        samples, one whose options the prompt shows goes first, then one of the type that the answer's shape speaks
        for, then one whose answer is not itself a model's.
        """
        sha256s, text = [medium.sha256 for medium in media], _plain_text(draft.problem)
        while text:
            if found := self._questions.get(_key(sha256s, text)):
                return max(
                    found,
                    key=lambda asked: (
                        asked.options is not None and all(o in draft.problem for o in asked.options.split("\n")),
                        asked.problem_type == draft.problem_type,
                        not asked.by_model,
                        asked.sample_id,
                    ),
                )
            text = text.rpartition("\n")[0].rstrip()
        return None

    def add(self, sample_id: str, trace: TraceDraft, teacher: str, origin: dict[str, Any]) -> dict[str, Any]:
        """The row of a new trace."""
        attempt = self._count(sample_id, teacher, trace.response, origin["file"], origin["row"])
        params = canonical_json(trace.params).decode()
        parts = split(trace.response)
        return {
            "trace_id": digest("trace", sample_id, teacher, MODE, None, params, attempt),
            "sample_id": sample_id,
            "teacher": teacher,
            "mode": MODE,
            "params": params,
            "attempt": attempt,
            "response": trace.response,
            "thinking": parts.thinking,
            "answer": parts.answer,
            "origin": origin,
        }


def _sample_row(draft: Draft, media: Sequence[Medium], file: str, split: str | None) -> dict[str, Any]:
    truth = orjson.dumps(draft.truth).decode() if draft.truth is not None else None
    answer = draft.answer if draft.answer is not None else truth
    sha256s = [medium.sha256 for medium in media]
    asked = (draft.problem, draft.options, draft.problem_type, draft.data_type)
    row = {
        "sample_id": digest("sample", draft.source, *asked, answer, sha256s),
        "problem_type": draft.problem_type,
        "data_type": draft.data_type,
        "problem": draft.problem,
        "options": draft.options,
        "answer": draft.answer,
        "media": [medium.row() for medium in media],
        "truth": truth,
        "truth_origin": draft.truth_origin,
        "source": draft.source,
        "split": split,
        "licence": draft.licence,
        "origin": {"file": file, "row": draft.row, "key": draft.key},
    }
    row["task"] = task(draft.problem_type).family(row)
    return row


def _rows(corpus: "IngestTarget", query: str) -> Any:
    """Rows of a query, fetched a chunk at a time."""
    relation = corpus.sql(query)
    while chunk := relation.fetchmany(20_000):
        yield from chunk


def _plain_text(problem: str) -> str:
    return _PLACEHOLDER.sub("", problem).strip()


def _join_options(options: Sequence[str] | None) -> str | None:
    return "\n".join(options) if options else None


def _key(*parts: Any) -> bytes:
    return hashlib.sha256(canonical_json(parts)).digest()[:16]
