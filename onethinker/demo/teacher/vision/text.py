"""Optical character recognition of dark text on light panels, by template matching with one font."""

import functools
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from onethinker.demo.world.drawing import load_font

Pixels = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]

_SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-*/=()"
_CELL = (16, 24)  # width and height of every normalised glyph
_SPACE = 0.18  # extra gap between two words, in heights of a capital
_WORST = 0.42  # glyphs with a higher cost are no letters
_MAX_GLYPHS = 60  # a line with more is no text
_NO_ROOM = (0.08, 0.08)


@dataclass(frozen=True)
class Glyph:
    """One connected component of ink: its box in the line and its normalised image."""

    box: Box
    cell: npt.NDArray[np.float32]


def find_panels(pixels: Pixels) -> list[Box]:
    """The boxes (left, top, right, bottom) of nearly white rectangles, the largest first."""
    height, width = pixels.shape[:2]
    white = cv2.inRange(cv2.medianBlur(pixels, 3), np.full(3, 229), np.full(3, 255))
    # Letters are holes in the panel: closing them keeps it in one piece.
    closed = cv2.morphologyEx(white, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(closed)
    found = []
    for left, top, wide, tall, area in stats[1:count]:
        if area >= 0.004 * width * height and area >= 0.3 * wide * tall and min(wide, tall) >= 12:
            found.append((int(left), int(top), int(left + wide), int(top + tall)))
    return sorted(found, key=lambda b: -(b[2] - b[0]) * (b[3] - b[1]))[:6]


def read_lines(pixels: Pixels, panel: Box) -> list[str]:
    """The lines of text on a panel, from top to bottom, with single spaces between words."""
    left, top, right, bottom = panel
    crop = cv2.cvtColor(pixels[top + 2 : bottom - 2, left + 2 : right - 2], cv2.COLOR_RGB2GRAY)
    if min(crop.shape) < 8:
        return []
    # Upsample, so that letters a few pixels apart stay apart when binarised.
    grey = np.asarray(cv2.resize(crop, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)
    ink = grey < 140
    lines = [_line(grey[a:b], ink[a:b]) for a, b in _runs(np.any(ink, axis=1)) if b - a >= 10]
    return [line for line in lines if line]


def _line(grey: Pixels, ink: npt.NDArray[np.bool_]) -> str:
    glyphs = _marks(grey, ink)
    if not glyphs or len(glyphs) > _MAX_GLYPHS:
        return ""
    letters, cap = _best_reading(glyphs)
    if "?" in letters:
        # Letters such as r and y can touch: split unreadable glyphs in two.
        halves = [half for glyph, letter in zip(glyphs, letters, strict=True) for half in _halves(grey, glyph, letter)]
        again, cap_again = _best_reading(halves)
        if again.count("?") < letters.count("?"):
            glyphs, letters, cap = halves, again, cap_again
    font, text = _font(), ""
    for number, (glyph, letter) in enumerate(zip(glyphs, letters, strict=True)):
        if number:
            gap = (glyph.box[0] - glyphs[number - 1].box[2]) / cap
            usual = font.rooms.get(letters[number - 1], _NO_ROOM)[1] + font.rooms.get(letter, _NO_ROOM)[0]
            text += " " if gap - usual > _SPACE else ""
        text += letter
    return " ".join(_settled(word) for word in text.split())


def _marks(grey: Pixels, ink: npt.NDArray[np.bool_]) -> list[Glyph]:
    count, _, stats, _ = cv2.connectedComponentsWithStats(ink.astype(np.uint8))
    boxes = sorted((int(x), int(y), int(x + w), int(y + h)) for x, y, w, h, area in stats[1:count] if area >= 6)
    merged: list[Box] = []
    for box in boxes:
        # The dot of an i and the bars of an equals sign lie above each other: one glyph.
        if merged and min(box[2], merged[-1][2]) - box[0] > 0.5 * min(box[2] - box[0], merged[-1][2] - merged[-1][0]):
            last = merged.pop()
            box = (min(last[0], box[0]), min(last[1], box[1]), max(last[2], box[2]), max(last[3], box[3]))
        merged.append(box)
    return [Glyph(box, _cell(255 - grey[box[1] : box[3], box[0] : box[2]])) for box in merged]


def _halves(grey: Pixels, glyph: Glyph, letter: str) -> list[Glyph]:
    """A mark that is no letter, cut where the least ink is in its middle; any other mark as it is."""
    left, top, right, bottom = glyph.box
    wide = right - left
    if letter != "?" or wide < 12:
        return [glyph]
    darkness = 255 - grey[top:bottom, left:right].astype(np.int32)
    cut = wide // 4 + int(darkness[:, wide // 4 : 3 * wide // 4].sum(axis=0).argmin())
    split_pieces = []
    for start, end in ((0, cut), (cut + 1, wide)):
        rows = np.flatnonzero((darkness[:, start:end] > 115).any(axis=1))
        if len(rows):
            box = (left + start, top + int(rows[0]), left + end, top + int(rows[-1]) + 1)
            split_pieces.append(Glyph(box, _cell(255 - grey[box[1] : box[3], box[0] : box[2]])))
    return split_pieces


def _cell(darkness: Pixels) -> npt.NDArray[np.float32]:
    small = cv2.resize(darkness.astype(np.float32), _CELL, interpolation=cv2.INTER_AREA)
    return np.asarray(small / max(float(small.max()), 1.0), np.float32).ravel()


@dataclass(frozen=True)
class _Font:
    cells: npt.NDArray[np.float32]  # letter, pixel
    shapes: npt.NDArray[np.float64]  # letter, (log aspect, height, bottom over baseline) in capitals' heights
    rooms: dict[str, tuple[float, float]]  # the white that a letter keeps to its left and right, in capitals' heights


@functools.cache
def _font() -> _Font:
    """Images and proportions of all known letters, rendered once at a large size."""
    font, baseline = load_font(96), 120
    capital = -font.getbbox("H", anchor="ls")[1]
    cells, shapes, rooms = [], [], {}
    for sign in _SIGNS:
        image = Image.new("L", (200, 200), 255)
        ImageDraw.Draw(image).text((40, baseline), sign, font=font, fill=0, anchor="ls")
        grey = np.asarray(image)
        rows, columns = np.nonzero(grey < 140)
        top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
        rooms[sign] = (left - 40) / capital, (40 + font.getlength(sign) - right) / capital
        cells.append(_cell(255 - grey[top:bottom, left:right]))
        shapes.append(
            (np.log((right - left) / (bottom - top)), (bottom - top) / capital, (baseline - bottom) / capital)
        )
    return _Font(np.stack(cells), np.array(shapes), rooms)


def _best_reading(glyphs: list[Glyph]) -> tuple[str, float]:
    """The letters and the height of capitals that fit the glyphs of a line best."""
    font = _font()
    looks = np.abs(np.stack([glyph.cell for glyph in glyphs])[:, None] - font.cells[None]).mean(axis=2)
    tops = np.array([glyph.box[1] for glyph in glyphs], float)
    bottoms = np.array([glyph.box[3] for glyph in glyphs], float)
    aspects = np.log([(m.box[2] - m.box[0]) / (m.box[3] - m.box[1]) for m in glyphs])
    fixed = looks + 0.35 * np.abs(aspects[:, None] - font.shapes[None, :, 0])
    best_cost, best_letters, best_cap = np.inf, "", 1.0
    for baseline in _clusters(bottoms):
        for top in _clusters(tops):
            cap = baseline - top
            if cap < 8:
                continue
            heights, lifts = (bottoms - tops) / cap, (baseline - bottoms) / cap
            cost = fixed + 0.6 * np.abs(heights[:, None] - font.shapes[None, :, 1])
            cost = cost + 0.6 * np.abs(lifts[:, None] - font.shapes[None, :, 2])
            total = float(cost.min(axis=1).mean())
            if total < best_cost:
                chosen = cost.argmin(axis=1)
                good = cost.min(axis=1) < _WORST
                letters = "".join(_SIGNS[n] if ok else "?" for n, ok in zip(chosen, good, strict=True))
                best_cost, best_letters, best_cap = total, letters, cap
    return best_letters or "?" * len(glyphs), best_cap


def _clusters(values: npt.NDArray[np.float64]) -> list[float]:
    """The different values, with those within three pixels taken as one."""
    kept: list[float] = []
    for value in np.sort(values):
        if not kept or value - kept[-1] > 3:
            kept.append(float(value))
    return kept[:8]


def _runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


_TWINS = str.maketrans({"0": "O", "o": "O", "1": "I", "l": "I", "i": "I"})
_DIGIT_TWINS = str.maketrans({"O": "0", "o": "0", "I": "1", "l": "1"})


def _settled(word: str) -> str:
    """A word with look-alikes (I i l 1, O o 0) read as its neighbours suggest."""
    others = [letter for letter in word if letter not in "IliO01o"]
    if others and all(letter.isdigit() or letter in "+-*/=()" for letter in others):
        return word.translate(_DIGIT_TWINS)
    if others and all(letter.isupper() for letter in others if letter.isalpha()) and len(word) > 1:
        return word.translate(_TWINS) if not any(letter.isdigit() for letter in others) else word
    if others and len(word) > 1:
        rest = word[1:].replace("I", "l").replace("1", "l").replace("0", "o").replace("O", "o")
        return word[0] + rest if not any(letter.isdigit() for letter in others) else word
    return word
