"""What the world is painted with: seven colours, five forms, and the words for where a thing lies."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 40, 44),
    "orange": (242, 134, 24),
    "yellow": (240, 212, 36),
    "green": (48, 160, 72),
    "blue": (44, 92, 214),
    "purple": (132, 56, 176),
    "pink": (240, 100, 172),
}
"""RGB. All strongly saturated and at least 20 degrees of hue apart; backdrops are muted."""

FORMS = ("circle", "square", "triangle", "star", "diamond")

NUMBER_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def outline(form: str, x: float, y: float, radius: float, angle: float) -> npt.NDArray[np.float64]:
    """The corners (n, 2) of a form in pixels.

    `radius` is that of the circle around it, `angle` turns it clockwise, in degrees.
    """
    corners, inner, turn = {
        "circle": (72, 1.0, 0.0),
        "square": (4, 1.0, 45.0),
        "diamond": (4, 1.0, 0.0),
        "triangle": (3, 1.0, -90.0),
        "star": (10, 0.45, -90.0),
    }[form]
    steps = np.arange(corners)
    around = np.radians(turn + angle) + steps * (2 * math.pi / corners)
    lengths = radius * np.where(steps % 2, inner, 1.0)
    return np.stack([x + lengths * np.cos(around), y + lengths * np.sin(around)], axis=1)


@dataclass(frozen=True)
class Shape:
    """A coloured form at a place; lengths in pixels, the origin at the top left corner of the picture."""

    colour: str
    form: str
    x: float
    y: float
    radius: float
    angle: float = 0.0

    @property
    def name(self) -> str:
        """What people call it: `red circle`."""
        return f"{self.colour} {self.form}"

    @property
    def outline(self) -> npt.NDArray[np.float64]:
        """Its corners (n, 2) in pixels."""
        return outline(self.form, self.x, self.y, self.radius, self.angle)

    @property
    def area(self) -> float:
        """Its area in square pixels, by the shoelace formula."""
        x, y = self.outline.T
        return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def with_article(name: str) -> str:
    """`a red circle`, `an orange star`."""
    return f"{'an' if name[0] in 'aeio' else 'a'} {name}"


def place(x: float, y: float, width: int, height: int) -> str:
    """Where a point lies in words, by thirds of the picture: `at the top left`, `in the middle`."""
    column = ("left", "", "right")[min(int(3 * x / width), 2)]
    row = ("top", "", "bottom")[min(int(3 * y / height), 2)]
    words = f"{row} {column}".strip()
    return f"at the {words}" if words else "in the middle"
