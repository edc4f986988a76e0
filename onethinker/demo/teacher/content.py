"""The decoded content of a request, from any API: text, images, and timed video frames."""

import io
import re
from dataclasses import dataclass
from functools import cached_property

import av
import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from corpus.media.image import open_image
from corpus.media.video import OPEN_OPTIONS

Pixels = npt.NDArray[np.uint8]

MAX_FRAMES = 32
_MAX_SIDE = 1280  # larger images are scaled down: shares of the image stay the same
_MAX_PIXELS = 50_000_000

_STAMP = re.compile(
    r"(?:^|[\n\[(<]|frame\s*\d*\s*(?:at|@|:)\s*)\s*(?:t\s*=\s*|time\s*[:=]?\s*)?"
    r"(\d+(?:\.\d+)?)\s*s(?:ec(?:onds?)?)?\s*[\])>:.]*\s*$",
    re.IGNORECASE,
)
_OPTION = re.compile(r"(?m)^[ \t]*\(?([A-Z])[.):][ \t]+(\S.*?)[ \t]*$")
_LASTS = re.compile(r"(?:lasts|duration|length)\D{0,24}(\d+(?:\.\d+)?)\s*s", re.IGNORECASE)


class MediaDecodeError(ValueError):
    """An image or video that does not decode; each API answers it with status 400."""


@dataclass(frozen=True)
class ContentPart:
    """One part of a message: text, or the bytes of an image or a video."""

    text: str = ""
    image: bytes | None = None
    video: bytes | None = None


@dataclass(frozen=True)
class TimedFrame:
    """One frame of a video, RGB (height, width, 3), and its time from the start."""

    time_s: float
    pixels: Pixels


@dataclass(frozen=True)
class RequestContent:
    """The text of a request without time stamps, its single images and its video frames."""

    text: str
    images: tuple[Pixels, ...] = ()
    frames: tuple[TimedFrame, ...] = ()

    @cached_property
    def options(self) -> dict[str, str]:
        """The options of a multiple-choice question by letter; empty for any other question."""
        found = dict(_OPTION.findall(self.text))
        letters = sorted(found)
        in_order = letters == [chr(65 + n) for n in range(len(letters))]
        return found if len(found) > 1 and in_order else {}

    @cached_property
    def duration_s(self) -> float:
        """The video's length: as stated in the text, else one step after the last frame; 0 without frames."""
        if not self.frames:
            return 0.0
        last = self.frames[-1].time_s
        stated = _LASTS.search(self.text)
        if stated and float(stated[1]) >= last:
            return float(stated[1])
        step = (last - self.frames[0].time_s) / (len(self.frames) - 1) if len(self.frames) > 1 else 1.0
        return last + step


def decode_content(parts: list[ContentPart]) -> RequestContent:
    """Decode the parts of a request into text, single images and video frames.

    Several images are the frames of a video: at the time stamp before each, such as `[1.00 s]`, or one second apart.
    Raises MediaDecodeError for bytes that are no image or no video.
    """
    texts: list[str] = []
    pictures: list[tuple[float | None, Pixels]] = []
    frames: list[TimedFrame] = []
    for part in parts:
        if part.image is not None:
            stamp = _STAMP.search(texts[-1]) if texts else None
            if stamp:
                texts[-1] = texts[-1][: stamp.start()]
            pictures.append((float(stamp[1]) if stamp else None, _decode_image(part.image)))
            texts.append("")
        elif part.video is not None:
            frames.extend(_decode_video(part.video))
        else:
            texts.append(part.text)
    text = "\n".join(text for text in texts if text.strip())
    if len(pictures) == 1 and pictures[0][0] is None:
        return RequestContent(text, (pictures[0][1],), tuple(frames))
    timed = [TimedFrame(float(number) if at is None else at, pixels) for number, (at, pixels) in enumerate(pictures)]
    return RequestContent(text, (), tuple(_subsample(sorted([*frames, *timed], key=lambda frame: frame.time_s))))


def _subsample(frames: list[TimedFrame]) -> list[TimedFrame]:
    if len(frames) <= MAX_FRAMES:
        return frames
    return [frames[int(n)] for n in np.linspace(0, len(frames) - 1, MAX_FRAMES)]


def _decode_image(data: bytes) -> Pixels:
    try:
        with open_image(io.BytesIO(data)) as header:  # check the size before decoding
            width, height = header.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MediaDecodeError(f"the image could not be read: {error}") from error
    if width * height > _MAX_PIXELS:
        raise MediaDecodeError(f"the image has {width} x {height} pixels; at most {_MAX_PIXELS:,} are looked at")
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise MediaDecodeError(f"the image could not be read: {error.err}") from error
    if bgr is None:
        raise MediaDecodeError("the image could not be read: it is damaged, or of a kind that is not supported")
    return _shrink(np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8))


def _shrink(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    scale = _MAX_SIDE / max(height, width)
    if scale < 1:
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    return pixels


def _decode_video(data: bytes) -> list[TimedFrame]:
    """Up to 32 frames, evenly spread over the decoded frames of a video."""
    try:
        with av.open(io.BytesIO(data), "r", options=OPEN_OPTIONS) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            # Decode every frame and keep few: frame counts in headers are unreliable, and the videos are short.
            frames: list[TimedFrame] = []
            keep_each = 1
            for number, picture in enumerate(container.decode(stream)):
                if number % keep_each:
                    continue
                frames.append(
                    TimedFrame(
                        float(picture.time or 0.0), _shrink(np.asarray(picture.to_ndarray(format="rgb24"), np.uint8))
                    )
                )
                if len(frames) > 2 * MAX_FRAMES:
                    frames, keep_each = frames[::2], 2 * keep_each
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise MediaDecodeError(f"the video could not be read: {error}") from error
    if not frames:
        raise MediaDecodeError("the video holds no frames")
    return _subsample(frames)
