"""Video frames for training: decoded late, at the frames that the model's own sampling picks, with their true times.

decord reads what it can (mp4, h264, h265, vp9, avi, mkv), PyAV the rest (AV1).
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus.media import MediaError

# A broken file makes decord retry its end of file ten thousand times, which looks like a hang and times NCCL out.
EOF_RETRIES = "2048001"

Pick = Callable[[int, float], Sequence[int]]  # (frames in the file, frames a second) → the frames wanted


@dataclass(frozen=True)
class Clip:
    """Some frames of a video: pixels as (frame, height, width, RGB) bytes, and when each is shown, in seconds."""

    pixels: NDArray[np.uint8]
    times_s: list[float]
    fps: float  # of the file, on average
    total_frames: int


def read_clip(path: str, pick: Pick) -> Clip:
    """The frames of `path` that `pick` wants, at least two (a lone frame comes twice, for models that pair frames).

    Raises MediaError `media_missing`, or `media_unreadable` where neither decoder can read it.
    """
    if not os.path.isfile(path):  # noqa: PTH113 (called per row)
        raise MediaError("media_missing", path)
    errors = []
    for read in (_by_decord, _by_pyav):
        try:
            return read(path, pick)
        except Exception as error:  # decoders raise whatever they like on a bad file
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            errors.append(f"{read.__name__.removeprefix('_by_')}: {said[:200]}")
    raise MediaError("media_unreadable", f"{path}: {'; '.join(errors)}")


def _by_decord(path: str, pick: Pick) -> Clip:
    os.environ.setdefault("DECORD_EOF_RETRY_MAX", EOF_RETRIES)
    import decord

    reader = decord.VideoReader(path, num_threads=1)
    total, fps = len(reader), float(reader.get_avg_fps())
    wanted = _pairable(pick(total, fps))
    starts = reader.get_frame_timestamp(list(wanted))[:, 0]
    return Clip(reader.get_batch(list(wanted)).asnumpy(), _from_zero(starts), fps, total)


def _by_pyav(path: str, pick: Pick) -> Clip:
    import av

    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        stamps = sorted(packet.pts for packet in container.demux(stream) if packet.pts is not None)
        if not stamps:
            raise ValueError("it holds no frames")
        base = float(stream.time_base or 0)
        fps = float(stream.average_rate or stream.guessed_rate or 0) or len(stamps)
        wanted = _pairable(pick(len(stamps), fps))
        pictures: dict[int, Any] = {}
        needed = {stamps[i] for i in wanted}
        container.seek(stamps[0], stream=stream)
        for frame in container.decode(stream):
            if frame.pts in needed:
                pictures[frame.pts] = frame.to_ndarray(format="rgb24")
                if len(pictures) == len(needed):
                    break
    missing = len(needed) - len(pictures)
    if missing:
        raise ValueError(f"{missing} of its frames do not decode")
    pixels = np.stack([pictures[stamps[i]] for i in wanted])
    return Clip(pixels, [(stamps[i] - stamps[0]) * base for i in wanted], fps, len(stamps))


def _pairable(wanted: Sequence[int]) -> list[int]:
    frames = [int(i) for i in wanted]
    return frames * 2 if len(frames) == 1 else frames


def _from_zero(starts: NDArray[np.float32]) -> list[float]:
    return [max(0.0, float(start)) for start in starts]
