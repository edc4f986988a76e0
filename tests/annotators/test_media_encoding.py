"""Media as teachers see them, and the media that hang, lie or break."""

import asyncio
import base64
import io
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotators import annotate
from annotators.media_encoding import Undecodable, frames, image, read_unchanged, sample_times
from annotators.media_pool import EncoderPool, MediaOptions
from annotators.messages import ImagePart, TextPart
from corpus.media import MediaStore
from tests.annotators.making import questions, video
from tests.annotators.serving import Provider

LOOK = MediaOptions(image_pixels=10_000, frame_pixels=1_000, fps=1.0, max_frames=8)


def opened(encoded: Any) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(encoded.base64)))


@pytest.mark.parametrize(
    ("duration", "fps", "most", "times"),
    [
        (3.0, 1.0, 8, [0, 1, 2]),
        (3.1, 1.0, 8, [0, 1, 2, 3]),
        (2.0, 2.0, 8, [0, 0.5, 1, 1.5]),
        (100.0, 2.0, 4, [0, 25, 50, 75]),
        (0.05, 1.0, 8, [0]),
    ],
)
def test_frames_are_asked_for_at_a_rate_or_spread_evenly(
    duration: float, fps: float, most: int, times: list[float]
) -> None:
    assert sample_times(duration, fps, most) == times


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
def test_each_frame_is_the_one_on_screen_at_its_time(
    tmp_path: Path, decoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = video(tmp_path / "v.mp4", seconds=3.0, fps=10)  # frame i has brightness 8 i
    if decoder == "pyav":
        monkeypatch.setitem(sys.modules, "decord", None)
    shown = frames(str(path), 3.0, 2.0, 64, 10**6)
    assert [frame.at_s for frame in shown] == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5], abs=0.001)
    brightness = [float(np.asarray(opened(frame)).mean()) for frame in shown]
    assert brightness == pytest.approx([8 * i for i in (0, 5, 10, 15, 20, 25)], abs=6)


def test_frames_are_scaled_to_the_cap(tmp_path: Path) -> None:
    path = video(tmp_path / "v.mp4", size=(320, 240))
    [frame, *_] = frames(str(path), 3.0, 1.0, 8, 10_000)
    assert frame.width * frame.height <= 10_000
    assert (frame.width, frame.height) == opened(frame).size
    assert frame.width / frame.height == pytest.approx(4 / 3, abs=0.03)


def test_a_small_jpeg_or_png_is_sent_as_it_is_and_others_are_not(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (50, 40), (255, 0, 0, 0))
    for name in ("a.png", "a.gif", "a.webp"):
        picture.save(tmp_path / name)
    sent = read_unchanged(tmp_path / "a.png", 50, 40, 10_000)
    assert sent is not None
    assert base64.b64decode(sent.base64) == (tmp_path / "a.png").read_bytes()
    assert read_unchanged(tmp_path / "a.png", 50, 40, 100) is None
    assert read_unchanged(tmp_path / "a.gif", 50, 40, 10_000) is None
    encoded = image(str(tmp_path / "a.webp"), 500)
    assert encoded.mime == "image/jpeg"
    assert encoded.width * encoded.height <= 500
    assert np.asarray(opened(encoded)).min() > 240, "what is transparent is shown on white"


def test_a_video_that_says_it_is_longer_than_it_is(tmp_path: Path) -> None:
    path = video(tmp_path / "v.mp4", seconds=3.0)
    with pytest.raises(Undecodable, match="video_shorter_than_said"):
        frames(str(path), 60.0, 1.0, 64, 10**6)


@pytest.mark.parametrize("data", [b"", b"not a video", b"\0\0\0\x18ftypmp42" + b"\0" * 500])
def test_what_is_no_video_names_both_decoders(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(data)
    with pytest.raises(Undecodable, match=r"media_unreadable.*decord.*pyav"):
        frames(str(path), 3.0, 1.0, 8, 10**6)


def hang(*_: object) -> None:
    time.sleep(600)


def crash(*_: object) -> None:
    import os

    os.abort()


@pytest.mark.parametrize(("decode", "reason"), [(hang, "media_hangs"), (crash, "media_crashes_decoder")])
def test_a_decoder_that_hangs_or_crashes_is_killed_and_the_next_works(tmp_path: Path, decode: Any, reason: str) -> None:
    path = tmp_path / "a.webp"
    Image.new("RGB", (50, 40)).save(path)

    async def main() -> None:
        with EncoderPool(MediaStore(str(tmp_path)), workers=1, timeout_s=5) as preparer:
            with pytest.raises(Undecodable, match=reason):
                await preparer._decoded(decode, str(path))
            shown = await preparer._decoded(image, str(path), 10_000)
            assert shown.width == 50

    asyncio.run(main())


def test_a_broken_medium_is_a_reject_and_the_run_goes_on(tmp_path: Path, provider: Provider) -> None:
    corpus = questions(tmp_path / "corpus", 6, "tv", media=3)
    broken = corpus.sql("select media[1].sha256 from samples where len(media) > 0 limit 1").fetchone()
    assert broken is not None
    corpus.media.path(broken[0]).write_bytes(b"overwritten")
    report = annotate(corpus, teacher="openai:m")
    assert (report.traces, report.rejected) == (5, 1)
    told = corpus.sql("select reader, field, reason, raw->>'sample_id' from rejects").fetchall()
    [(reader, field, reason, sample_id)] = told
    assert (reader, field, reason) == ("annotate", "media", "media_unreadable")
    assert corpus.sql("select count(*) from traces where sample_id = ?", [sample_id]).fetchone() == (0,)


def test_prepared_media_are_kept_for_the_other_traces_of_a_sample(tmp_path: Path) -> None:
    from corpus import Corpus

    corpus = Corpus.create(tmp_path / "corpus")
    medium = corpus.media.add(video(tmp_path / "v.mp4")).row()

    async def main() -> None:
        with EncoderPool(corpus.media, workers=1, timeout_s=60) as preparer:
            first, second = await asyncio.gather(*(preparer.parts(medium, LOOK, keep=True) for _ in range(2)))
            assert first is second
            assert [part.text for part in first if isinstance(part, TextPart)] == ["[0.00 s]", "[1.00 s]", "[2.00 s]"]
            assert all(part.width * part.height <= 1_000 for part in first if isinstance(part, ImagePart))

    asyncio.run(main())
