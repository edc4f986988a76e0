"""Videos are decoded the same way everywhere: by decord, or by PyAV where decord is missing or cannot read them."""

import os
import sys
from pathlib import Path

import av  # before decord, see corpus/media/video.py
import numpy as np
import pyarrow as pa
import pytest

from corpus.errors import MediaError
from corpus.media import probe
from corpus.media.video import FRAMES_AT_ONCE, map_frames, read_frames
from filters.near_duplicates import hash_media
from tests.corpus.making import clip, keep_scheduling, write_video

CODECS = [("a.mp4", "libx264"), ("a.webm", "libvpx-vp9"), ("a.avi", "mpeg4"), ("a.mkv", "libsvtav1")]


@pytest.fixture(params=["decord", "no decord"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With decord where it is installed, and as on machines that it has no wheel for."""
    if request.param == "decord":
        pytest.importorskip("decord")
    else:
        monkeypatch.setitem(sys.modules, "decord", None)  # importing it fails
    return str(request.param)


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize(("name", "codec"), CODECS)
def test_a_video_is_measured_by_its_frames(tmp_path: Path, name: str, codec: str) -> None:
    found = probe(clip(tmp_path / name, codec))
    assert (found.kind, found.width, found.height, found.frames) == ("video", 96, 64, 60)
    assert found.fps == pytest.approx(30)
    assert found.duration == pytest.approx(2.0)


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize(("name", "codec"), CODECS)
def test_a_video_cut_in_half_is_unreadable(tmp_path: Path, name: str, codec: str) -> None:
    path = clip(tmp_path / name, codec)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MediaError, match="media_unreadable"):
        probe(path, "video")


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize(("name", "codec"), [*CODECS, ("b.avi", "libx264")])
def test_frames_come_in_the_order_asked_for_with_their_own_times(tmp_path: Path, name: str, codec: str) -> None:
    shades(tmp_path / name, codec)
    wanted = [20, 3, 3, 0, 29]
    found = read_frames(str(tmp_path / name), lambda times_s, fps: wanted)
    assert (found.pixels.dtype, found.pixels.shape) == (np.uint8, (5, 48, 64, 3))
    assert found.pixels.mean(axis=(1, 2, 3)) == pytest.approx([8 * i for i in wanted], abs=6)
    assert found.times_s == pytest.approx([i / 10 for i in wanted], abs=2e-3)
    assert (found.total, found.fps) == (30, pytest.approx(10))
    mapped = map_frames(str(tmp_path / name), lambda times_s, fps: wanted, lambda pixels, at_s: (pixels.mean(), at_s))
    assert mapped == [(pixels.mean(), at_s) for pixels, at_s in zip(found.pixels, found.times_s, strict=True)]


@pytest.mark.usefixtures("decoder")
def test_few_frames_are_decoded_ahead_of_the_one_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from corpus.media import video

    ahead, decoded = [], 0
    for reader in (video._Decord, video._PyAv):

        def counted(self, indices, decode=reader.decode):  # type: ignore[no-untyped-def]
            nonlocal decoded
            for batch in decode(self, indices):
                decoded += len(batch)
                yield batch

        monkeypatch.setattr(reader, "decode", counted)
    write_video(tmp_path / "a.mp4", 40)
    map_frames(str(tmp_path / "a.mp4"), lambda times_s, _: range(40), lambda *_: ahead.append(decoded - len(ahead)))
    assert max(ahead) <= FRAMES_AT_ONCE
    assert len(ahead) == 40


@pytest.mark.parametrize("data", [b"", b"not a video", b"\0\0\0\x18ftypmp42" + b"\0" * 500])
def test_what_no_decoder_reads_says_what_each_found(
    tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.mp4").write_bytes(data)
    with pytest.raises(MediaError, match=r"media_unreadable: decord: .*; pyav: "):
        read_frames(str(tmp_path / "a.mp4"), lambda times_s, fps: [0])
    monkeypatch.setitem(sys.modules, "decord", None)
    with pytest.raises(MediaError, match=r"media_unreadable: decord: not installed \(decord\); pyav: "):
        read_frames(str(tmp_path / "a.mp4"), lambda times_s, fps: [0])


def test_what_the_caller_refuses_is_not_tried_with_another_decoder(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 3)
    asked = []

    def refuse(times_s: object, fps: float) -> list[int]:
        asked.append(fps)
        raise MediaError("video_shorter_than_said", "too short")

    with pytest.raises(MediaError, match="video_shorter_than_said"):
        read_frames(str(tmp_path / "a.mp4"), refuse)
    assert len(asked) == 1


@pytest.mark.usefixtures("decoder")
def test_near_duplicates_are_found_among_av1_clips(tmp_path: Path) -> None:
    paths = [str(clip(tmp_path / name, codec)) for name, codec in (("a.mkv", "libsvtav1"), ("b.mp4", "libx264"))]
    hashes = hash_media(pa.table({"path": paths, "kind": ["video"] * 2}))["hashes"].to_pylist()
    assert [len(hashed) for hashed in hashes] == [3, 3]


def shades(path: Path, codec: str) -> None:
    """Thirty frames at 10 per second; frame i has brightness 8 i."""
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec} encoder to make the file with")
    with keep_scheduling(), av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(30):
            picture = np.full((48, 64, 3), 8 * i, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="this system has no scheduling policies to keep")
def test_making_an_av1_clip_leaves_the_scheduling_policy_alone(tmp_path: Path) -> None:
    before = os.sched_getscheduler(0)
    clip(tmp_path / "a.mkv", "libsvtav1")
    assert os.sched_getscheduler(0) == before
