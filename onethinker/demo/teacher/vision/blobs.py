"""Blobs of saturated colour in an image, with masks to half a pixel of their edge."""

import functools
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from onethinker.demo.teacher.vision.forms import classify_form
from onethinker.demo.world.palette import COLOURS

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_MAX_BLOBS = 40  # in one image; a photograph can have thousands of coloured specks
_VIVID, _BRIGHT = 105, 80  # least saturation and value, of 255
_HUE_REACH = 10  # of 180


@dataclass(frozen=True)
class Blob:
    """A coloured region. Lengths in pixels; `form` is empty if it is none of the known forms."""

    colour: str
    form: str
    left: int
    top: int
    patch: Mask  # its pixels within its box
    picture: tuple[int, int]  # width and height

    @property
    def name(self) -> str:
        """`red circle`, or `red patch` for a blob of no known form."""
        return f"{self.colour} {self.form or 'patch'}"

    @property
    def box(self) -> tuple[float, float, float, float]:
        """[x1, y1, x2, y2] in thousandths of the image."""
        width, height = self.picture
        tall, wide = self.patch.shape
        return (
            1000 * self.left / width,
            1000 * self.top / height,
            1000 * (self.left + wide) / width,
            1000 * (self.top + tall) / height,
        )

    @property
    def area(self) -> int:
        """Its area in pixels."""
        return int(self.patch.sum())

    @property
    def centre(self) -> tuple[float, float]:
        """The mean of its pixels, in pixels."""
        rows, columns = np.nonzero(self.patch)
        return self.left + float(columns.mean()) + 0.5, self.top + float(rows.mean()) + 0.5

    @property
    def mask(self) -> Mask:
        """Its pixels in the whole image, (height, width)."""
        width, height = self.picture
        whole = np.zeros((height, width), bool)
        tall, wide = self.patch.shape
        whole[self.top : self.top + tall, self.left : self.left + wide] = self.patch
        return whole


def find_blobs(pixels: Pixels) -> list[Blob]:
    """The blobs of an RGB image, from the largest to the smallest."""
    height, width = pixels.shape[:2]
    smooth = cv2.medianBlur(pixels, 3)
    hsv = cv2.cvtColor(smooth, cv2.COLOR_RGB2HSV)
    hue = hsv[..., 0]
    vivid = cv2.inRange(hsv, np.array((0, _VIVID + 1, _BRIGHT + 1)), np.full(3, 255))
    _, labelled, stats, _ = cv2.connectedComponentsWithStats(vivid, connectivity=4)
    labels = np.asarray(labelled, np.int32)
    areas = stats[1:, cv2.CC_STAT_AREA]
    least = max(30.0, width * height / 6000)
    found = []
    for number in np.argsort(-areas, kind="stable")[:_MAX_BLOBS] + 1:
        left, top, wide, tall, area = (int(n) for n in stats[number])
        if area < least:
            break
        patch = labels[top : top + tall, left : left + wide] == number
        colour = _colour_names()[int(np.median(hue[top : top + tall, left : left + wide][patch]))]
        if colour:
            blob = _refine_outline(pixels, labels, int(number), (left, top, left + wide, top + tall))
            if blob is not None:
                x, y, exact = blob
                found.append(Blob(colour, classify_form(exact), x, y, exact, (width, height)))
    return found


def _refine_outline(
    pixels: Pixels, labels: npt.NDArray[np.int32], number: int, box: tuple[int, int, int, int]
) -> tuple[int, int, Mask] | None:
    """The pixels closer to the blob's colour than to its background: left, top and mask, or None."""
    height, width = labels.shape
    x1, y1, x2, y2 = max(box[0] - 5, 0), max(box[1] - 5, 0), min(box[2] + 5, width), min(box[3] + 5, height)
    inside = (labels[y1:y2, x1:x2] == number).astype(np.uint8)
    near = cv2.dilate(inside, np.ones((7, 7), np.uint8)).astype(bool)
    around = ~near
    window = pixels[y1:y2, x1:x2].astype(np.float32)
    core = cv2.erode(inside, np.ones((3, 3), np.uint8)).astype(bool)
    if core.sum() < 12 or around.sum() < 12:
        mask = inside.astype(bool)
    else:
        colour, behind = np.median(window[core], axis=0), np.median(window[around], axis=0)
        axis = colour - behind
        share = (window - behind) @ axis / max(float(axis @ axis), 1.0)
        mask = (share > 0.5) & near
    if not mask.any():
        return None
    columns, rows = np.nonzero(mask.any(axis=0))[0], np.nonzero(mask.any(axis=1))[0]
    left, top = int(columns[0]), int(rows[0])
    return x1 + left, y1 + top, mask[top : int(rows[-1]) + 1, left : int(columns[-1]) + 1]


@functools.cache
def _colour_names() -> tuple[str, ...]:
    """The colour name of each of OpenCV's 180 hues, or the empty string."""
    swatches = np.array([list(COLOURS.values())], np.uint8)
    hues = cv2.cvtColor(swatches, cv2.COLOR_RGB2HSV)[0, :, 0].astype(int)
    distances = np.abs(np.arange(180)[:, None] - hues[None])
    distances = np.minimum(distances, 180 - distances)
    names = list(COLOURS)
    return tuple(names[int(row.argmin())] if row.min() <= _HUE_REACH else "" for row in distances)
