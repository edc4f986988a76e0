"""The world's short videos: shapes that cross, visit, start and stop, grow and shrink; and slides with text."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from onethinker.demo.world.drawing import Pixels, add_noise, draw_background, draw_shape, noise_field, shape_mask, sign
from onethinker.demo.world.images import WORDS
from onethinker.demo.world.palette import COLOURS, FORMS, Shape

WIDTH, HEIGHT, FPS = 384, 256, 10
# A width that is not a multiple of 128 leaves padding behind each row, which x264 reads: two runs then differ by bytes.

Interval = tuple[float, float]


@dataclass(frozen=True)
class MovingShape:
    """A shape with a part to play. Times in seconds; it exists for visible[0] <= t < visible[1]."""

    role: str  # crosser, visitor, mover, breather or still
    shape: Shape
    end_x: float
    moves: Interval
    visible: Interval
    peak_s: float = 0.0
    peak_radius: float = 0.0

    @property
    def name(self) -> str:
        """What people call it: `red circle`."""
        return self.shape.name

    @property
    def direction(self) -> str:
        """`left` or `right` for one that moves, else the empty string."""
        return "" if self.end_x == self.shape.x else ("right" if self.end_x > self.shape.x else "left")

    def at(self, time_s: float) -> Shape | None:
        """The shape at a time, or None while it is not there."""
        if not self.visible[0] - 1e-9 <= time_s < self.visible[1] - 1e-9:
            return None
        start, stop = self.moves
        done = min(max((time_s - start) / (stop - start), 0.0), 1.0) if stop > start else 0.0
        radius = self.shape.radius
        if self.peak_radius:
            radius += (self.peak_radius - radius) * max(0.0, 1 - ((time_s - self.peak_s) / 1.4) ** 2)
        sway = 3 * np.sin(1.7 * time_s) if self.role == "crosser" else 0.0
        x = self.shape.x + done * (self.end_x - self.shape.x)
        return Shape(self.shape.colour, self.shape.form, x, self.shape.y + sway, radius, self.shape.angle)


@dataclass(frozen=True)
class ShapesVideo:
    """Actors in lanes of their own, each of another colour, from top to bottom; nothing ever covers another."""

    duration_s: float
    actors: tuple[MovingShape, ...]
    texture_seed: int  # seed of the backdrop and the noise

    def role(self, role: str) -> MovingShape:
        """The first actor with that part; every clip has a crosser, a visitor, a mover and a breather."""
        return next(actor for actor in self.actors if actor.role == role)

    def times(self) -> list[float]:
        """The times of the frames."""
        return [round(number / FPS, 3) for number in range(round(self.duration_s * FPS))]

    def mask(self, actor: MovingShape, time_s: float) -> npt.NDArray[np.bool_]:
        """The pixels of an actor at a time; empty while it is not there."""
        shape = actor.at(time_s)
        return np.zeros((HEIGHT, WIDTH), bool) if shape is None else shape_mask(shape, WIDTH, HEIGHT)

    def frames(self) -> Iterator[Pixels]:
        """The pictures, one for each time."""
        rng = np.random.default_rng(self.texture_seed)
        scenery = draw_background(rng, WIDTH, HEIGHT)
        noise = noise_field(rng, WIDTH, HEIGHT, strength=1.5)
        for number, time_s in enumerate(self.times()):
            pixels = scenery.copy()
            for actor in self.actors:
                shape = actor.at(time_s)
                if shape is not None:
                    draw_shape(pixels, shape)
            yield add_noise(pixels, np.roll(noise, 37 * number, axis=1))


def make_shapes_video(rng: np.random.Generator) -> ShapesVideo:
    """Four or five actors, five to eight seconds."""
    frames = int(rng.integers(50, 81))
    duration = frames / FPS
    roles = ["crosser", "visitor", "mover", "breather"]
    if rng.random() < 0.6:
        roles.append(("still", "crosser")[rng.integers(2)])
    lanes = rng.permutation(5)[: len(roles)]
    colours = rng.permutation(list(COLOURS))
    actors = []
    for number, (role, lane) in enumerate(zip(roles, lanes, strict=True)):
        y = HEIGHT * (lane + 0.5) / 5
        shape = Shape(
            str(colours[number]),
            str(rng.choice(FORMS)),
            float(rng.uniform(40, WIDTH - 40)),
            float(y + rng.uniform(-1.5, 1.5)),
            float(rng.uniform(16, 19)),
            float(rng.uniform(-10, 10)),
        )
        actors.append((int(lane), _PARTS[role](rng, shape, duration)))
    downwards = tuple(actor for _, actor in sorted(actors, key=lambda pair: pair[0]))
    return ShapesVideo(duration, downwards, int(rng.integers(2**31)))


def _crosser(rng: np.random.Generator, shape: Shape, duration: float) -> MovingShape:
    start, end = _journey(rng, 150, 260)
    return MovingShape("crosser", _moved(shape, start), end, (0.0, duration), (0.0, duration))


def _mover(rng: np.random.Generator, shape: Shape, duration: float) -> MovingShape:
    start, end = _journey(rng, 90, 240)
    return MovingShape("mover", _moved(shape, start), end, _span(rng, duration), (0.0, duration))


def _visitor(rng: np.random.Generator, shape: Shape, duration: float) -> MovingShape:
    return MovingShape("visitor", shape, shape.x, (0.0, 0.0), _span(rng, duration))


def _breather(rng: np.random.Generator, shape: Shape, duration: float) -> MovingShape:
    small = Shape(shape.colour, shape.form, shape.x, shape.y, 12.0, shape.angle)
    peak = round(float(rng.uniform(1.2, duration - 1.2)), 1)
    return MovingShape("breather", small, shape.x, (0.0, 0.0), (0.0, duration), peak, 22.0)


def _still(rng: np.random.Generator, shape: Shape, duration: float) -> MovingShape:
    return MovingShape("still", shape, shape.x, (0.0, 0.0), (0.0, duration))


_PARTS = {"crosser": _crosser, "mover": _mover, "visitor": _visitor, "breather": _breather, "still": _still}


def _journey(rng: np.random.Generator, shortest: float, longest: float) -> tuple[float, float]:
    length = rng.uniform(shortest, longest)
    start = float(rng.uniform(40, WIDTH - 40 - length))
    ends = (start, float(start + length))
    return ends if rng.random() < 0.5 else (ends[1], ends[0])


def _moved(shape: Shape, x: float) -> Shape:
    return Shape(shape.colour, shape.form, x, shape.y, shape.radius, shape.angle)


def _span(rng: np.random.Generator, duration: float) -> Interval:
    """A span inside the clip, on the frame grid; neither end on a whole second, where `inclusive` would be moot."""
    while True:
        start, end = np.sort(rng.integers(8, round(duration * FPS) - 7, size=2)) / FPS
        if end - start >= 1.8 and start % 1 and end % 1:
            return float(start), float(end)


@dataclass(frozen=True)
class TextSlides:
    """A sign on which one text after another is shown, each for `each_s` seconds."""

    texts: tuple[str, ...]
    each_s: float
    texture_seed: int

    def frames(self) -> Iterator[Pixels]:
        """The pictures at the world's frame rate."""
        rng = np.random.default_rng(self.texture_seed)
        scenery, noise = draw_background(rng, WIDTH, HEIGHT), noise_field(rng, WIDTH, HEIGHT, strength=1.5)
        size = int(rng.integers(36, 44))
        for number in range(round(len(self.texts) * self.each_s * FPS)):
            if number % round(self.each_s * FPS) == 0:
                pixels = scenery.copy()
                text = self.texts[number // round(self.each_s * FPS)]
                sign(pixels, [text], (WIDTH / 2, HEIGHT / 2), size)
            yield add_noise(pixels, np.roll(noise, 37 * number, axis=1))


def make_word_slides(rng: np.random.Generator) -> TextSlides:
    """Three or four words, no word twice."""
    words = rng.choice(WORDS, size=rng.integers(3, 5), replace=False)
    return TextSlides(tuple(str(word) for word in words), 1.5, int(rng.integers(2**31)))


def make_number_slides(rng: np.random.Generator) -> TextSlides:
    """Three or four whole numbers, no number twice."""
    numbers = rng.choice(np.arange(2, 60), size=rng.integers(3, 5), replace=False)
    return TextSlides(tuple(str(number) for number in numbers), 1.5, int(rng.integers(2**31)))


def write_mp4(frames: Iterator[Pixels], path: Path) -> None:
    """Encode pictures as H.264 at the world's frame rate; the same pictures give the same bytes."""
    with av.open(str(path), "w", options={"fflags": "+bitexact", "movflags": "+faststart"}) as container:
        # One thread everywhere and no time stamps in the header: more would let two runs differ.
        single = "threads=1:lookahead-threads=1:sliced-threads=0:sync-lookahead=0"
        options = {"crf": "23", "preset": "veryfast", "x264-params": single}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.codec_context.thread_count = 1
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for pixels in frames:
            planes: Pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2YUV_I420).astype(np.uint8, copy=False)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        container.mux(stream.encode())
