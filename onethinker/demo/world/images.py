"""The world's pictures: shapes on a backdrop, a sign, a card with a sum, a gauge; each knows its exact truth."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from onethinker.demo.world.drawing import (
    INK,
    PAPER,
    Pixels,
    add_noise,
    draw_background,
    draw_shape,
    label,
    noise_field,
    shape_mask,
    sign,
)
from onethinker.demo.world.palette import COLOURS, FORMS, Shape

SIZES = ((640, 480), (600, 400), (480, 560))
"""Width and height; no two with the same ratio, so that mixing up the axes shows."""

# fmt: off
WORDS = (
    "Bakery", "Harbour", "Market", "Garden", "Museum", "Station", "Bridge", "Tower", "Castle", "Office", "Corner",
    "Summer", "Winter", "Forest", "River", "Bottle", "Window", "Camera", "Ticket", "Pepper", "Carrot", "Banana",
    "Cheese", "Butter", "Coffee", "Doctor", "Farmer", "Hunter", "Master", "Number", "Orange", "Parade", "Rocket",
    "Saturn", "Temple", "Tunnel", "Update", "Velvet", "Wagon", "Yellow", "Zebra", "Anchor", "Basket", "Candle",
    "Dragon", "Engine", "Feather", "Guitar", "Hammer", "Jacket", "Kernel", "Ladder", "Magnet", "Needle", "Ocean",
    "Pocket", "Quartz", "Ribbon",
)
# fmt: on


@dataclass(frozen=True)
class ShapesImage:
    """Shapes that do not touch, no two alike, on a backdrop."""

    width: int
    height: int
    shapes: tuple[Shape, ...]
    pixels: Pixels

    def mask(self, shape: Shape) -> npt.NDArray[np.bool_]:
        """The pixels of one shape; nothing ever covers it."""
        return shape_mask(shape, self.width, self.height)


def make_shapes_image(rng: np.random.Generator) -> ShapesImage:
    """Four to seven shapes of three sizes, kept off the lines that divide the picture into thirds."""
    width, height = SIZES[rng.integers(len(SIZES))]
    wanted = int(rng.integers(4, 8))
    shapes: list[Shape] = []
    for _ in range(4000):
        if len(shapes) == wanted:
            break
        radius = float(rng.uniform(*((24, 32), (36, 46), (54, 70))[rng.choice(3, p=(0.4, 0.4, 0.2))]))
        x, y = float(rng.uniform(radius + 8, width - radius - 8)), float(rng.uniform(radius + 8, height - radius - 8))
        shape = Shape(_one(rng, COLOURS), _one(rng, FORMS), x, y, radius, float(rng.uniform(-12, 12)))
        near_a_line = any(abs(3 * x - n * width) < 36 or abs(3 * y - n * height) < 36 for n in (1, 2))
        touching = any(np.hypot(x - s.x, y - s.y) < radius + s.radius + 14 for s in shapes)
        if not near_a_line and not touching and all(shape.name != s.name for s in shapes):
            shapes.append(shape)
    pixels = draw_background(rng, width, height)
    for shape in shapes:
        draw_shape(pixels, shape)
    return ShapesImage(width, height, tuple(shapes), add_noise(pixels, noise_field(rng, width, height)))


@dataclass(frozen=True)
class SignImage:
    """A picture of a sign with something written on it; `text` has its lines joined by spaces."""

    text: str
    pixels: Pixels


def make_sign_image(rng: np.random.Generator) -> SignImage:
    """A sign of one to three lines: words, some in capitals, some with a number."""
    lines = []
    for word in rng.choice(WORDS, size=rng.integers(1, 4), replace=False):
        line = str(word).upper() if rng.random() < 0.3 else str(word)
        lines.append(f"{line} {rng.integers(2, 99)}" if rng.random() < 0.35 else line)
    return SignImage(" ".join(lines), _board(rng, lines, size=int(rng.integers(34, 56))))


@dataclass(frozen=True)
class CardImage:
    """A picture of a card with a sum or an equation; `answer` is a number, or LaTeX for a fraction."""

    text: str
    question: str
    answer: str
    pixels: Pixels


def make_card_image(rng: np.random.Generator) -> CardImage:
    """Arithmetic with two operations, or an equation for x, at times with a fraction as its answer."""
    if rng.random() < 0.5:
        text, answer = _arithmetic(rng)
        question = "Work out the value of the expression on the card."
    else:
        text, answer = _equation(rng)
        question = "Solve the equation on the card for x."
    return CardImage(text, question, answer, _board(rng, [text], size=int(rng.integers(40, 56))))


@dataclass(frozen=True)
class GaugeImage:
    """A horizontal bar from 0 to `top`, filled up to `value`."""

    value: float
    top: int
    pixels: Pixels


def make_gauge_image(rng: np.random.Generator) -> GaugeImage:
    """A gauge filled to between a tenth and nine tenths."""
    width, height = SIZES[rng.integers(2)]
    top = int(rng.choice((10, 20, 50, 100, 200)))
    length, thick = int(rng.integers(300, 440)), int(rng.integers(28, 52))
    filled = round(length * rng.uniform(0.1, 0.9))
    left, upper = (width - length) // 2 + int(rng.integers(-40, 40)), int(rng.integers(140, height - 200))
    pixels = draw_background(rng, width, height)
    pixels[upper - 40 : upper + thick + 90, left - 36 : left + length + 36] = PAPER
    pixels[upper : upper + thick, left : left + length] = (188, 188, 192)
    pixels[upper : upper + thick, left : left + filled] = COLOURS[_one(rng, COLOURS)]
    for mark, x in (("0", left), (str(top), left + length)):
        pixels[upper + thick : upper + thick + 8, x - 1 : x + 1] = INK
        label(pixels, mark, (float(x), float(upper + thick + 44)), 28)
    return GaugeImage(round(top * filled / length, 2), top, add_noise(pixels, noise_field(rng, width, height)))


def _board(rng: np.random.Generator, lines: list[str], size: int) -> Pixels:
    width, height = SIZES[rng.integers(2)]
    pixels = draw_background(rng, width, height)
    centre = width / 2 + rng.uniform(-30, 30), height / 2 + rng.uniform(-30, 30)
    sign(pixels, lines, centre, size)
    return add_noise(pixels, noise_field(rng, width, height))


def _arithmetic(rng: np.random.Generator) -> tuple[str, str]:
    a, b, c = (int(n) for n in rng.integers(2, 20, size=3))
    return (
        (f"{a} + {b} * {c}", str(a + b * c)),
        (f"({a} + {b}) * {c}", str((a + b) * c)),
        (f"{a * b} / {a} + {c}", str(b + c)),
        (f"{a * 5} - {b} + {c}", str(a * 5 - b + c)),
    )[rng.integers(4)]


def _equation(rng: np.random.Generator) -> tuple[str, str]:
    factor, offset, total = int(rng.integers(2, 10)), int(rng.integers(1, 20)), int(rng.integers(20, 60))
    if rng.random() < 0.7:
        total = factor * int(rng.integers(2, 13)) + offset
    root = Fraction(total - offset, factor)
    return f"{factor}x + {offset} = {total}", latex(root)


def latex(number: Fraction) -> str:
    """A whole number plainly, any other as a LaTeX fraction between dollar signs."""
    if number.denominator == 1:
        return str(number.numerator)
    minus = "-" if number < 0 else ""
    return rf"${minus}\frac{{{abs(number.numerator)}}}{{{number.denominator}}}$"


def _one(rng: np.random.Generator, choices: Iterable[str]) -> str:
    names = list(choices)
    return names[rng.integers(len(names))]
