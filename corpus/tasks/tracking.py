"""Tracking: follow the object that is given by its box in the first frame.

Answer   {"boxes": {"1": [x1, y1, x2, y2], "2": [..], …}}, 0–1000, one box a second, key "1" the first frame
Reward   mean box IoU over the true frames, a missing frame counting 0
"""

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel

from corpus.answers.geometry import above_chance, box_iou, row_means
from corpus.answers.json_answers import floats, objects, stack_rows, strict_object
from corpus.answers.layouts import FRAME
from corpus.answers.tracks import Tracks, by_number, pair_boxes, shared_keys, strict_boxes, track_structure
from corpus.canvas import Canvas
from corpus.json_task import JsonTask, table
from corpus.scores import CHANCE_OVERLAP, Batch, Floats, Scores, Unparsed
from corpus.task import Example

KEYS = frozenset({"boxes"})
GIVEN = 1  # the key of the frame whose box the question gives away


class Track(BaseModel):
    """One box a second by frame number, 0–1000; frame k is second k − 1."""

    boxes: dict[int, tuple[float, float, float, float]]


class Tracking(JsonTask):
    """One box a second for the object given in the first frame."""

    name = "tracking"
    families = ("tracking",)
    ask = (
        "The box in the question is where the object is in the first frame. Follow it through the video, one frame a "
        'second: give JSON with one box for each frame, where key "1" is the first frame, "2" is one second later and '
        "so on (32 frames at most). A box is [x1, y1, x2, y2]: the left, top, right and bottom edges as whole numbers "
        "from 0 to 1000, where 1000 is the full width for x and the full height for y."
    )
    reply_example = '{"boxes": {"1": [405, 230, 654, 463], "2": [435, 223, 678, 446], "3": [415, 203, 691, 487]}}'
    Answer = Track
    examples = (
        Example(
            {"boxes": {"1": [0, 0, 100, 100], "2": [0, 0, 100, 100]}},
            truth={"boxes": {"1": [0, 0, 100, 100], "2": [0, 0, 100, 200]}},
            reward=0.5,
            data_type="video",
        ),
        Example(
            {"boxes": {"1": [0, 0, 100, 100]}},
            truth={"boxes": {"1": [0, 0, 100, 100], "2": [0, 0, 100, 200]}},
            reward=0,
            data_type="video",
        ),
    )

    def read(self, text: str, data_type: str) -> "array[float]":
        """Frame number and box of one frame after the other."""
        return strict_boxes(strict_object(text, KEYS)["boxes"], first=GIVEN)

    def kinds(self, count: int) -> str:
        """Frames."""
        return FRAME * (count // 5)

    def parse(self, text: str, data_type: str = "video") -> Track:
        """The track that a body text holds. Raises Unparsed."""
        return Track(boxes=by_number(self.read(text, data_type)))

    def read_truths(self, texts: Sequence[str | None], data_types: Sequence[str]) -> list[Any]:
        """A truth needs a frame beyond the given one, or there is nothing to score."""
        found = self.read_many(texts, data_types)
        return [
            None if track is None or isinstance(track, Unparsed) or track[-5] <= GIVEN else track for track in found
        ]

    def paper_of_proper(self, answers: Any, truths: Any, data_types: Any) -> tuple[Floats, Floats]:
        """Mean IoU over the true frames, the given one too; structure by the share of them that are answered."""
        tracks, true_tracks = _tracks(answers), _tracks(truths)
        boxes, true_boxes, rows, _ = pair_boxes(tracks, true_tracks)
        wanted = true_tracks.counts
        overlaps, shared = (np.bincount(rows, weights, len(wanted)) for weights in (box_iou(boxes, true_boxes), None))
        return overlaps / wanted, 0.25 + 0.25 * shared / wanted

    def paper_of_any(self, batch: Batch) -> Scores:
        """Mean IoU over the true frames, the given one too; structure for four numbers a box and for shared keys."""
        found, true = objects(batch.answers), objects(batch.truths, repeat=True)
        structure = np.array([track_structure(answer) for answer in found]) + shared_keys(found, true)
        return Scores(mean_over_truth(found, true), structure)

    def strict(self, batch: Batch) -> Scores:
        """Mean IoU over the true frames but the given one, boxes counting from a tenth of overlap on."""
        read = self.readings(batch)
        count = len(read.rows)
        tracks, true_tracks = _tracks(read.answers), _tracks(read.truths)
        boxes, true_boxes, rows, frames = pair_boxes(tracks, true_tracks)
        overlaps, scored = box_iou(boxes, true_boxes), frames != GIVEN
        wanted = np.bincount(true_tracks.rows, weights=true_tracks.boxes[:, 0] != GIVEN, minlength=count)
        answered, mean_iou, accuracy = (
            np.bincount(rows, weights=values * scored, minlength=count) / np.maximum(wanted, 1)
            for values in (np.ones(len(rows)), overlaps, above_chance(overlaps, CHANCE_OVERLAP))
        )
        return read.scores(accuracy, mean_iou=mean_iou, frames_answered=answered)

    def draw(self, canvas: Canvas, answer: Track) -> None:
        """The box of the frame that the canvas shows, and the path of its centre so far."""
        canvas.track({frame - GIVEN: box for frame, box in answer.boxes.items()})


def _tracks(readings: Sequence[Sequence[float]]) -> Tracks:
    return Tracks(table(readings, 5), np.array([len(track) // 5 for track in readings], dtype=np.intp))


def mean_over_truth(answers: list[dict[str, Any]], truths: list[dict[str, Any]]) -> np.ndarray[Any, Any]:
    """Mean IoU over the true keys, whatever the keys are; a value that is no box has IoU 0."""
    boxes, true_boxes, rows = [], [], []
    for row, (answer, truth) in enumerate(zip(answers, truths, strict=True)):
        mine, theirs = answer.get("boxes"), truth.get("boxes")
        if isinstance(mine, dict) and isinstance(theirs, dict):
            rows += [row] * len(theirs)
            boxes += [floats(mine.get(key), 4) for key in theirs]
            true_boxes += [floats(box, 4) for box in theirs.values()]
    (a, there), (b, known) = stack_rows(boxes, (4,)), stack_rows(true_boxes, (4,))
    overlaps = np.where(there & known, box_iou(a, b), 0.0)
    return row_means(overlaps, np.array(rows, dtype=np.intp), len(answers))
