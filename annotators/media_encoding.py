"""Media as APIs want them: images within a pixel cap as JPEG, video frames sampled at a rate with their times.

These functions run in worker processes that can be killed (see `media_pool`), so they import little and trust nothing.
"""

import base64
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from corpus.errors import MediaError
from corpus.media.image import open_image
from corpus.media.video import Times, map_frames

JPEG_QUALITY = 90
_PASSED_ON = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png"}
MOST_BYTES = 3_700_000  # Anthropic refuses images over 5 MB of base64


class Undecodable(MediaError):  # noqa: N818, it names a state of the medium
    """A medium that cannot be shown to a teacher; `reason` is a stable word."""


@dataclass(frozen=True, slots=True)
class EncodedMedia:
    """One picture, ready to send; `at_s` is its time in its video, None for images."""

    mime: str
    base64: str
    width: int
    height: int
    at_s: float | None = None


def read_unchanged(path: Path, width: int, height: int, most_pixels: int) -> EncodedMedia | None:
    """The file's own bytes where APIs take them: a JPEG or PNG within the cap; None where it must be encoded anew.

    Cheap (a read and base64), and the pixels that the teacher sees are exactly those of the corpus.
    """
    if width * height > most_pixels or path.stat().st_size > MOST_BYTES:
        return None
    data = path.read_bytes()
    for magic, mime in _PASSED_ON.items():
        if data.startswith(magic):
            return EncodedMedia(mime, base64.b64encode(data).decode("ascii"), width, height)
    return None


def image(path: str, most_pixels: int) -> EncodedMedia:
    """An image of any format that Pillow reads, scaled down to at most `most_pixels`, as JPEG.

    Raises Undecodable `media_unreadable`.
    """
    try:
        with open_image(path) as opened:
            opened.load()
            return _jpeg(_on_white(opened), most_pixels)
    except Exception as error:  # Pillow raises whatever its decoders meet
        raise Undecodable("media_unreadable", f"{type(error).__name__}: {error}"[:300]) from None


def sample_times(duration_s: float, fps: float, max_frames: int) -> list[float]:
    """The moments to look at, in seconds: every 1/fps from 0, or `max_frames` evenly spread where those are more.

    A video always gives its first frame. The end itself is not a frame: a video of 10 s at 1 fps gives 0 … 9.
    """
    wanted = max(1, math.ceil(duration_s * fps - 1e-6))
    if wanted <= max_frames:
        return [i / fps for i in range(wanted)]
    return [i * duration_s / max_frames for i in range(max_frames)]


def frames(path: str, duration_s: float, fps: float, max_frames: int, most_pixels: int) -> list[EncodedMedia]:
    """A video's frames at `sample_times`, each with the time it really has, decoded by decord or else PyAV.

    Raises Undecodable: `media_unreadable` if neither can, `video_shorter_than_said` if frames are missing.
    """
    times = sample_times(duration_s, fps, max_frames)
    try:
        return map_frames(
            path,
            lambda starts, _: _on_screen(starts, times),
            lambda pixels, at_s: _jpeg(Image.fromarray(pixels), most_pixels, at_s),
        )
    except Undecodable:
        raise
    except MediaError as error:
        raise Undecodable(error.reason, error.detail) from None


def whole(path: str) -> EncodedMedia:
    """A video file as it is, for APIs that take videos."""
    data = Path(path).read_bytes()
    mime = "video/webm" if data.startswith(b"\x1aE\xdf\xa3") else "video/mp4"
    return EncodedMedia(mime, base64.b64encode(data).decode("ascii"), 0, 0)


def _on_screen(starts: Times, times: list[float]) -> list[int]:
    """The frame shown at each time: the last that starts at or before it, each frame once.

    Raises Undecodable where the frames end well before the last time.
    """
    if times[-1] - starts[-1] > max(1.0, 0.05 * times[-1]):
        raise Undecodable("video_shorter_than_said", f"frames end at {starts[-1]:.2f} s, asked for {times[-1]:.2f} s")
    indices = np.searchsorted(starts, np.asarray(times) + 1e-3, side="right") - 1
    return sorted(set(np.clip(indices, 0, len(starts) - 1).tolist()))


def _jpeg(picture: Image.Image, most_pixels: int, at_s: float | None = None) -> EncodedMedia:
    width, height = picture.size
    if width * height > most_pixels:
        scale = math.sqrt(most_pixels / (width * height))
        picture = picture.resize((max(1, int(width * scale)), max(1, int(height * scale))), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.convert("RGB").save(out, "JPEG", quality=JPEG_QUALITY)
    return EncodedMedia("image/jpeg", base64.b64encode(out.getvalue()).decode("ascii"), *picture.size, at_s)


def _on_white(picture: Image.Image) -> Image.Image:
    """Transparency over white: JPEG has none, and Pillow would show black."""
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba)
    return picture
