"""Segmentation: prompt a mask with a box round the object, three points on it and three beside it.

Answer   {"boxes": [x1, y1, x2, y2], "positive_points": [3×[x, y]], "negative_points": [3×[x, y]]}, 0–1000;
         for a video also "time": t, the second of the frame that they are for
Reward   image ½ box IoU + ¼ positive + ¼ negative; video 0.3 box IoU + 0.3 time + 0.2 positive + 0.2 negative
"""

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel

from corpus.answers.geometry import box_iou, closeness, match_distance
from corpus.answers.json_answers import (
    floats,
    objects,
    points,
    stack_rows,
    strict_box,
    strict_object,
    strict_points,
    strict_time,
)
from corpus.answers.layouts import BOX, MOMENT, POINT
from corpus.answers.masks import MalformedMask, MaskTruth, mask_truth
from corpus.canvas import Canvas
from corpus.json_task import JsonTask, table
from corpus.scores import CHANCE_OVERLAP, TRUTH_UNREADABLE, Batch, Floats, Scores
from corpus.task import Example, modality

IMAGE_KEYS = frozenset({"boxes", "positive_points", "negative_points"})
VIDEO_KEYS = IMAGE_KEYS | {"time"}
SIGMA = 50.0  # of point distances, in 1000ths of the picture
TIME_SCALE_S = 2.0
_NO_TIME = (0.0,)
HIT = 0.5  # the box IoU from which on points and time count in full; below it they count in proportion
IMAGE_WEIGHTS = (0.5, 0.0, 0.25, 0.25)  # box, time, positive, negative
VIDEO_WEIGHTS = (0.3, 0.3, 0.2, 0.2)

_ASK = (
    "Point out the object that is asked for, as JSON that can prompt a segmentation model:{time} the box round it, "
    "three points that lie on it (positive_points) and three points near it that do not (negative_points). A box is "
    "[x1, y1, x2, y2] and a point [x, y], in whole numbers from 0 to 1000, where 1000 is the full width for x and the "
    "full height for y."
)
_TIME = " the second of a frame in which it is well visible (time),"
_EXAMPLE = (
    '"boxes": [35, 227, 437, 932], "positive_points": [[150, 300], [230, 550], [320, 870]], '
    '"negative_points": [[20, 200], [470, 500], [250, 960]]}'
)


class MaskPrompt(BaseModel):
    """A box, three points on the object and three beside it, 0–1000; for a video the second they are for."""

    boxes: tuple[float, float, float, float]
    positive_points: list[tuple[float, float]]
    negative_points: list[tuple[float, float]]
    time: float | None = None


class Segmentation(JsonTask):
    """What one would click on to have the object cut out."""

    name = "segmentation"
    families = ("image segmentation", "video segmentation")
    ask = _ASK.replace("{time}", "")
    reply_example = "{" + _EXAMPLE
    Answer = MaskPrompt
    examples = (
        Example(
            {"boxes": [0, 0, 9, 9], "positive_points": [[1, 1], [2, 2], [3, 3]], "negative_points": [[20, 20]] * 3},
            truth={
                "boxes": [0, 0, 9, 9],
                "positive_points": [[3, 3], [1, 1], [2, 2]],
                "negative_points": [[20, 20]] * 3,
            },
            reward=1,
        ),
        Example(
            {"boxes": [500, 500, 600, 600], "positive_points": [[1, 1]] * 3, "negative_points": [[20, 20]] * 3},
            truth={"boxes": [0, 0, 9, 9], "positive_points": [[1, 1]] * 3, "negative_points": [[20, 20]] * 3},
            reward=0,
        ),
    )

    def template_for(self, data_type: str) -> str:
        """Videos are also asked for the second."""
        image = super().template_for(data_type)
        if modality({"data_type": data_type}) == "image":
            return image
        return image.replace(self.ask, _ASK.replace("{time}", _TIME)).replace(
            "{" + _EXAMPLE, '{"time": 15.2, ' + _EXAMPLE
        )

    def read(self, text: str, data_type: str) -> "array[float]":
        """Box, positive and negative points and, for a video, the time: 16 or 17 numbers."""
        video = modality({"data_type": data_type}) == "video"
        found = strict_object(text, VIDEO_KEYS if video else IMAGE_KEYS)
        time = [strict_time(found["time"])] if video else []
        box = strict_box(found["boxes"])
        on, off = strict_points(found["positive_points"]), strict_points(found["negative_points"])
        return array("d", (*box, *on, *off, *time))

    def kinds(self, count: int) -> str:
        """A box, six points and perhaps a moment."""
        return BOX + POINT * 6 + MOMENT * (count - 16)

    def parse(self, text: str, data_type: str = "image") -> MaskPrompt:
        """The box, the points and the time that a body text holds. Raises Unparsed."""
        row = self.read(text, data_type)
        pairs = [(row[place], row[place + 1]) for place in range(4, 16, 2)]
        time = row[16] if len(row) > 16 else None
        return MaskPrompt(boxes=tuple(row[:4]), positive_points=pairs[:3], negative_points=pairs[3:], time=time)

    def paper_of_proper(self, answers: Any, truths: Any, data_types: Any) -> tuple[Floats, Floats]:
        """Distances to the annotator's own points; 0.5 of structure for images and videos."""
        iou, time, on, off = _parts_by_points(_rows(answers), _rows(truths)).T
        kinds = np.array([_released_kind(data_type) for data_type in data_types])
        image, video = 0.5 * iou + 0.25 * on + 0.25 * off, 0.3 * iou + 0.3 * time + 0.2 * on + 0.2 * off
        accuracy = np.where(kinds == "image", image, np.where(kinds == "video", video, 0.0))
        return accuracy, np.where((kinds == "image") | (kinds == "video"), 0.5, 0.0)

    def paper_of_any(self, batch: Batch) -> Scores:
        """Distances to the annotator's own points; 0.5 of structure for numbers in the right places."""
        kinds = np.array([_released_kind(data_type) for data_type in batch.data_types])
        found, true = objects(batch.answers), objects(batch.truths, repeat=True)
        (boxes, a_box), (true_boxes, b_box) = _columns(found, true, "boxes", (4,))
        (positive, a_pos), (true_positive, b_pos) = _columns(found, true, "positive_points", (3, 2))
        (negative, a_neg), (true_negative, b_neg) = _columns(found, true, "negative_points", (3, 2))
        is_time = np.array([isinstance(answer.get("time"), int | float) for answer in found])
        pointed, complete = a_pos & a_neg & b_pos & b_neg, a_box & a_pos & a_neg
        iou = np.where(a_box & b_box, box_iou(boxes, true_boxes), 0.0)
        on, on_overflows = _released_closeness(positive, true_positive)
        off, off_overflows = _released_closeness(negative, true_negative)
        gap, timed = _time_gaps(found, true)
        with np.errstate(over="ignore", invalid="ignore"):
            video = 0.3 * iou + 0.3 * np.exp(-gap / TIME_SCALE_S) + 0.2 * on + 0.2 * off
        image = 0.5 * iou + 0.25 * on + 0.25 * off
        accuracy = np.where(kinds == "image", image, np.where((kinds == "video") & timed, video, 0.0))
        accuracy[~pointed | on_overflows | off_overflows] = 0.0
        sound = complete & ((kinds == "image") | ((kinds == "video") & is_time))
        return Scores(accuracy, np.where(sound, 0.5, 0.0))

    def strict(self, batch: Batch) -> Scores:
        """Points and time count only as far as the box is right; masks judge where the source has them."""
        read = self.readings(batch)
        answers, truths = _rows(read.answers), _rows(read.truths)
        masks = [mask_truth(source) if source else None for source in (batch.sources[row] for row in read.rows)]
        parts = _parts_by_points(answers, truths)
        for row, mask in enumerate(masks):
            try:
                if mask is not None:
                    parts[row] = _parts_by_mask(answers[row], mask)
            except MalformedMask:
                parts[row] = np.nan
                read.reasons[read.rows[row]] = TRUTH_UNREADABLE
        video = np.array([len(answer) > 16 for answer in read.answers], dtype=bool)
        weights = np.where(video[:, None], VIDEO_WEIGHTS, IMAGE_WEIGHTS)
        iou, time, on, off = parts.T
        accuracy = np.where(iou < CHANCE_OVERLAP, 0.0, 1.0) * np.minimum(1.0, iou / HIT) * (weights * parts).sum(axis=1)
        return read.scores(
            accuracy,
            iou=iou,
            time=np.where(weights[:, 1] > 0, time, np.nan),
            positive=on,
            negative=off,
            judged_by_mask=np.array([float(mask is not None) for mask in masks]),
        )

    def draw(self, canvas: Canvas, answer: MaskPrompt) -> None:
        """The box, the points with plus and minus, and the moment on the timeline strip."""
        canvas.box(answer.boxes, at_s=answer.time)
        for point in answer.positive_points:
            canvas.point(point, positive=True, at_s=answer.time)
        for point in answer.negative_points:
            canvas.point(point, positive=False, at_s=answer.time)
        if answer.time is not None:
            canvas.span(answer.time, answer.time)


def _rows(readings: Sequence[Sequence[float]]) -> Floats:
    """Readings as the rows of one array (n, 17), an image's time 0."""
    return table([part for row in readings for part in (row, _NO_TIME[len(row) - 16 :])], 17)


def _released_kind(data_type: str) -> str:
    return data_type.lower()


def _columns(found: list[dict[str, Any]], true: list[dict[str, Any]], key: str, shape: tuple[int, ...]) -> Any:
    read = points if shape == (3, 2) else lambda value: floats(value, *shape)
    return tuple(stack_rows([read(row.get(key)) for row in rows], shape) for rows in (found, true))


def _released_closeness(a: Floats, b: Floats) -> tuple[Floats, Any]:
    """Closeness of points, and where Python's `d ** 2` overflows, which voids the released accuracy."""
    distance = match_distance(a, b)
    with np.errstate(over="ignore"):
        overflows = np.isfinite(distance) & np.isinf(distance**2)
    return closeness(distance, SIGMA), overflows


def _time_gaps(found: list[dict[str, Any]], true: list[dict[str, Any]]) -> tuple[Floats, Any]:
    gaps, timed = np.zeros(len(found)), np.zeros(len(found), dtype=bool)
    for row, (answer, truth) in enumerate(zip(found, true, strict=True)):
        mine, theirs = answer.get("time"), truth.get("time")
        if isinstance(mine, int | float) and isinstance(theirs, int | float):
            try:
                gaps[row] = abs(float(mine) - float(theirs))
                timed[row] = True
            except OverflowError:  # an int too large for a float: no accuracy, but the structure stands
                pass
    return gaps, timed


def _parts_by_points(answers: Floats, truths: Floats) -> Floats:
    """Box IoU, time, positive and negative closeness (n, 4) where the truth is points that somebody chose."""
    return np.stack(
        [
            box_iou(answers[:, :4], truths[:, :4]),
            np.exp(-np.abs(answers[:, 16] - truths[:, 16]) / TIME_SCALE_S),
            closeness(match_distance(answers[:, 4:10].reshape(-1, 3, 2), truths[:, 4:10].reshape(-1, 3, 2)), SIGMA),
            closeness(match_distance(answers[:, 10:16].reshape(-1, 3, 2), truths[:, 10:16].reshape(-1, 3, 2)), SIGMA),
        ],
        axis=1,
    )


def _parts_by_mask(answer: Floats, mask: MaskTruth) -> list[float]:
    """Box IoU, time, positive and negative closeness where the truth is the mask itself, at the answered second."""
    frame = mask.at(float(answer[16]))
    if frame is None:  # the object is not in the picture at that time
        return [0.0, 0.0, 0.0, 0.0]
    iou = box_iou(answer[None, :4], np.array([frame.box], dtype=float))[0]
    on = closeness(frame.distances_to_object(answer[4:10].reshape(3, 2)), SIGMA).mean()
    off = closeness(frame.depths_in_object(answer[10:16].reshape(3, 2)), SIGMA).mean()
    return [float(iou), 1.0, float(on), float(off)]
