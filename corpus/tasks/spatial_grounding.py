"""Spatial grounding: put a box round the described object in an image.

Answer   {"boxes": [x1, y1, x2, y2]}, 0–1000 by width and height
Reward   intersection over union of the two boxes, from 0 to 1
"""

from typing import Any

import numpy as np
from pydantic import BaseModel

from corpus.answers.geometry import above_chance, box_iou
from corpus.answers.json_answers import floats, objects, stack_rows, strict_box, strict_object
from corpus.answers.layouts import BOX
from corpus.canvas import Canvas
from corpus.json_task import JsonTask, table
from corpus.scores import CHANCE_OVERLAP, Batch, Floats, Scores
from corpus.task import Example

KEYS = frozenset({"boxes"})


class Place(BaseModel):
    """One box, 0–1000."""

    boxes: tuple[float, float, float, float]


class SpatialGrounding(JsonTask):
    """One box for one described object."""

    name = "spatial grounding"
    families = ("spatial grounding",)
    ask = (
        "Give the box round the object that is asked for, as JSON with [x1, y1, x2, y2]: the left, top, right and "
        "bottom edges as whole numbers from 0 to 1000, where 1000 is the full width for x and the full height for y."
    )
    reply_example = '{"boxes": [35, 227, 437, 932]}'
    Answer = Place
    examples = (
        Example({"boxes": [0, 0, 100, 100]}, truth={"boxes": [0, 0, 100, 200]}, reward=0.5),
        Example({"boxes": [0, 0, 0, 0]}, truth={"boxes": [0, 0, 100, 200]}, reward=0),
        Example({"boxes": [[0, 0, 100, 200]]}, truth={"boxes": [0, 0, 100, 200]}, reward=1),
    )

    def read(self, text: str, data_type: str) -> list[float]:
        """The box's edges; a list of just one box is that box, since some released rows have it so."""
        boxes = strict_object(text, KEYS)["boxes"]
        nested = type(boxes) is list and len(boxes) == 1 and type(boxes[0]) is list
        return strict_box(boxes[0] if nested else boxes)

    def read_plain(self, text: str, data_type: str) -> list[float]:
        """A list of a box is no box to the released reward."""
        return strict_box(strict_object(text, KEYS)["boxes"])

    def kinds(self, count: int) -> str:
        """A box."""
        return BOX

    def parse(self, text: str, data_type: str = "image") -> Place:
        """The box that a body text holds. Raises Unparsed."""
        return Place(boxes=self.read(text, data_type))

    def paper_of_proper(self, answers: Any, truths: Any, data_types: Any) -> tuple[Floats, Floats]:
        """Box IoU; 0.5 of structure."""
        overlap = box_iou(table(answers, 4), table(truths, 4))
        return overlap, np.full(len(overlap), 0.5)

    def paper_of_any(self, batch: Batch) -> Scores:
        """Box IoU of any four numbers; 0.5 of structure for any four numbers."""
        boxes, there = stack_rows([floats(found.get("boxes"), 4) for found in objects(batch.answers)], (4,))
        truths = objects(batch.truths, repeat=True)
        true_boxes, known = stack_rows([floats(found.get("boxes"), 4) for found in truths], (4,))
        return Scores(np.where(there & known, box_iou(boxes, true_boxes), 0.0), np.where(there, 0.5, 0.0))

    def strict(self, batch: Batch) -> Scores:
        """Box IoU of two proper boxes, from a tenth on."""
        read = self.readings(batch)
        overlap = box_iou(table(read.answers, 4), table(read.truths, 4))
        return read.scores(above_chance(overlap, CHANCE_OVERLAP), iou=overlap)

    def draw(self, canvas: Canvas, answer: Place) -> None:
        """The box."""
        canvas.box(answer.boxes)
