"""What a corpus holds already, kept in memory while something is ingested: which drafts are new, and under which ids.

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
from corpus.ingest.rules import rejected
from corpus.media import Medium
from corpus.response import split
from corpus.sources import Draft, Rejected, TraceDraft
from corpus.tasks import task

if TYPE_CHECKING:
    from corpus.store import Corpus

MODE = "release"  # of traces that came in a file
_PLACEHOLDER = re.compile(r"<(?:image|video)>")
_ROW_BITS = 40


@dataclass(frozen=True, slots=True)
class Entry:
    """What one draft adds: a sample, a trace, both, or (known already) neither."""

    sample: dict[str, Any] | None = None
    trace: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """A sample of the corpus that a trace may belong to."""

    sample_id: str
    problem_type: str
    options: str | None
    by_model: bool


class Ledger:
    """The samples and released traces of a corpus by content, and every draft entered since."""

    def __init__(self, corpus: "Corpus") -> None:
        self._corpus = corpus
        self._files: dict[str, int] = {}
        self._names: list[str] = []
        self._samples: dict[bytes, int] = {}
        self._traces: _Traces | None = None
        query = 'select sample_id, origin.file, origin."row" from samples'
        for sample_id, file, row in _rows(corpus, query):
            self._samples[bytes.fromhex(sample_id)] = self._place(file, row)

    def _place(self, file: str, row: int) -> int:
        number = self._files.setdefault(file, len(self._files))
        if number == len(self._names):
            self._names.append(file)
        return number << _ROW_BITS | row

    def _told(self, place: int) -> str:
        return f"row {place & (1 << _ROW_BITS) - 1} of {self._names[place >> _ROW_BITS]}"

    def enter(
        self, draft: Draft, media: Sequence[Medium], *, file: str, split: str | None, teacher: str
    ) -> Entry | Rejected:
        """Decide what a faultless draft is: new, a trace of a sample that is there, known, or a duplicate."""
        sample = _sample(draft, media, file, split)
        key, here = bytes.fromhex(sample["sample_id"]), self._place(file, draft.row)
        if draft.trace is None:
            return self._question(draft, sample, key, here)
        traces = self._traces = self._traces or _Traces(self._corpus)
        place = (teacher, file, draft.row, draft.trace.response)
        if _key(*place) in traces.origins:
            return Entry()
        if draft.answered_by_trace:
            asked = traces.sample_for(draft, media)
            sample_id = asked.sample_id if asked else sample["sample_id"]
        else:
            sample_id = sample["sample_id"]
        said = _key(sample_id, teacher, draft.trace.response)
        if said in traces.responses:
            first = self._told(self._place(*traces.responses[said]))
            detail = f"the same response of {teacher} to the same sample is {first}"
            return rejected(draft, "messages", "duplicate", detail)
        new = sample_id == sample["sample_id"] and key not in self._samples
        if new:
            self._samples[key] = here
            traces.note_sample(sample)
        origin = sample["origin"]
        return Entry(sample if new else None, traces.enter(sample_id, draft.trace, teacher, origin))

    def _question(self, draft: Draft, sample: dict[str, Any], key: bytes, here: int) -> Entry | Rejected:
        first = self._samples.get(key)
        if first is not None:
            told = f"the same sample is {self._told(first)}"
            return Entry() if first == here else rejected(draft, "problem", "duplicate", told)
        self._samples[key] = here
        if self._traces is not None:
            self._traces.note_sample(sample)
        return Entry(sample)


class _Traces:
    """The released traces of a corpus, and its samples by what they ask: needed only where a source brings traces."""

    def __init__(self, corpus: "Corpus") -> None:
        self.origins: set[bytes] = set()
        self.responses: dict[bytes, tuple[str, int]] = {}
        self._attempts: Counter[bytes] = Counter()
        self._asked: dict[bytes, list[_Asked]] = {}
        query = f"select sample_id, teacher, response, origin.file, origin.\"row\" from traces where mode = '{MODE}'"
        for sample_id, teacher, response, file, row in _rows(corpus, query):
            self._note(sample_id, teacher, response, file, row)
        query = """select sample_id, problem, problem_type, options, truth_origin,
                          list_transform(media, m -> m.sha256) from samples"""
        for sample_id, problem, problem_type, options, truth_origin, sha256s in _rows(corpus, query):
            self._ask(sha256s, problem, _Asked(sample_id, problem_type, _joined(options), truth_origin == "model"))

    def _note(self, sample_id: str, teacher: str, response: str, file: str, row: int) -> int:
        self.origins.add(_key(teacher, file, row, response))
        self.responses.setdefault(_key(sample_id, teacher, response), (file, row))
        counted = _key(sample_id, teacher)
        self._attempts[counted] += 1
        return self._attempts[counted]

    def _ask(self, sha256s: list[str], problem: str, asked: _Asked) -> None:
        self._asked.setdefault(_key(sha256s, _plain(problem)), []).append(asked)

    def note_sample(self, row: dict[str, Any]) -> None:
        """Let later traces find a sample that is just being added."""
        sha256s = [medium["sha256"] for medium in row["media"]]
        asked = _Asked(row["sample_id"], row["problem_type"], _joined(row["options"]), row["truth_origin"] == "model")
        self._ask(sha256s, row["problem"], asked)

    def sample_for(self, draft: Draft, media: Sequence[Medium]) -> _Asked | None:
        """The sample with these media that the trace's prompt asks: all of its text, or its first lines.

        The lines behind the question are what a prompt template added: options, the format asked for. Of several
        samples, one whose options the prompt shows goes first, then one of the type that the answer's shape speaks
        for, then one whose answer is not itself a model's.
        """
        sha256s, text = [medium.sha256 for medium in media], _plain(draft.problem)
        while text:
            if found := self._asked.get(_key(sha256s, text)):
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

    def enter(self, sample_id: str, trace: TraceDraft, teacher: str, origin: dict[str, Any]) -> dict[str, Any]:
        """The row of a new trace."""
        attempt = self._note(sample_id, teacher, trace.response, origin["file"], origin["row"])
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


def _sample(draft: Draft, media: Sequence[Medium], file: str, split: str | None) -> dict[str, Any]:
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


def _rows(corpus: "Corpus", query: str) -> Any:
    """Rows of a query, fetched a chunk at a time."""
    relation = corpus.sql(query)
    while chunk := relation.fetchmany(20_000):
        yield from chunk


def _plain(problem: str) -> str:
    return _PLACEHOLDER.sub("", problem).strip()


def _joined(options: Sequence[str] | None) -> str | None:
    return "\n".join(options) if options else None


def _key(*parts: Any) -> bytes:
    return hashlib.sha256(canonical_json(parts)).digest()[:16]
