"""Spatio-temporal grounding: find when something happens in a video and where it is in each second of that time.

Answer   {"time": [start, end], "boxes": {"9": [x1, y1, x2, y2], …}}, seconds; one box, 0–1000, a whole second
Reward   half the overlap of the spans, half the mean box IoU over every second that either answer or truth names
"""

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel

from corpus.answers.geometry import above_chance, box_iou, row_means, span_iou
from corpus.answers.json_answers import floats, objects, stack_rows, strict_object, strict_span
from corpus.answers.layouts import SECOND, SPAN
from corpus.answers.tracks import Tracks, by_number, pair_boxes, shared_keys, strict_boxes, track_structure
from corpus.canvas import Canvas
from corpus.json_task import JsonTask, table
from corpus.scores import CHANCE_OVERLAP, Batch, Floats, Scores
from corpus.task import Example

KEYS = frozenset({"time", "boxes"})


class Tube(BaseModel):
    """A span in seconds and one box a whole second, 0–1000."""

    time: tuple[float, float]
    boxes: dict[int, tuple[float, float, float, float]]


class SpatialTemporalGrounding(JsonTask):
    """A span, and a box for each whole second in it."""

    name = "spatial-temporal grounding"
    families = ("spatio-temporal grounding",)
    ask = (
        "Give the time span in which this happens in the video, and the box round the object or person in question "
        "for every whole second in that span, as JSON. Times are seconds from the beginning of the video; each key of "
        '"boxes" is a whole second within the span, both ends included. A box is [x1, y1, x2, y2]: the left, top, '
        "right and bottom edges as whole numbers from 0 to 1000, where 1000 is the full width for x and the full "
        "height for y."
    )
    reply_example = (
        '{"time": [8.1, 11.5], "boxes": {"9": [317, 422, 582, 997], "10": [332, 175, 442, 369], '
        '"11": [340, 180, 450, 370]}}'
    )
    Answer = Tube
    examples = (
        Example(
            {"time": [1, 2], "boxes": {"1": [0, 0, 10, 10], "2": [0, 0, 10, 10]}},
            truth={"time": [1, 2], "boxes": {"1": [0, 0, 10, 10], "2": [0, 0, 10, 20]}},
            reward=0.875,
            data_type="video",
        ),
        Example(
            {"time": [1, 2], "boxes": {"1": [0, 0, 10, 10]}},
            truth={"time": [1, 2], "boxes": {"1": [0, 0, 10, 10], "2": [0, 0, 10, 20]}},
            reward=0.75,
            data_type="video",
        ),
    )

    def read(self, text: str, data_type: str) -> "array[float]":
        """Start and end, then second and box of one second after the other."""
        found = strict_object(text, KEYS)
        return array("d", strict_span(found["time"])) + strict_boxes(found["boxes"], first=0)

    def kinds(self, count: int) -> str:
        """A span and seconds."""
        return SPAN + SECOND * (count // 5)

    def parse(self, text: str, data_type: str = "video") -> Tube:
        """The tube that a body text holds. Raises Unparsed."""
        found = self.read(text, data_type)
        return Tube(time=tuple(found[:2]), boxes=by_number(found[2:]))

    def paper_of_proper(self, answers: Any, truths: Any, data_types: Any) -> tuple[Floats, Floats]:
        """Half span IoU, half mean box IoU over the shared seconds; structure by their share of the true ones."""
        (spans, tubes), (true_spans, true_tubes) = _spans_and_boxes(answers), _spans_and_boxes(truths)
        boxes, true_boxes, rows, _ = pair_boxes(tubes, true_tubes)
        mean_iou = row_means(box_iou(boxes, true_boxes), rows, len(spans))
        shared = np.bincount(rows, minlength=len(spans)) / true_tubes.counts
        return 0.5 * span_iou(spans, true_spans) + 0.5 * mean_iou, 0.25 + 0.25 * shared

    def paper_of_any(self, batch: Batch) -> Scores:
        """Half span IoU, half mean box IoU over the keys that both have, so that a missing second costs nothing."""
        found, true = objects(batch.answers), objects(batch.truths, repeat=True)
        spans, there = stack_rows([floats(answer.get("time"), 2) for answer in found], (2,))
        true_spans, known = stack_rows([floats(truth.get("time"), 2) for truth in true], (2,))
        tiou = np.where(there & known, span_iou(spans, true_spans), 0.0)
        structure = np.array([tube_structure(answer) for answer in found]) + shared_keys(found, true)
        return Scores(0.5 * tiou + 0.5 * mean_over_shared(found, true), structure)

    def strict(self, batch: Batch) -> Scores:
        """Half span IoU, half mean box IoU over the seconds of either side, one that only one side names counting 0."""
        read = self.readings(batch)
        count = len(read.rows)
        (spans, tubes), (true_spans, true_tubes) = _spans_and_boxes(read.answers), _spans_and_boxes(read.truths)
        boxes, true_boxes, rows, _ = pair_boxes(tubes, true_tubes)
        tiou, overlaps = span_iou(spans, true_spans), box_iou(boxes, true_boxes)
        shared = np.bincount(rows, minlength=count)
        seconds = np.maximum(tubes.counts + true_tubes.counts - shared, 1)
        counted = np.bincount(rows, weights=above_chance(overlaps, CHANCE_OVERLAP), minlength=count) / seconds
        mean_iou = np.bincount(rows, weights=overlaps, minlength=count) / seconds
        accuracy = 0.5 * above_chance(tiou, CHANCE_OVERLAP) + 0.5 * counted
        return read.scores(accuracy, tiou=tiou, mean_iou=mean_iou, seconds_shared=shared / seconds)

    def draw(self, canvas: Canvas, answer: Tube) -> None:
        """A bar on the timeline strip, and the box of the second that the canvas shows."""
        canvas.span(*answer.time)
        canvas.track(answer.boxes)


def _spans_and_boxes(readings: Sequence[Sequence[float]]) -> tuple[Floats, Tracks]:
    """Readings taken apart: the spans (n, 2), and all boxes."""
    sizes = np.array([len(reading) for reading in readings], dtype=np.intp)
    flat = table(readings, 1).ravel()
    ends = (np.cumsum(sizes) - sizes)[:, None] + np.arange(2)
    return flat[ends], Tracks(np.delete(flat, ends.ravel()).reshape(-1, 5), sizes // 5)


def tube_structure(answer: dict[str, Any]) -> float:
    """0.25 of structure for two things as time and four numbers a box, as the released reward gives it."""
    time = answer.get("time")
    return track_structure(answer) if isinstance(time, list) and len(time) == 2 else 0.0


def mean_over_shared(answers: list[dict[str, Any]], truths: list[dict[str, Any]]) -> np.ndarray[Any, Any]:
    """Mean IoU over the keys that both have, whatever they are; a value that is no box has IoU 0."""
    boxes, true_boxes, rows = [], [], []
    for row, (answer, truth) in enumerate(zip(answers, truths, strict=True)):
        mine, theirs = answer.get("boxes"), truth.get("boxes")
        if isinstance(mine, dict) and isinstance(theirs, dict):
            shared = [key for key in mine if key in theirs]
            rows += [row] * len(shared)
            boxes += [floats(mine[key], 4) for key in shared]
            true_boxes += [floats(theirs[key], 4) for key in shared]
    (a, there), (b, known) = stack_rows(boxes, (4,)), stack_rows(true_boxes, (4,))
    overlaps = np.where(there & known, box_iou(a, b), 0.0)
    return row_means(overlaps, np.array(rows, dtype=np.intp), len(answers))
