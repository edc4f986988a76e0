"""Video decoding, in one place: by decord where it is installed and reads the file, by PyAV otherwise.

decord is fast but has wheels for x86-64 Linux and Windows only, and no AV1. PyAV reads all that FFmpeg reads.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from corpus.errors import MediaError

# Files that hold a video, and nothing that names other files or addresses (playlists, scripts, image sequences).
# `probe_video` opens a file with these first, so what is stored is what they name.
VIDEO_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2",
    "matroska,webm",
    "matroska",
    "webm",
    "avi",
    "flv",
    "asf",
    "mpeg",
    "mpegts",
    "mpegvideo",
    "gif",
    "ogg",
    "h264",
    "hevc",
    "m4v",
    "ivf",
    "nut",
)
OPEN_OPTIONS = {"format_whitelist": ",".join(VIDEO_FORMATS), "protocol_whitelist": "file"}
FRAMES_AT_ONCE = 8  # decoded together: 64 frames of 4K video at once would take 1.6 GB
# A container may claim a little more than its frames fill (a last frame's own time, rounding, B-frame delay).
_LENGTH_SLACK_S, _LENGTH_SLACK_SHARE = 0.5, 0.05

Pixels = NDArray[np.uint8]
Times = NDArray[np.float64]
Pick = Callable[[Times, float], Sequence[int]]  # (start of each frame in seconds, frames per second) → frame indices
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class VideoShape:
    """Size, average rate and length of a video, measured from its frames."""

    width: int
    height: int
    fps: float
    duration_s: float
    frames: int


@dataclass(frozen=True, slots=True)
class Frames:
    """Some frames of a video, in the order asked for."""

    pixels: Pixels  # RGB, (frame, height, width, 3)
    times_s: list[float]  # when each is first shown
    fps: float  # of the file, on average
    total: int  # frames in the file


def probe_video(path: str) -> VideoShape:
    """The shape of a video; its first and last frame are decoded.

    Raises MediaError `media_unreadable` if it does not decode, ends early, or claims to be longer than its frames are.
    """
    claimed_s = _claimed_seconds(path)
    width, height, fps, frames = _read(path, _check_ends)
    if frames < 1 or fps <= 0:
        raise MediaError("media_unreadable", "it holds no frames")
    duration_s = frames / fps
    if claimed_s - duration_s > max(_LENGTH_SLACK_S, _LENGTH_SLACK_SHARE * claimed_s):
        raise MediaError("media_unreadable", f"it claims {claimed_s:.2f} s and its frames end at {duration_s:.2f} s")
    return VideoShape(width, height, fps, duration_s, frames)


def read_frames(path: str, pick: Pick) -> Frames:
    """The frames that `pick` asks for, in its order, all in memory.

    Raises MediaError `media_unreadable` if no decoder reads the file, and passes on a MediaError of `pick`.
    """

    def read(reader: _Reader) -> Frames:
        indices = _picked(reader, pick)
        unique, places = np.unique(indices, return_inverse=True)
        pixels: Pixels | None = None
        done = 0
        for batch in reader.decode(unique.tolist()):
            if pixels is None:
                pixels = np.empty((len(unique), *batch.shape[1:]), np.uint8)
            pixels[done : done + len(batch)] = batch
            done += len(batch)
        if pixels is None or done < len(unique):
            raise ValueError(f"{len(unique) - done} of its frames do not decode")
        ordered = pixels if np.array_equal(unique, indices) else pixels[places]
        return Frames(ordered, reader.times_s[indices].tolist(), reader.fps, len(reader.times_s))

    return _read(path, read)


def map_frames(path: str, pick: Pick, convert: Callable[[Pixels, float], T]) -> list[T]:
    """`convert(pixels, time_s)` of each frame that `pick` asks for, in its order; few frames are in memory at a time.

    A frame that is asked for twice is converted once. Raises MediaError as `read_frames` does.
    """

    def read(reader: _Reader) -> list[T]:
        indices = _picked(reader, pick)
        unique = sorted(set(indices))
        pictures = (pixels for batch in reader.decode(unique) for pixels in batch)
        converted = [
            convert(pixels, float(reader.times_s[index])) for index, pixels in zip(unique, pictures, strict=False)
        ]
        if len(converted) < len(unique):
            raise ValueError(f"{len(unique) - len(converted)} of its frames do not decode")
        by_index = dict(zip(unique, converted, strict=True))
        return [by_index[index] for index in indices]

    return _read(path, read)


def _picked(reader: "_Reader", pick: Pick) -> list[int]:
    if not len(reader.times_s):
        raise ValueError("it holds no frames")
    return [int(index) for index in pick(reader.times_s, reader.fps or float(len(reader.times_s)))]


def _read(path: str, use: "Callable[[_Reader], T]") -> T:
    """What `use` makes of the first decoder that does not fail on the file; a MediaError counts for all of them."""
    errors = []
    for name, decoder in (("decord", _Decord), ("pyav", _PyAv)):
        try:
            with closing(decoder(path)) as reader:
                return use(reader)
        except MediaError:
            raise
        except ModuleNotFoundError as error:
            errors.append(f"{name}: not installed ({error.name})")
        except Exception as error:  # decoders raise exceptions of many kinds on a bad file
            text = (str(error).strip() or type(error).__name__).splitlines()[0]
            errors.append(f"{name}: {text[:150]}")
    raise MediaError("media_unreadable", "; ".join(errors))


def _check_ends(reader: "_Reader") -> tuple[int, int, float, int]:
    width, height = reader.check_ends()
    return width, height, reader.fps, len(reader.times_s)


class _Decord:
    """One video through decord."""

    def __init__(self, path: str) -> None:
        import av  # noqa: F401, decord exports its codec libraries to the process: PyAV must have bound its own before
        import decord

        decord.logging.set_level(decord.logging.QUIET)
        self._reader: Any = decord.VideoReader(path, num_threads=1)
        self.fps = float(self._reader.get_avg_fps())
        count = len(self._reader)
        starts = self._reader.get_frame_timestamp(range(count))[:, 0] if count else np.zeros(0)
        if not (np.isfinite(starts).all() and (starts >= 0).all()):
            # AVI with B-frames: FFmpeg's "no time" for each frame, by which decord cannot seek to the right one.
            raise ValueError("its frames have no time stamps")
        self.times_s: Times = starts.astype(np.float64)

    def decode(self, indices: list[int]) -> Iterator[Pixels]:
        """Batches of the frames at `indices` (ascending)."""
        for first in range(0, len(indices), FRAMES_AT_ONCE):
            yield self._reader.get_batch(indices[first : first + FRAMES_AT_ONCE]).asnumpy()

    def check_ends(self) -> tuple[int, int]:
        """Width and height of the first frame, which must be those of the last."""
        height, width, _ = self._reader[0].shape
        if self._reader[len(self._reader) - 1].shape != (height, width, 3):
            raise MediaError("media_unreadable", "its last frame has another size than its first")
        return width, height

    def close(self) -> None:
        """Free the decoder's buffers."""
        del self._reader


class _PyAv:
    """One video through PyAV, which decodes from the first frame to the last one asked for."""

    def __init__(self, path: str) -> None:
        import av

        av.logging.set_level(av.logging.PANIC)
        self._container: Any = _open(path)
        try:
            self._stream: Any = _video_stream(self._container)
            self._stream.thread_type = "NONE"
            self._ticks = sorted(p.pts for p in self._container.demux(self._stream) if p.pts is not None)
        except BaseException:
            self._container.close()
            raise
        self.fps = float(self._stream.average_rate or self._stream.guessed_rate or 0)
        # AVI has no presentation times: its frames come in order, at an even rate.
        self._by_order = self._container.format.name == "avi" and self.fps > 0
        if self._by_order:
            self.times_s: Times = np.arange(len(self._ticks)) / self.fps
        else:
            base = float(self._stream.time_base or 0)
            self.times_s = np.array([(tick - self._ticks[0]) * base for tick in self._ticks], np.float64)

    def decode(self, indices: list[int]) -> Iterator[Pixels]:
        """The frames at `indices` (ascending), one a batch."""
        wanted = set(indices) if self._by_order else {self._ticks[index] for index in indices}
        self._container.seek(self._ticks[0], stream=self._stream)
        for number, frame in enumerate(self._container.decode(self._stream)):
            key = number if self._by_order else frame.pts
            if key in wanted:
                wanted.remove(key)
                yield frame.to_ndarray(format="rgb24")[None]
                if not wanted:
                    return

    def check_ends(self) -> tuple[int, int]:
        """Width and height; the first and the last frame must decode."""
        if not self._ticks:
            raise MediaError("media_unreadable", "it holds no frames")
        for tick in (self._ticks[0], self._ticks[-1]):
            self._container.seek(tick, stream=self._stream)
            found = False
            for _ in self._container.decode(self._stream):
                found = True
                if tick == self._ticks[0]:
                    break
            if not found:
                raise MediaError("media_unreadable", "its first or last frame does not decode")
        return self._stream.width, self._stream.height

    def close(self) -> None:
        """Close the file."""
        self._container.close()


_Reader = _Decord | _PyAv


def _open(path: str) -> Any:
    import av

    try:
        return av.open(path, options=OPEN_OPTIONS)
    except av.FFmpegError as error:
        if "whitelist" in str(error):
            raise MediaError("media_unreadable", "it holds no video stream of a known format") from error
        raise


def _video_stream(container: Any) -> Any:
    if not container.streams.video:
        raise MediaError("media_unreadable", "it holds no video stream")
    return container.streams.video[0]


def _claimed_seconds(path: str) -> float:
    """The longest length that the headers claim for the picture, in seconds; 0 if they are silent."""
    import av

    av.logging.set_level(av.logging.PANIC)
    with _open(path) as container:
        stream = _video_stream(container)
        claims = [0.0]
        if stream.duration is not None:
            claims.append(float(stream.duration * stream.time_base))
        if stream.frames and stream.average_rate:
            claims.append(float(stream.frames / stream.average_rate))
        if container.duration is not None and len(container.streams) == 1:  # with sound it is the longer of the two
            claims.append(container.duration / 1e6)
        return max(claims)
