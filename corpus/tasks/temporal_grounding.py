"""Temporal grounding: find when the described event happens in a video.

Answer   {"time": [start, end]}, in seconds
Reward   overlap of the two spans over the length that they cover together, from 0 to 1
"""

from typing import Any

import numpy as np
from pydantic import BaseModel

from corpus.answers.geometry import above_chance, span_iou
from corpus.answers.json_answers import floats, objects, stack_rows, strict_object, strict_span
from corpus.answers.layouts import SPAN
from corpus.canvas import Canvas
from corpus.json_task import JsonTask, table
from corpus.scores import CHANCE_OVERLAP, Batch, Floats, Scores
from corpus.task import Example

KEYS = frozenset({"time"})


class Span(BaseModel):
    """A span of a video in seconds."""

    time: tuple[float, float]


class TemporalGrounding(JsonTask):
    """One span of seconds for one described event."""

    name = "temporal grounding"
    families = ("temporal grounding",)
    ask = (
        "Give the time span in which this happens in the video, as JSON with the start and the end in seconds from "
        "the beginning of the video."
    )
    reply_example = '{"time": [12.3, 25.7]}'
    Answer = Span
    examples = (
        Example({"time": [2, 6]}, truth={"time": [4, 8]}, reward=1 / 3, data_type="video"),
        Example({"time": [0, 1]}, truth={"time": [4, 8]}, reward=0, data_type="video"),
        Example({"time": [8, 4]}, truth={"time": [4, 8]}, reward=0, data_type="video"),
    )

    def read(self, text: str, data_type: str) -> list[float]:
        """Start and end."""
        return strict_span(strict_object(text, KEYS)["time"])

    def kinds(self, count: int) -> str:
        """A span."""
        return SPAN

    def parse(self, text: str, data_type: str = "video") -> Span:
        """The span that a body text holds. Raises Unparsed."""
        return Span(time=self.read(text, data_type))

    def paper_of_proper(self, answers: Any, truths: Any, data_types: Any) -> tuple[Floats, Floats]:
        """Span IoU; 0.5 of structure."""
        overlap = span_iou(table(answers, 2), table(truths, 2))
        return overlap, np.full(len(overlap), 0.5)

    def paper_of_any(self, batch: Batch) -> Scores:
        """Span IoU of any two numbers; 0.5 of structure for any two numbers."""
        spans, there = stack_rows([floats(found.get("time"), 2) for found in objects(batch.answers)], (2,))
        truths = objects(batch.truths, repeat=True)
        true_spans, known = stack_rows([floats(found.get("time"), 2) for found in truths], (2,))
        return Scores(np.where(there & known, span_iou(spans, true_spans), 0.0), np.where(there, 0.5, 0.0))

    def strict(self, batch: Batch) -> Scores:
        """Span IoU of two proper spans, from a tenth on."""
        read = self.readings(batch)
        overlap = span_iou(table(read.answers, 2), table(read.truths, 2))
        return read.scores(above_chance(overlap, CHANCE_OVERLAP), tiou=overlap)

    def draw(self, canvas: Canvas, answer: Span) -> None:
        """A bar on the timeline strip."""
        canvas.span(*answer.time)
