"""A surface that tasks draw answers on: a picture or a video frame, with a timeline strip for times."""

from collections.abc import Mapping, Sequence
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

COLOURS = {"answer": (255, 122, 0), "truth": (0, 170, 90)}
MIN_FONT_PX = 14
STRIP_HEIGHT = 22  # px of each of the two bars under a frame
_ROWS = {"answer": 0, "truth": 1}

Box = Sequence[float]


class Canvas:
    """Drawing in 0–1000 coordinates and seconds. `ink` chooses the colour: an answer's or the truth's.

    A canvas with `duration_s` has a timeline strip under the picture; `time_s` is the moment that its frame shows.
    """

    def __init__(self, image: Image.Image, *, duration_s: float | None = None, time_s: float | None = None) -> None:
        self.width, self.height = image.size
        strip = 2 * STRIP_HEIGHT if duration_s else 0
        self.image = Image.new("RGB", (self.width, self.height + strip), (24, 24, 28))
        self.image.paste(image.convert("RGB"), (0, 0))
        self.duration_s, self.time_s = duration_s, time_s
        self.ink: Literal["answer", "truth"] = "answer"
        self._draw = ImageDraw.Draw(self.image, "RGBA")
        self._line = max(2, round(min(image.size) / 150))
        self._font = ImageFont.load_default(size=max(MIN_FONT_PX, round(self.width / 24)))
        self._labels = dict.fromkeys(COLOURS, 0)
        if time_s is not None and duration_s:
            x = self._at(time_s)
            self._draw.line([(x, self.height), (x, self.height + strip)], fill=(255, 255, 255), width=1)

    @property
    def colour(self) -> tuple[int, int, int]:
        """The colour of what is drawn next."""
        return COLOURS[self.ink]

    def box(self, box: Box, *, at_s: float | None = None) -> None:
        """A box [x1, y1, x2, y2]; one that belongs to another moment than the frame's is drawn faint."""
        x1, y1, x2, y2 = self._pixels(box)
        edges = [(min(x1, x2), min(y1, y2)), (max(x1, x2), max(y1, y2))]
        self._draw.rectangle(edges, outline=(*self.colour, self._strength(at_s)), width=self._line)

    def point(self, point: Sequence[float], *, positive: bool = True, at_s: float | None = None) -> None:
        """A point [x, y]: a disc with a plus for a point on the object, with a minus for one beside it."""
        x, y = self._pixels(point)
        r = 2.5 * self._line
        strength = self._strength(at_s)
        fill = (*self.colour, strength) if positive else (255, 255, 255, strength)
        self._draw.ellipse([x - r, y - r, x + r, y + r], fill=fill, outline=(*self.colour, strength), width=2)
        mark = (0, 0, 0, strength)
        self._draw.line([(x - r / 2, y), (x + r / 2, y)], fill=mark, width=2)
        if positive:
            self._draw.line([(x, y - r / 2), (x, y + r / 2)], fill=mark, width=2)

    def span(self, start_s: float, end_s: float) -> None:
        """A bar on the timeline strip; a moment (start = end) is a thin mark. Draws nothing if there is no strip."""
        if not self.duration_s:
            return
        top = self.height + _ROWS[self.ink] * STRIP_HEIGHT
        left, right = self._at(start_s), max(self._at(end_s), self._at(start_s) + 3)
        self._draw.rectangle([left, top + 4, right, top + STRIP_HEIGHT - 4], fill=(*self.colour, 220))

    def track(self, boxes: Mapping[int, Box]) -> None:
        """Boxes by whole second: the one of the frame's second, and the path of the centre up to it."""
        now = round(self.time_s) if self.time_s is not None else min(boxes, default=0)
        path = [self._centre(boxes[second]) for second in sorted(boxes) if second <= now]
        if len(path) > 1:
            self._draw.line(path, fill=(*self.colour, 150), width=max(1, self._line - 1))
        if now in boxes:
            self.box(boxes[now])

    def label(self, text: str) -> None:
        """A line of text in the top left corner, the truth's under the answer's, cut to the picture's width."""
        short = self._cut(" ".join(text.split()), self.width - 12)
        line = round(self._font.size * 1.5) if isinstance(self._font, ImageFont.FreeTypeFont) else 16
        top = 4 + line * (self._labels[self.ink] + (_ROWS[self.ink] and 1))
        self._labels[self.ink] += 2
        left, upper, right, lower = self._draw.textbbox((6, top), short, font=self._font)
        self._draw.rectangle([left - 3, upper - 2, right + 3, lower + 2], fill=(0, 0, 0, 170))
        self._draw.text((6, top), short, fill=self.colour, font=self._font)

    def _cut(self, text: str, room_px: float) -> str:
        """The longest beginning of `text` that is at most `room_px` wide, with … if that is not all of it."""
        if len(text) <= self.width and self._font.getlength(text) <= room_px:
            return text
        ends = range(min(len(text), self.width), 0, -1)  # hardly a letter is narrower than a pixel
        end = next((end for end in ends if self._font.getlength(text[:end] + "…") <= room_px), 0)
        return text[:end] + "…"

    def _strength(self, at_s: float | None) -> int:
        far = at_s is not None and self.time_s is not None and abs(at_s - self.time_s) > 0.5
        return 90 if far else 255

    def _at(self, time_s: float) -> float:
        return min(max(time_s / (self.duration_s or 1.0), 0.0), 1.0) * (self.width - 1)

    def _pixels(self, coordinates: Sequence[float]) -> list[float]:
        sides = (self.width, self.height)
        return [min(max(value, 0.0), 1000.0) * (sides[place % 2] - 1) / 1000 for place, value in enumerate(coordinates)]

    def _centre(self, box: Box) -> tuple[float, float]:
        x1, y1, x2, y2 = self._pixels(box)
        return (x1 + x2) / 2, (y1 + y2) / 2
