"""Masks as truth: if a source has them, boxes and points are scored against the mask itself.

A sample's `truth` JSON holds them as COCO RLE under "masks":

    image   {"masks": {"rle": {"size": [height, width], "counts": "…"}}}
    video   {"masks": {"fps": 6.0, "frames": {"00000": {"size": [h, w], "counts": "…"}, "00012": {…}}}}

A frame's name is its number from the start of the video at `fps` frames a second. Frames without the object are left
out or hold an empty mask. `counts` is a compressed string or a list of run lengths, as pycocotools reads both.
"""

import json
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus.scores import Floats


class MalformedMask(ValueError):  # noqa: N818, it names what the source has
    """A mask in a sample's truth that cannot be read."""


@dataclass(frozen=True)
class FrameMask:
    """One mask, with distances in 1000ths of the picture's width and height."""

    mask: NDArray[np.uint8]
    box: tuple[int, int, int, int]  # round the mask, 0–1000, rounded as answers are

    def distances_to_object(self, points: Floats) -> Floats:
        """How far each point lies from the mask; 0 on it."""
        return self._distances(points, 1 - self.mask)

    def depths_in_object(self, points: Floats) -> Floats:
        """How deep each point lies in the mask; 0 beside it."""
        return self._distances(points, self.mask)

    def _distances(self, points: Floats, zone: NDArray[np.uint8]) -> Floats:
        """Distance of each point in `zone` to the nearest pixel that is not in it, 0 for points outside the zone."""
        height, width = zone.shape
        ys, xs = np.nonzero(zone == 0)
        found = np.zeros(len(points))
        for row, (x, y) in enumerate(points):
            column, line = min(int(x * width / 1000), width - 1), min(int(y * height / 1000), height - 1)
            if zone[line, column]:
                dx, dy = (xs - column) * (1000 / width), (ys - line) * (1000 / height)
                found[row] = np.sqrt((dx * dx + dy * dy).min()) if len(xs) else np.inf
        return found


@dataclass(frozen=True)
class MaskTruth:
    """The masks of one sample by second; an image has one, at second 0."""

    times: tuple[float, ...]
    rles: tuple[str, ...]
    gap_s: float  # how far from a frame's time an answer may be and still mean that frame

    def at(self, time_s: float) -> FrameMask | None:
        """The mask nearest to a moment, None where the object is not in view there."""
        if not self.times:
            return None
        right = bisect_left(self.times, time_s)
        near = min(
            (index for index in (right - 1, right) if 0 <= index < len(self.times)),
            key=lambda index: abs(self.times[index] - time_s),
        )
        return decode_mask(self.rles[near]) if abs(self.times[near] - time_s) <= self.gap_s else None


@lru_cache(maxsize=1024)
def mask_truth(source: str | None) -> MaskTruth | None:
    """The masks in a sample's `truth` JSON, None where it has none. Malformed ones raise when they are looked at."""
    if source is None or '"masks"' not in source:
        return None
    try:
        masks = json.loads(source)["masks"]
        if "rle" in masks:
            return MaskTruth((0.0,), (json.dumps(masks["rle"]),), float("inf"))
        fps = float(masks["fps"])
        frames = sorted((int(name) / fps, json.dumps(rle)) for name, rle in masks["frames"].items())
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError):
        return MaskTruth((0.0,), ("malformed",), float("inf"))
    times = tuple(time for time, _ in frames)
    steps = np.diff(times) if len(times) > 1 else np.array([1.0])
    return MaskTruth(times, tuple(rle for _, rle in frames), float(max(steps.min(), 0.5)))


@lru_cache(maxsize=256)
def decode_mask(rle: str) -> FrameMask | None:
    """A mask out of its RLE as JSON text, None where it is empty. Raises MalformedMask."""
    from pycocotools import mask as coco  # a compiled library that only masks need

    try:
        found: dict[str, Any] = json.loads(rle)
        height, width = found["size"]
        if isinstance(found["counts"], list):
            found = coco.frPyObjects(found, height, width)
        pixels = coco.decode(found)
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedMask(f"{type(error).__name__}: {error}") from error
    ys, xs = np.nonzero(pixels)
    if not len(xs):
        return None
    edges = (xs.min() / width, ys.min() / height, (xs.max() + 1) / width, (ys.max() + 1) / height)
    x1, y1, x2, y2 = (round(float(edge) * 1000) for edge in edges)
    return FrameMask(pixels, (x1, y1, x2, y2))
