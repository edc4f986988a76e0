"""How the world points at an object: three points on it, three beside it.

The released corpus took such points from a model's habit, not from a rule, and so they are only fair to ask for where
the habit is known. The world's habit: the middle of the object and a sixth of its width to either side; and just
outside its box to the left, to the right, above, or below where one of these leaves the picture.
"""

import cv2
import numpy as np
import numpy.typing as npt

Point = list[int]

_BESIDE = 0.04  # of the picture's width or height


def mask_box(mask: npt.NDArray[np.bool_]) -> list[int]:
    """The box [x1, y1, x2, y2] round a mask in thousandths of its width and height; all zero for an empty mask."""
    if not mask.any():
        return [0, 0, 0, 0]
    height, width = mask.shape
    x1, y1, x2, y2 = _edges(mask)
    return [round(1000 * x1 / width), round(1000 * y1 / height), round(1000 * x2 / width), round(1000 * y2 / height)]


def points_on(mask: npt.NDArray[np.bool_]) -> list[Point]:
    """Three points [x, y] on the object, in thousandths."""
    height, width = mask.shape
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return [[500, 500]] * 3
    x1, _, x2, _ = _edges(mask)
    # Only pixels well inside count: a point on the rim would fall off the object by rounding.
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    rows, columns = np.nonzero(depth >= min(2.0, float(depth.max())))
    middle = (columns.mean(), rows.mean())
    found = []
    for shift in (0.0, -1 / 6, 1 / 6):
        x, y = middle[0] + shift * (x2 - x1), middle[1]
        nearest = int(np.argmin((columns - x) ** 2 + (rows - y) ** 2))
        found.append([round(1000 * (columns[nearest] + 0.5) / width), round(1000 * (rows[nearest] + 0.5) / height)])
    return found


def points_beside(mask: npt.NDArray[np.bool_]) -> list[Point]:
    """Three points [x, y] off the object and near it, in thousandths."""
    height, width = mask.shape
    if not mask.any():
        return [[100, 100], [900, 100], [100, 900]]
    x1, y1, x2, y2 = _edges(mask)
    across, down = _BESIDE * width, _BESIDE * height
    middle_x, middle_y = (x1 + x2) / 2, (y1 + y2) / 2
    wishes = [
        (x1 - across, middle_y),
        (x2 + across, middle_y),
        (middle_x, y1 - down),
        (middle_x, y2 + down),
        (x1 - across, y1 - down),
        (x2 + across, y2 + down),
        (x1 + 1, y1 + 1),
        (x2 - 2, y1 + 1),
        (x1 + 1, y2 - 2),
    ]
    found = [
        [round(1000 * x / width), round(1000 * y / height)]
        for x, y in wishes
        if 0 <= x < width and 0 <= y < height and not mask[int(y), int(x)]
    ]
    return [*found, [0, 0], [1000, 0], [0, 1000]][:3]


def _edges(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    columns, rows = np.nonzero(mask.any(axis=0))[0], np.nonzero(mask.any(axis=1))[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
