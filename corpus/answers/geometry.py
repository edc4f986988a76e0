"""Overlaps and distances over a batch: rows of spans, boxes and points as numpy arrays in, one number a row out.

Boxes are [x1, y1, x2, y2] and points [x, y]; all functions are free of units. Comparisons are written with `where`
rather than `maximum` so that a NaN does what it does in plain Python's `max(a, b)`, which the released reward uses.
"""

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from corpus.scores import Floats


def _larger(a: Floats, b: Floats) -> Floats:
    return np.where(b > a, b, a)


def _smaller(a: Floats, b: Floats) -> Floats:
    return np.where(b < a, b, a)


def _share(part: Floats, whole: Floats) -> Floats:
    """part / whole if the whole is above 1e-12, else 0."""
    real = whole > 1e-12
    return np.divide(part, whole, out=np.zeros_like(part), where=real)


def span_iou(a: Floats, b: Floats) -> Floats:
    """Overlap of the spans a and b (n, 2) over the length from the first start to the last end; 0 for empty spans."""
    with np.errstate(all="ignore"):
        overlap = _larger(np.zeros(len(a)), _smaller(a[:, 1], b[:, 1]) - _larger(a[:, 0], b[:, 0]))
        return _share(overlap, _larger(a[:, 1], b[:, 1]) - _smaller(a[:, 0], b[:, 0]))


def box_area(boxes: Floats) -> Floats:
    """Areas of boxes (n, 4); 0 if a side is negative."""
    zero = np.zeros(len(boxes))
    return _larger(zero, boxes[:, 2] - boxes[:, 0]) * _larger(zero, boxes[:, 3] - boxes[:, 1])


def box_iou(a: Floats, b: Floats) -> Floats:
    """Intersection over union of the boxes a and b (n, 4); 0 if neither has an area."""
    with np.errstate(all="ignore"):
        common = np.stack(
            [
                _larger(a[:, 0], b[:, 0]),
                _larger(a[:, 1], b[:, 1]),
                _smaller(a[:, 2], b[:, 2]),
                _smaller(a[:, 3], b[:, 3]),
            ],
            axis=1,
        )
        shared = box_area(common)
        return _share(shared, box_area(a) + box_area(b) - shared)


def above_chance(overlaps: Floats, chance: float) -> Floats:
    """Overlaps with those below `chance` as 0."""
    return np.where(overlaps < chance, 0.0, overlaps)


def match_distance(a: Floats, b: Floats) -> Floats:
    """Mean distance of three points to three points (n, 3, 2) under the best assignment; inf if none is finite."""
    best = np.full(len(a), np.inf)
    with np.errstate(all="ignore"):
        steps = a[:, :, None] - b[:, None]
        distances = np.hypot(steps[..., 0], steps[..., 1])
        for first, second, third in permutations(range(3)):
            total = distances[:, first, 0] + distances[:, second, 1] + distances[:, third, 2]
            best = np.where(total < best, total, best)
    return best / 3.0


def closeness(distance: Floats, sigma: float) -> Floats:
    """exp(−d² / 2σ²): 1 at distance 0, 0 at an infinite distance."""
    with np.errstate(over="ignore"):
        return np.exp(-(distance**2) / (2 * sigma**2))


def row_means(values: Floats, rows: NDArray[np.intp], count: int, weights: Floats | None = None) -> Floats:
    """Mean of `values` by row number for `count` rows; 0 for rows without values."""
    weights = np.ones_like(values) if weights is None else weights
    sums: Floats = np.bincount(rows, weights=values * weights, minlength=count).astype(np.float64)
    return _share(sums, np.bincount(rows, weights=weights, minlength=count).astype(np.float64))
