"""The base class of a task: its answer, prompt, reward under each profile, drawing and worked examples.

A task file fills it in; teachers, filters, trainers, benchmarks and the viewer all use it.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import BaseModel

from corpus.answers.json_answers import pause_collector
from corpus.scores import TRUTH_UNREADABLE, Batch, Readings, Scores, Unparsed, wrong_as_released

if TYPE_CHECKING:
    from corpus.canvas import Canvas

REPLY = (
    "Think it through step by step first: put your reasoning between <think> and </think>. Then put only the final "
    "answer between <answer> and </answer>. Reply in exactly this form and write nothing outside the tags:\n"
    "<think>your reasoning</think><answer>{example}</answer>"
)


@dataclass(frozen=True)
class Example:
    """A worked example: this answer, against this truth, has this `strict` accuracy."""

    answer: Any
    truth: Any
    reward: float
    data_type: str = "image"
    options: Sequence[str] | None = None


QA = ("image QA", "video QA")  # the families of a task that asks a question of either


class Task(ABC):
    """One answer type. Subclasses live in corpus/tasks, one a file, and are found by walking the folder."""

    name: ClassVar[str] = ""  # the problem_type of the released corpus
    families: ClassVar[Sequence[str]]  # of the ten task families, those that its samples may belong to
    version: ClassVar[int] = 1  # raise it when the prompt, the answer or the reward changes
    ask: ClassVar[str] = ""  # what to answer and in which form
    reply_example: ClassVar[str] = ""  # the answer body shown in the reply format
    in_words: ClassVar[bool] = False  # answers in free text, which a judge or a reward model may score too
    Answer: ClassVar[Any] = str
    examples: ClassVar[Sequence[Example]] = ()

    def __init__(self) -> None:
        if not getattr(self, "families", ()):
            raise TypeError(f"the task {type(self).__name__} declares no `families`")

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

    def family(self, sample: Mapping[str, Any]) -> str:
        """Which of `families` a sample belongs to: the only one, or the first one of its modality."""
        if len(self.families) == 1:
            return self.families[0]
        return next(name for name in self.families if name.startswith(modality(sample)))

    # -- reading and scoring -----------------------------------------------------------------------------------------

    @abstractmethod
    def read(self, text: str, data_type: str) -> Any:
        """The answer in a body text, as plain Python for batch scoring. Raises Unparsed if there is none."""

    def parse(self, text: str, data_type: str = "image") -> Any:
        """The answer in a body text. Raises Unparsed, with a stable reason, if there is none."""
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
        """Accuracy of one answer in [0, 1] (NaN: the truth cannot be read), by the code that scores a batch."""
        batch = Batch([format_answer(answer)], [format_answer(truth)], [data_type], [options], [source])
        return float(getattr(self, profile)(batch).accuracy[0])

    def paper(self, batch: Batch) -> Scores:
        """The released reward, which does not know the types that are not in the released corpus."""
        return wrong_as_released(batch)

    @abstractmethod
    def strict(self, batch: Batch) -> Scores:
        """Our reward, the default for filtering and for new training; see docs/reference/rewards.md for its rules."""

    def readings(self, batch: Batch) -> Readings:
        """Every answer and truth of a batch, read; consecutive equal truths are read once."""
        asked = list(zip(batch.truths, batch.data_types, strict=True))
        fresh = [row for row, one in enumerate(asked) if not row or one != asked[row - 1]]  # traces of one sample
        with pause_collector():  # usually follow one another
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
        """`read` of each text: its answer, the Unparsed that says why there is none, or None for no text."""
        return [
            None if text is None else self._read_or_error(text, kind)
            for text, kind in zip(texts, data_types, strict=True)
        ]

    def _read_or_error(self, text: str, data_type: str) -> Any:
        try:
            return self.read(text, data_type)
        except Unparsed as error:
            return error.with_traceback(None)

    def read_truths(self, texts: Sequence[str | None], data_types: Sequence[str]) -> list[Any]:
        """`read_many` for true answers."""
        return self.read_many(texts, data_types)

    # -- showing -----------------------------------------------------------------------------------------------------

    def draw(self, canvas: Canvas, answer: Any) -> None:
        """Draw a parsed answer (or its text) onto an image or a frame."""
        canvas.label(format_answer(answer))


def format_answer(answer: Any) -> str:
    """An answer as body text: JSON for a mapping, a list or a pydantic model, else plain text."""
    if isinstance(answer, str):
        return answer
    if isinstance(answer, BaseModel):
        return answer.model_dump_json(exclude_none=True)
    return json.dumps(answer) if isinstance(answer, dict | list | int | float) else str(answer)


def modality(sample: Mapping[str, Any]) -> str:
    """`image` or `video`; the mixed `video-image` of some evaluation files counts as video."""
    return "image" if sample["data_type"].strip().lower() == "image" else "video"
