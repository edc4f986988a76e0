"""What a request asks and shows, whatever wire format it came in: a text, pictures, or timed frames of a video."""

import io
import re
from dataclasses import dataclass
from functools import cached_property

import av
import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]

MAX_FRAMES = 32
_MAX_SIDE = 1280  # larger pictures are looked at reduced: shares of the picture stay what they are
_MAX_PIXELS = 50_000_000

_STAMP = re.compile(
    r"(?:^|[\n\[(<]|frame\s*\d*\s*(?:at|@|:)\s*)\s*(?:t\s*=\s*|time\s*[:=]?\s*)?"
    r"(\d+(?:\.\d+)?)\s*s(?:ec(?:onds?)?)?\s*[\])>:.]*\s*$",
    re.IGNORECASE,
)
_OPTION = re.compile(r"(?m)^[ \t]*\(?([A-Z])[.):][ \t]+(\S.*?)[ \t]*$")
_LASTS = re.compile(r"(?:lasts|duration|length)\D{0,24}(\d+(?:\.\d+)?)\s*s", re.IGNORECASE)


class MediaDecodeError(ValueError):
    """A picture or video that cannot be opened; the wire answers with its own kind of 400."""


@dataclass(frozen=True)
class ContentPart:
    """One part of a message, in order: a text, a picture's bytes or a video's bytes."""

    text: str = ""
    image: bytes | None = None
    video: bytes | None = None


@dataclass(frozen=True)
class TimedFrame:
    """One picture of a video and its time in seconds from the beginning."""

    time_s: float
    pixels: Pixels


@dataclass(frozen=True)
class RequestContent:
    """The text of a request without the frames' time stamps, its single pictures and its frames."""

    text: str
    images: tuple[Pixels, ...] = ()
    frames: tuple[TimedFrame, ...] = ()

    @cached_property
    def options(self) -> dict[str, str]:
        """Letter → text of the options on offer, empty for a question without."""
        found = dict(_OPTION.findall(self.text))
        letters = sorted(found)
        in_order = letters == [chr(65 + n) for n in range(len(letters))]
        return found if len(found) > 1 and in_order else {}

    @cached_property
    def duration_s(self) -> float:
        """How long the video is: as the text says, else one step beyond the last frame; 0 without frames."""
        if not self.frames:
            return 0.0
        last = self.frames[-1].time_s
        said = _LASTS.search(self.text)
        if said and float(said[1]) >= last:
            return float(said[1])
        step = (last - self.frames[0].time_s) / (len(self.frames) - 1) if len(self.frames) > 1 else 1.0
        return last + step


def decode_content(parts: list[ContentPart]) -> RequestContent:
    """Sort the parts of a request into text, stills and frames.

    Several pictures with a time stamp such as `[1.00 s]` before each are the frames of a video; several without are
    taken as frames a second apart. Raises MediumError for bytes that are no picture or no video.
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
        with Image.open(io.BytesIO(data)) as header:  # the size is looked at before anything is unpacked
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
    """Up to 32 frames spread evenly over a video's decoded frames."""
    try:
        with av.open(io.BytesIO(data), "r") as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            # Every frame is decoded, few are kept: counts in headers lie, and worlds like ours are short.
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
