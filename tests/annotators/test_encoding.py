"""Frames as they are sent: the times that go with them are the video's own."""

from pathlib import Path

import av
import numpy as np
import pytest

from annotators.encoding import frames
from tests.annotators.making import video


def test_frames_carry_their_own_times(tmp_path: Path) -> None:
    shown = frames(str(video(tmp_path / "clip.mp4", seconds=3.0, fps=10)), 3.0, 2.0, 64, 10_000)
    assert [frame.at_s for frame in shown] == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0, 2.5])


def test_a_container_without_time_stamps_has_frames_at_an_even_rate(tmp_path: Path) -> None:
    """AVI: the decoder gives FFmpeg's "no time" for every frame, a huge negative number."""
    path = tmp_path / "clip.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(30):
            picture = np.full((48, 64, 3), 8 * i, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    shown = frames(str(path), 3.0, 2.0, 64, 10_000)
    assert [frame.at_s for frame in shown] == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0, 2.5], abs=0.11)
