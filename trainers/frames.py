"""Video frames for training: decoded late, at the frames that the model's own sampling picks, with their true times."""

import os
from collections.abc import Callable, Sequence

from corpus.media import MediaError
from corpus.media.video import Frames, read_frames

# On a broken file decord retries its end of file ten thousand times, which looks like a hang and times NCCL out.
EOF_RETRIES = "2048001"

Pick = Callable[[int, float], Sequence[int]]  # (frames in the file, frames a second) → the frames wanted


def read_clip(path: str, pick: Pick) -> Frames:
    """The frames of `path` that `pick` wants, at least two (a lone frame comes twice, for models that pair frames).

    Raises MediaError `media_missing`, or `media_unreadable` if no decoder can read it.
    """
    if not os.path.isfile(path):  # noqa: PTH113 (called per row)
        raise MediaError("media_missing", path)
    os.environ.setdefault("DECORD_EOF_RETRY_MAX", EOF_RETRIES)
    try:
        return read_frames(path, lambda starts, fps: _pairable(pick(len(starts), fps)))
    except MediaError as error:
        raise MediaError(error.reason, f"{path}: {error.detail}") from None


def _pairable(wanted: Sequence[int]) -> list[int]:
    frames = [int(i) for i in wanted]
    return frames * 2 if len(frames) == 1 else frames
