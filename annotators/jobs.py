"""What a run has to ask: the slice's samples, their prompts and parameters, less the traces that are there already."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq

from annotators.flags import RETRIED
from annotators.media_pool import EncoderPool, MediaOptions
from annotators.messages import ContentPart, Request, TextPart
from annotators.modes import Mode, mode
from annotators.settings import Settings
from corpus import Corpus, OneThinkerError, UsageError
from corpus.ids import canonical_json, digest
from corpus.ingest.rules import odd_sample
from corpus.scratch import scratch_folder
from corpus.sql_gate import condition
from corpus.task import Task, modality
from corpus.tasks import task, tasks

FPS, MAX_FRAMES = 2.0, 64  # of a video, where its task has no wish of its own
_PLACEHOLDER = re.compile(r"<(image|video)>")
_FIELD = re.compile(r"\{(\w+)\}")
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class PromptSpec:
    """How samples of one problem and data type are asked: the same words and parameters for all of them."""

    task: Task
    prompt_id: str
    template: str
    params: str  # canonical JSON of all else that shapes the response
    media: MediaOptions


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job in plain values: what its trace says of the request. One line of a batch's jobs.jsonl."""

    trace_id: str
    claim_id: str
    sample_id: str
    teacher: str
    mode: str
    prompt_id: str
    params: str
    attempt: int
    question: str
    max_usd: str | None = None  # what was reserved for a request of a batch; None for live requests and in old files


@dataclass(frozen=True, slots=True)
class Job:
    """One trace to be had: a sample, how to ask, and which attempt; k, k + n, k + 2n … are tries at slot k."""

    sample: dict[str, Any]
    spec: PromptSpec
    slot: int
    attempt: int
    teacher: str
    mode: str

    @property
    def trace_id(self) -> str:
        """The deterministic id of the trace that this job makes."""
        return self._id(self.attempt)

    @property
    def ids(self) -> tuple[str, str]:
        """The trace's id, and what two workers must not both hold: the id of the slot's first try."""
        return (own := self.trace_id), own if self.attempt == self.slot else self._id(self.slot)

    @property
    def params(self) -> str:
        """The parameters of the request, and which trace the job is about if it is about one."""
        about = self.sample.get("about")
        return self.spec.params if about is None else f'{{"about":"{about}",{self.spec.params[1:]}'

    @property
    def row(self) -> JobRow:
        """The job without its media and its task."""
        sample, spec = self.sample, self.spec
        trace_id, claim_id = self.ids
        how = (self.teacher, self.mode, spec.prompt_id, self.params, self.attempt)
        return JobRow(trace_id, claim_id, sample["sample_id"], *how, sample["problem"])

    def _id(self, attempt: int) -> str:
        key = (self.sample["sample_id"], self.teacher, self.mode, self.spec.prompt_id, self.params, attempt)
        return digest("trace", *key)

    def next_try(self, settings: Settings) -> "Job | None":
        """The next try at the same slot, after an odd response; None if there were enough."""
        attempt = self.attempt + settings.n
        return replace(self, attempt=attempt) if attempt < settings.n * (1 + settings.odd_retries) else None


class JobPlan:
    """The jobs of one run, worked out in SQL and kept on disk, so that a slice of any size takes no memory."""

    def __init__(self, corpus: Corpus, settings: Settings, address: str) -> None:
        self.corpus = corpus
        self.settings = settings
        self.address = address
        self.mode: Mode = mode(settings.mode)
        self.system = settings.system.read_text(encoding="utf-8").strip() if settings.system else None
        self.where = f"from {self.mode.FROM} where {condition(settings.where)} and ({self.mode.WHERE})"

    @cached_property
    def specs(self) -> dict[tuple[str, str], PromptSpec]:
        """How each kind of sample in the slice is asked, by problem type and data type."""
        try:
            kinds = self.corpus.sql(f"select distinct problem_type, data_type {self.where} order by all").fetchall()
        except OneThinkerError as error:
            raise UsageError(f"--where {self.settings.where!r}: {error}") from None
        odd = [f"{kind!r} of {data!r}" for kind, data in kinds if odd_sample(kind, data, tasks())]
        if odd:
            print(
                f"skipped: samples of unknown types, {', '.join(odd)}; `onethinker check` names them", file=sys.stderr
            )
        return {
            (kind, data): self._ask(task(kind), data) for kind, data in kinds if not odd_sample(kind, data, tasks())
        }

    def _ask(self, of: Task, data_type: str) -> PromptSpec:
        s = self.settings
        given = s.prompt.read_text(encoding="utf-8") if s.prompt else of.template_for(data_type)
        template = self.mode.template(given, of)
        fps: float = s.fps if s.fps is not None else getattr(of, "fps", FPS)
        frames: int = s.max_frames if s.max_frames is not None else getattr(of, "max_frames", MAX_FRAMES)
        media = MediaOptions(s.image_pixels, s.frame_pixels, fps, frames, s.native_video)
        params: dict[str, Any] = {
            "address": s.address or self.address,
            "max_tokens": s.max_tokens,
            "temperature": s.temperature,
            "top_p": s.top_p,
            "effort": s.effort,
            "thinking_tokens": s.thinking_tokens,
            "seed": s.seed or None,
            "system": digest(self.system) if self.system else None,
            "image_pixels": s.image_pixels,
        }
        if modality({"data_type": data_type}) == "video":
            sampled = {"fps": fps, "max_frames": frames, "frame_pixels": s.frame_pixels}
            params |= {"native_video": True} if s.native_video else sampled
        kept = {name: value for name, value in params.items() if value is not None}
        return PromptSpec(of, digest(template), template, canonical_json(kept).decode(), media)

    def prompts(self) -> list[dict[str, Any]]:
        """Rows for `prompts`: every template whole, and the system prompt under the id that `params` names."""
        rows = [
            {
                "prompt_id": spec.prompt_id,
                "problem_type": spec.task.name,
                "mode": self.settings.mode,
                "text": spec.template,
            }
            for spec in self.specs.values()
        ]
        if self.system:
            rows.append({"prompt_id": digest(self.system), "mode": "system", "text": self.system})
        return rows

    @contextmanager
    def jobs(self) -> Iterator["Jobs"]:
        """The jobs that are left to do, in an order that mixes tasks and is always the same."""
        with TemporaryDirectory(dir=scratch_folder(), prefix="plan-") as folder:
            self._write(Path(folder))
            yield Jobs(self, Path(folder))

    def _write(self, folder: Path) -> None:
        s = self.settings
        columns = ", ".join(self.mode.COLUMNS)
        key = "about" if "about" in self.mode.COLUMNS else "sample_id"
        chosen = f"select {key} {self.where} order by sample_id, {key} limit {s.limit}"
        limit = f"and {key} in ({chosen})" if s.limit else ""
        # Written out: what has parameters DuckDB's Python client reads whole before it hands out or writes a row.
        asks = _literal([[*kind, spec.prompt_id, spec.params] for kind, spec in self.specs.items()] or [[None] * 4])
        whose = f"teacher = {_literal(s.teacher)} and mode = {_literal(s.mode)}"
        names = ", ".join(f"s.{column}" for column in self.mode.COLUMNS)
        # `about` sorts before all other parameters, so that canonical JSON begins with it.
        params = """'{"about":"' || s.about || '",' || asks.a[4][2:]""" if "about" in self.mode.COLUMNS else "asks.a[4]"
        query = f"""
            with slice as (select {columns} {self.where} {limit}),
                 asks as (select unnest({asks}, recursive := false) as a),
                 past as (
                    select sample_id, prompt_id, params, attempt % {s.n} as slot, max(attempt) as last,
                           bool_or(not coalesce(list_contains({_literal(list(RETRIED))}, flag), false)) as done
                    from traces where {whose} and attempt is not null group by all)
            select {names}, r.slot::int as slot, coalesce(p.last + {s.n}, r.slot)::int as attempt, s.{key} as key,
                   left(s.{key}, 1) as part
            from slice s join asks on asks.a[1] = s.problem_type and asks.a[2] = s.data_type
                 cross join range({s.n}) r(slot)
                 left join past p on p.sample_id = s.sample_id and p.slot = r.slot
                                 and p.prompt_id = asks.a[3] and p.params = {params}
            where not coalesce(p.done, false) and coalesce(p.last + {s.n}, r.slot) < {s.n * (1 + s.odd_retries)}"""
        # Written in parts by the first character of the key, which are sorted as they are read: sorting a slice of
        # 600k samples as a whole took half a gigabyte.
        self.corpus.sql(query).write_parquet(str(folder), partition_by=["part"], row_group_size=2048)

    def measured(self) -> list[tuple[str, str, float, float]]:
        """Mean input and output tokens of this teacher's traces so far, by problem type and data type."""
        query = """select problem_type, data_type, avg(input_tokens), avg(output_tokens)
                   from traces join samples using (sample_id)
                   where teacher = $teacher and mode = $mode and output_tokens is not null group by all"""
        return self.corpus.sql(query, {"teacher": self.settings.teacher, "mode": self.settings.mode}).fetchall()

    async def encode_request(self, job: Job, encoder: EncoderPool) -> Request:
        """The request for a job, its media encoded. Raises Undecodable."""
        keep = self.settings.n > 1
        media = [await encoder.parts(medium, job.spec.media, keep=keep) for medium in job.sample["media"] or ()]
        return self.request(job, media)

    def request(self, job: Job, media: list[list[ContentPart]]) -> Request:
        """The request for a job, its media in the places that the question has for them, else in front."""
        s = self.settings
        question = job.spec.task.question(job.sample)
        fields = self.mode.fields(job.sample, question)
        prompt = _FIELD.sub(lambda found: fields.get(found[1], found[0]), job.spec.template)
        return Request(
            parts=tuple(interleave(prompt, media)),
            max_tokens=s.max_tokens,
            system=self.system,
            temperature=s.temperature,
            top_p=s.top_p,
            seed=s.seed + job.attempt,
            effort=s.effort,
            thinking_tokens=s.thinking_tokens,
        )


def _literal(value: str | list[Any] | None) -> str:
    """Text, nothing, or lists of them, as SQL."""
    if value is None:
        return "null::varchar"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return f"[{', '.join(map(_literal, value))}]"


class Jobs:
    """The jobs of a plan, read from disk in batches, the same order each time."""

    def __init__(self, plan: JobPlan, folder: Path) -> None:
        self._plan = plan
        self._parts = sorted(folder.glob("part=*"))
        read = (pq.read_metadata(file) for part in self._parts for file in part.glob("*.parquet"))  # type: ignore[no-untyped-call]
        self._rows: int = sum(metadata.num_rows for metadata in read)

    def __len__(self) -> int:
        return self._rows

    def batches(self) -> Iterator[list[Job]]:
        """The jobs, a thousand at a time."""
        s, specs = self._plan.settings, self._plan.specs
        rows = self._read()
        while batch := list(islice(rows, _ROWS_AT_ONCE)):
            jobs = []
            for row in batch:
                slot, attempt = row.pop("slot"), row.pop("attempt")
                jobs.append(Job(row, specs[row["problem_type"], row["data_type"]], slot, attempt, s.teacher, s.mode))
            yield jobs

    def _read(self) -> Iterator[dict[str, Any]]:
        for part in self._parts:
            files = str(part / "*.parquet").replace("'", "''")
            rows = f"select * exclude (key) from read_parquet('{files}', hive_partitioning = false) order by key, slot"
            for batch in self._plan.corpus.sql(rows).to_arrow_reader(_ROWS_AT_ONCE):
                yield from batch.to_pylist()


def interleave(prompt: str, media: list[list[ContentPart]]) -> list[ContentPart]:
    """The prompt's words with each medium's parts at its `<image>` or `<video>`, in order; the rest goes in front.

    Placeholders beyond the media there are fall away.
    """
    pieces = _PLACEHOLDER.split(prompt)
    words, places = pieces[::2], len(pieces) // 2
    first = media[: len(media) - places] if len(media) > places else []
    waiting = iter(media[len(first) :])
    parts = [part for medium in first for part in medium]
    for number, text in enumerate(words):
        if number:
            parts += next(waiting, [])
        if text.strip():
            parts.append(TextPart(text.strip() if number in (0, len(words) - 1) else text))
    return parts
