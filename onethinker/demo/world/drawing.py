"""Putting things on pixels: backdrops, shapes, signs with text, grain; nothing here knows any question."""

import functools
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from onethinker.demo.world.palette import COLOURS, Shape
from onethinker.demo.world.points import mask_box

Pixels = npt.NDArray[np.uint8]

PAPER = (250, 250, 247)
INK = (32, 32, 38)


def draw_background(rng: np.random.Generator, width: int, height: int) -> Pixels:
    """A muted background: a gradient between two greyish tones with a cloudy texture on it."""
    base = rng.uniform(125, 195)
    tones = base + rng.uniform(-14, 14, size=(2, 3)) + rng.uniform(-20, 20, size=(2, 1))
    along = np.linspace(0, 1, width)[None, :, None] * rng.uniform(0, 1)
    down = np.linspace(0, 1, height)[:, None, None] * rng.uniform(0, 1)
    share = (along + down) / 2
    spots = rng.normal(0, 9, size=(7, 9)).astype(np.float32)
    clouds = cv2.resize(spots, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    return _bytes(tones[0] * (1 - share) + tones[1] * share + clouds, 90, 215)


def noise_field(rng: np.random.Generator, width: int, height: int, strength: float = 3.0) -> npt.NDArray[np.int16]:
    """Camera noise to be added to a picture; `strength` is its standard deviation, of 255."""
    return np.round(rng.normal(0, strength, size=(height, width, 1))).astype(np.int16)


def add_noise(pixels: Pixels, noise: npt.NDArray[np.int16]) -> Pixels:
    """The picture with noise on it."""
    return _bytes(pixels.astype(np.int16) + noise, 0, 255)


def draw_shape(pixels: Pixels, shape: Shape) -> None:
    """Draw a shape, anti-aliased, in place."""
    height, width = pixels.shape[:2]
    left, top, cover = _cover(shape, width, height)
    part = pixels[top : top + cover.shape[0], left : left + cover.shape[1]]
    share = cover[..., None]
    part[...] = np.round(part * (1 - share) + np.array(COLOURS[shape.colour]) * share).astype(np.uint8)


def shape_mask(shape: Shape, width: int, height: int) -> npt.NDArray[np.bool_]:
    """The pixels (height, width) that a shape covers by half or more."""
    mask = np.zeros((height, width), bool)
    left, top, cover = _cover(shape, width, height)
    mask[top : top + cover.shape[0], left : left + cover.shape[1]] = cover >= 0.5
    return mask


def shape_box(shape: Shape, width: int, height: int) -> list[int]:
    """The box [x1, y1, x2, y2] round a shape's mask, in thousandths: what can be seen, without the finest tips."""
    return mask_box(shape_mask(shape, width, height))


def sign(
    pixels: Pixels, lines: list[str], centre: tuple[float, float], size: int, pad: int | None = None
) -> tuple[int, int, int, int]:
    """Draw dark text on a light panel, in place; returns the panel's box in pixels.

    `size` is the height of the font; the font is the one that Pillow carries.
    """
    font = load_font(size)
    step = round(1.45 * size)
    pad = size // 2 if pad is None else pad
    width = round(max(font.getlength(line) for line in lines)) + 2 * pad
    height = step * len(lines) + pad
    left, top = round(centre[0] - width / 2), round(centre[1] - height / 2)
    canvas = Image.fromarray(pixels)
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((left + 4, top + 4, left + width + 4, top + height + 4), fill=(96, 96, 96))
    draw.rectangle((left, top, left + width, top + height), fill=PAPER)
    for row, line in enumerate(lines):
        draw.text((left + width / 2, top + pad / 2 + step * (row + 0.5)), line, font=font, fill=INK, anchor="mm")
    pixels[...] = np.asarray(canvas)
    return left, top, left + width, top + height


def label(pixels: Pixels, text: str, centre: tuple[float, float], size: int) -> None:
    """Write dark text with no panel of its own, in place."""
    canvas = Image.fromarray(pixels)
    ImageDraw.Draw(canvas).text(centre, text, font=load_font(size), fill=INK, anchor="mm")
    pixels[...] = np.asarray(canvas)


@functools.lru_cache(maxsize=64)
def load_font(size: int) -> ImageFont.FreeTypeFont:
    """The one font of the world: Pillow's own, at a size in pixels."""
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):  # Pillow built without FreeType has a bitmap font only
        raise RuntimeError("Pillow lacks FreeType, so the world's signs cannot be lettered: install a Pillow wheel")
    return font


_FINE = 8  # a pixel is drawn as 8 x 8 smaller ones, and their mean taken


def _cover(shape: Shape, width: int, height: int) -> tuple[int, int, npt.NDArray[np.float64]]:
    """The share of each pixel that a shape covers, for the pixels round it only: left, top and shares.

    OpenCV's own anti-aliasing draws shapes half a pixel too large all round, so it is not used.
    """
    corners = shape.outline
    left, top = (max(int(edge) - 1, 0) for edge in corners.min(axis=0))
    right, bottom = (min(int(edge) + 2, size) for edge, size in zip(corners.max(axis=0), (width, height), strict=True))
    fine = np.zeros((max(bottom - top, 1) * _FINE, max(right - left, 1) * _FINE), np.uint8)
    # OpenCV puts whole coordinates at pixel centres, the world at pixel corners.
    scaled = np.round((corners - (left, top)) * _FINE - 0.5).astype(np.int32)
    cv2.fillPoly(fine, [scaled], 1)
    cells = fine.reshape(fine.shape[0] // _FINE, _FINE, fine.shape[1] // _FINE, _FINE)
    return left, top, cells.mean(axis=(1, 3))


def _bytes(values: npt.NDArray[Any], low: int, high: int) -> Pixels:
    return values.clip(low, high).astype(np.uint8)
