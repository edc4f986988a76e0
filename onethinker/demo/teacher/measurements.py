"""Measurements of the media of a request, each made once, when a question needs it."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from onethinker.demo.teacher.content import Pixels, RequestContent
from onethinker.demo.teacher.vision.blobs import Blob, find_blobs
from onethinker.demo.teacher.vision.motion import BlobTrack, link_tracks
from onethinker.demo.teacher.vision.text import find_panels, read_lines


class NotVisible(Exception):  # noqa: N818, a result and not a failure
    """The subject of the question is not in the media; the message says what was searched for."""


@dataclass(frozen=True)
class MeasuredAnswer:
    """An answer and the reasoning that led to it, both from measurements.

    `answer` is the text between the answer tags, or the fields of a JSON answer. `kind` decides which errors can be
    injected: `letter`, `number`, `text` or `fields`.
    """

    kind: str
    answer: str | dict[str, object]
    thoughts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Measurements:
    """Lazy measurements of one request."""

    prompt: RequestContent

    @property
    def is_video(self) -> bool:
        """Whether frames were sent."""
        return bool(self.prompt.frames)

    @cached_property
    def image(self) -> Pixels:
        """The first single image. Raises NotVisible if there is none."""
        if not self.prompt.images:
            raise NotVisible("no single picture came with the question")
        return self.prompt.images[0]

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height of the image, or of the first frame."""
        pixels = self.prompt.frames[0].pixels if self.is_video else self.image
        return pixels.shape[1], pixels.shape[0]

    @cached_property
    def blobs(self) -> list[Blob]:
        """The coloured shapes in the image, from the largest to the smallest."""
        return [blob for blob in find_blobs(self.image) if blob.form]

    @cached_property
    def lines(self) -> list[str]:
        """The lines of text on the largest panel of the image that has any."""
        for panel in find_panels(self.image):
            lines = read_lines(self.image, panel)
            if lines:
                return lines
        return []

    @cached_property
    def tracks(self) -> list[BlobTrack]:
        """The coloured shapes of the video over time, from top to bottom."""
        if not self.is_video:
            raise NotVisible("no video frames came with the question")
        frames = self.prompt.frames
        seen = [find_blobs(frame.pixels) for frame in frames]
        tracks = link_tracks(seen, [frame.time_s for frame in frames], self.prompt.duration_s)
        return sorted((t for t in tracks if t.form), key=lambda t: t.first.centre[1])

    @cached_property
    def slides(self) -> list[tuple[float, str]]:
        """The texts that the video shows in turn, each with the time of its first frame."""
        shown: list[tuple[float, str]] = []
        before: npt.NDArray[np.int16] | None = None
        for frame in self.prompt.frames:
            panels = find_panels(frame.pixels)
            if not panels:
                continue
            now = frame.pixels[::4, ::4].astype(np.int16)
            # The same image up to noise: skip it.
            if before is not None and before.shape == now.shape and np.abs(before - now).max() < 60:
                continue
            before = now
            text = " ".join(read_lines(frame.pixels, panels[0]))
            if text and (not shown or shown[-1][1] != text):
                shown.append((frame.time_s, text))
        return shown

    def blob(self, name: str) -> Blob:
        """The shape of a name such as `red circle`. Raises NotVisible if there is none."""
        for blob in self.blobs:
            if blob.name == name.lower():
                return blob
        raise NotVisible(
            f"I looked for a {name} and found {join_words([t.name for t in self.blobs]) or 'no known shape'}"
        )

    def track(self, name: str) -> BlobTrack:
        """The track of a name such as `red circle`. Raises NotVisible if there is none."""
        for track in self.tracks:
            if track.name == name.lower():
                return track
        raise NotVisible(
            f"I looked for a {name} and found {join_words([t.name for t in self.tracks]) or 'no known shape'}"
        )


def join_words(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`; empty for none."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def seconds(value: float) -> float:
    """A time rounded for an answer, to two decimals."""
    return round(value, 2)
