"""What a task is: its answer, its prompt, its reward under each profile, its drawing and its worked examples.

A task file fills this base class; everything else (teachers, filters, trainers, benchmarks, the viewer) asks it.
"""

from __future__ import annotations

import gc
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from corpus.answers.geometry import Floats

if TYPE_CHECKING:
    from corpus.canvas import Canvas

MAX_ANSWER_CHARACTERS = 20_000  # the longest honest answer, 32 boxes with decimals, has under 2,000

CHANCE_OVERLAP = 0.1  # `strict` takes an overlap below this for none: covering everything is no answer
TRUTH_UNREADABLE = "truth_unreadable"

REPLY = (
    "Think it through step by step first: put your reasoning between <think> and </think>. Then put only the final "
    "answer between <answer> and </answer>. Reply in exactly this form and write nothing outside the tags:\n"
    "<think>your reasoning</think><answer>{example}</answer>"
)


class Unparsed(ValueError):  # noqa: N818, it names a state of the answer and not a fault of the program
    """An answer that can not be read; `reason` is one stable word that SQL can count."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@contextmanager
def collector_paused() -> Iterator[None]:
    """Python's cycle collector off for a while of parsing JSON: thousands of small lists are made and none is in a
    cycle, yet walking them again and again would take most of the time.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one task to score: answer bodies (None: none to read), true answers and what is known of each row."""

    answers: Sequence[str | None]
    truths: Sequence[str | None]
    data_types: Sequence[str]
    options: Sequence[Sequence[str] | None] = ()
    sources: Sequence[str | None] = ()

    def __post_init__(self) -> None:
        for name in ("options", "sources"):
            if not getattr(self, name):
                object.__setattr__(self, name, [None] * len(self.answers))

    def __len__(self) -> int:
        return len(self.answers)

    def take(self, rows: Sequence[int]) -> Batch:
        """Some of the rows."""
        return Batch(*([getattr(self, part.name)[row] for row in rows] for part in fields(self)))


@dataclass(frozen=True, slots=True)
class Scores:
    """One number a row. A NaN under `strict` means "could not be scored", and then the row's reason says why."""

    accuracy: Floats
    structure: Floats
    components: dict[str, Floats] = field(default_factory=dict)
    reasons: list[str | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.reasons:
            self.reasons.extend([None] * len(self.accuracy))


@dataclass(frozen=True, slots=True)
class Readings:
    """A batch read strictly: `rows` are the positions where both answer and truth could be read."""

    answers: list[Any]  # of `rows`
    truths: list[Any]  # of `rows`
    rows: NDArray[np.intp]
    unreadable: list[int]
    reasons: list[str | None]

    def scores(self, accuracy: Floats, **components: Floats) -> Scores:
        """Scores of the whole batch from those of `rows`: 0 for an unreadable answer, NaN for an unreadable truth."""
        count = len(self.reasons)
        whole = np.zeros(count)
        whole[self.rows] = accuracy
        whole[self.unreadable] = np.nan
        parts = {name: np.full(count, np.nan) for name in components}
        for name, values in components.items():
            parts[name][self.rows] = values
        return Scores(whole, np.zeros(count), parts, self.reasons)


@dataclass(frozen=True)
class Example:
    """A worked example: this answer, against this truth, has this `strict` accuracy."""

    answer: Any
    truth: Any
    reward: float
    data_type: str = "image"
    options: Sequence[str] | None = None


def wrong_as_released(batch: Batch) -> Scores:
    """What the released reward gives a wrong answer, and all answers of a type that it does not know."""
    return Scores(np.zeros(len(batch)), np.full(len(batch), 0.5))


class Task(ABC):
    """One answer type. Subclasses live in corpus/tasks, one a file, and are found by walking the folder."""

    name: ClassVar[str] = ""  # the problem_type of the released corpus
    version: ClassVar[int] = 1  # raise it when the prompt, the answer or the reward changes
    ask: ClassVar[str] = ""  # what to answer and how, in words; {example} is not filled in here
    reply_example: ClassVar[str] = ""  # the answer body shown in the reply format
    in_words: ClassVar[bool] = False  # answers in free text, which a judge or a reward model may score too
    Answer: ClassVar[Any] = str
    examples: ClassVar[Sequence[Example]] = ()

    # -- asking ------------------------------------------------------------------------------------------------------

    @property
    def template(self) -> str:
        """The prompt that a teacher sees and a model trains on, with {question} where the question goes."""
        return self.template_for("image")

    def template_for(self, data_type: str) -> str:
        """The template for images or for videos, where a task asks the two differently."""
        return "{question}\n\n" + self.ask + "\n\n" + REPLY.replace("{example}", self.reply_example)

    def prompt(self, sample: Mapping[str, Any]) -> str:
        """The template filled with a sample's question; media placeholders stay where the question has them."""
        return self.template_for(sample["data_type"]).replace("{question}", self.question(sample))

    def question(self, sample: Mapping[str, Any]) -> str:
        """The sample's question as the prompt shows it, options included as they are."""
        problem: str = sample["problem"].strip()
        options = sample.get("options")
        return problem + "\n\nOptions:\n" + "\n".join(options) if options else problem

    @abstractmethod
    def family(self, sample: Mapping[str, Any]) -> str:
        """Which of the ten task families a sample of this type belongs to."""

    # -- reading and scoring -----------------------------------------------------------------------------------------

    @abstractmethod
    def read(self, text: str, data_type: str) -> Any:
        """What a body text holds, in plain Python for scoring many; raises Unparsed where it holds no answer."""

    def parse(self, text: str, data_type: str = "image") -> Any:
        """The answer that a body text holds; raises Unparsed with a stable reason where it holds none."""
        found = self.read(text, data_type)
        return self.Answer(**found) if isinstance(found, dict) else found

    def reward(
        self,
        answer: Any,
        truth: Any,
        *,
        profile: str = "strict",
        data_type: str = "image",
        options: Sequence[str] | None = None,
        source: str | None = None,
    ) -> float:
        """Accuracy of one answer in [0, 1] (NaN: the truth can not be read), through the same code as a batch."""
        batch = Batch([written(answer)], [written(truth)], [data_type], [options], [source])
        return float(getattr(self, profile)(batch).accuracy[0])

    def paper(self, batch: Batch) -> Scores:
        """The released reward; a type of ours is one that it does not know."""
        return wrong_as_released(batch)

    @abstractmethod
    def strict(self, batch: Batch) -> Scores:
        """Our reward, the default for filtering and for new training; see docs/rewards.md for its rules."""

    def readings(self, batch: Batch) -> Readings:
        """Every answer and every truth of a batch through `read`; a truth that comes again is read once."""
        asked = list(zip(batch.truths, batch.data_types, strict=True))
        fresh = [row for row, one in enumerate(asked) if not row or one != asked[row - 1]]  # traces of one sample
        with collector_paused():  # usually follow one another
            truths = self.read_truths([asked[row][0] for row in fresh], [asked[row][1] for row in fresh])
            answers = self.read_many(batch.answers, batch.data_types)
        known = [None if isinstance(truth, Unparsed) else truth for truth in truths]
        if len(fresh) < len(asked):
            known = [known[place - 1] for place in np.searchsorted(fresh, range(len(asked)), side="right")]
        reasons = [error.reason if isinstance(error, Unparsed) else None for error in answers]
        unreadable = [row for row, truth in enumerate(known) if truth is None]
        for row in unreadable:
            reasons[row] = TRUTH_UNREADABLE
        rows = [row for row, answer in enumerate(answers) if answer is not None and reasons[row] is None]
        return Readings(
            [answers[row] for row in rows], [known[row] for row in rows], np.array(rows, np.intp), unreadable, reasons
        )

    def read_many(self, texts: Sequence[str | None], data_types: Sequence[str]) -> list[Any]:
        """Each text through `read`: what it holds, the Unparsed that says why not, or None where there is no text."""
        return [None if text is None else self._tried(text, kind) for text, kind in zip(texts, data_types, strict=True)]

    def _tried(self, text: str, data_type: str) -> Any:
        try:
            return self.read(text, data_type)
        except Unparsed as error:
            return error.with_traceback(None)

    def read_truths(self, texts: Sequence[str | None], data_types: Sequence[str]) -> list[Any]:
        """What true answers hold; as answers are read, where a task does not say otherwise."""
        return self.read_many(texts, data_types)

    # -- showing -----------------------------------------------------------------------------------------------------

    def draw(self, canvas: Canvas, answer: Any) -> None:
        """Draw a parsed answer (or its text) onto an image or a frame."""
        canvas.label(written(answer))


def written(answer: Any) -> str:
    """An answer as the body text that a model would write: JSON for a mapping, a list or a model, plain text else."""
    if isinstance(answer, str):
        return answer
    if isinstance(answer, BaseModel):
        return answer.model_dump_json(exclude_none=True)
    return json.dumps(answer) if isinstance(answer, dict | list | int | float) else str(answer)


def modality(sample: Mapping[str, Any]) -> str:
    """`image` or `video`; the mixed `video-image` of some evaluation files counts as video."""
    return "image" if sample["data_type"].strip().lower() == "image" else "video"
