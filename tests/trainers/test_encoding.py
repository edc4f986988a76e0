"""Rows become tokens and pixels: exact borders, true times, nothing cut, and each row answers for its own media."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("trl", reason="the training stack is not installed")

from tests.trainers.making import MEDIA, Training
from trainers.batching import Collator, pad_rows
from trainers.config import parse_config
from trainers.encoding import EncodedRow, Encoder, MediaLimits, RowDropped
from trainers.frames import read_clip
from trainers.models import load_processor


@pytest.fixture(scope="module")
def encoder(training: Training) -> Encoder:
    return Encoder(load_processor(training.sft().model), parse_config(MEDIA, MediaLimits, "test"), 2048)


@pytest.fixture(scope="module")
def rows(training: Training) -> list[dict[str, Any]]:
    return list(training.snapshot.stream().decode(False))


def of(rows: list[dict[str, Any]], task: str) -> dict[str, Any]:
    return next(row for row in rows if row["task"] == task)


def test_every_row_is_prompt_then_response_and_only_the_response_is_learnt(encoder: Encoder, rows: Any) -> None:
    for row in rows:
        whole = encoder.whole(row)
        learnt = [token for token, label in zip(whole.ids, whole.labels, strict=True) if label >= 0]
        assert encoder.tokenizer.decode(learnt) == row["messages"][-1]["content"][0]["text"] + "<|im_end|>"
        assert whole.ids[: -len(learnt)] == encoder.prompt(row).ids, "SFT and RL must see one prompt"
        assert whole.labels[-len(learnt) :] == learnt


def test_placeholders_are_as_many_as_the_pixels_make(encoder: Encoder, rows: Any) -> None:
    for row in rows:
        whole = encoder.whole(row)
        for kind, name in ((1, "image_grid_thw"), (2, "video_grid_thw")):
            made = sum(int(grid.prod()) // 4 for grid in whole.pixels.get(name, ()))
            assert whole.kinds.count(kind) == made
    assert {1, 2} == {kind for row in rows for kind in encoder.whole(row).kinds if kind}


def test_frames_carry_their_true_times_inside_single_vision_marks(encoder: Encoder, rows: Any) -> None:
    row = of(rows, "video QA")
    text = encoder.tokenizer.decode(encoder.prompt(row).ids)
    clip = encoder.media(row).clips[0]
    assert len(clip.times_s) == 4
    pairs = [f"{(a + b) / 2:.1f}" for a, b in zip(clip.times_s[::2], clip.times_s[1::2], strict=True)]
    assert re.findall(r"<([\d.]+) seconds><\|vision_start\|>(?:<\|video_pad\|>)+<\|vision_end\|>", text) == pairs
    assert text.count("<|vision_start|>") == len(pairs), "the template's own marks must not double the processor's"


def test_times_are_the_frames_own_where_the_rate_varies(tmp_path: Path) -> None:
    import av

    path, at_ms = tmp_path / "uneven.mkv", [0, 100, 200, 1200, 1300, 3000]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = stream.time_base = __import__("fractions").Fraction(1, 1000)
        for i, time in enumerate(at_ms):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 * i, np.uint8))
            frame.pts, frame.time_base = time, stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    clip = read_clip(str(path), lambda total, fps: range(total))
    assert clip.times_s == pytest.approx([t / 1000 for t in at_ms], abs=2e-3)


def test_a_lone_frame_comes_twice(tmp_path: Path) -> None:
    from tests.corpus.making import write_video

    write_video(tmp_path / "one.mp4", 1)
    clip = read_clip(str(tmp_path / "one.mp4"), lambda total, fps: range(total))
    assert clip.pixels.shape[0] == 2
    assert (clip.pixels[0] == clip.pixels[1]).all()


def test_a_row_too_long_is_dropped_and_never_cut(training: Training, rows: Any) -> None:
    short = Encoder(load_processor(training.sft().model), parse_config(MEDIA, MediaLimits, "test"), 60)
    with pytest.raises(RowDropped, match=r"too_long: a prompt of .* tokens, the limit is 60"):
        short.whole(of(rows, "tracking"))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda row, folder: row | {"images": [{"path": str(folder / "gone.png")}]}, "media_missing"),
        (lambda row, folder: row | {"images": [{"path": str(_junk(folder))}]}, "media_unreadable"),
        (lambda row, folder: row | {"images": [], "videos": [str(_junk(folder))]}, "media_unreadable"),
    ],
)
def test_a_bad_medium_drops_its_own_row_with_a_reason(
    encoder: Encoder, rows: Any, tmp_path: Path, spoil: Any, reason: str
) -> None:
    good, bad = of(rows, "image QA"), spoil(of(rows, "image captioning"), tmp_path)
    together = Collator(encoder)([bad, good])
    alone = Collator(encoder)([good])
    assert together["dropped"] == [(bad["trace_id"], reason)]
    assert together["input_ids"].tolist() == alone["input_ids"].tolist(), "no other row may take its place"


def test_a_batch_is_encoded_as_its_rows_would_be_one_by_one(
    encoder: Encoder, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Token for token and pixel for pixel, with media of unlike size and rows without any."""
    bare = {**of(rows, "image QA"), "images": [], "messages": [{"role": "user", "content": "How many?"}, ANSWERED]}
    both = two_images(of(rows, "image QA"), of(rows, "image captioning"))
    batch = [*rows, bare, both]
    calls: list[int] = []
    kind, call = type(encoder.processor), type(encoder.processor).__call__
    monkeypatch.setattr(
        kind, "__call__", lambda self, **inputs: calls.append(len(inputs["text"])) or call(self, **inputs)
    )
    together = encoder.wholes(batch)
    assert calls == [len(batch)], "one call for all of them"
    for row, one in zip(batch, together, strict=True):
        alone = encoder.whole(row)
        assert isinstance(one, EncodedRow)
        assert (one.ids, one.labels, one.kinds) == (alone.ids, alone.labels, alone.kinds)
        assert one.pixels.keys() == alone.pixels.keys()
        assert all((one.pixels[name] == value).all() for name, value in alone.pixels.items())
    assert [len(encoder.whole(row).pixels.get("image_grid_thw", ())) for row in (bare, both)] == [0, 2]
    collated, joined = (
        Collator(encoder)(batch),
        pad_rows([encoder.whole(row) for row in batch], encoder.tokenizer.pad_token_id),
    )
    assert all((collated.pop(name) == value).all() for name, value in joined.items())
    assert collated == {"dropped": []}


ANSWERED = {"role": "assistant", "content": [{"type": "text", "text": "<think>I count.</think><answer>2</answer>"}]}


def two_images(row: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """A row that shows its own image and then another's."""
    asked = {"role": "user", "content": [{"type": "image", "text": None}, *row["messages"][0]["content"]]}
    return row | {"images": row["images"] + other["images"], "messages": [asked, *row["messages"][1:]]}


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda row: too_wide(row), "media_refused"),
        (lambda row: row | {"images": []}, "media_refused"),
        (lambda row: row | {"images": row["images"] * 2}, "media_refused"),
        (lambda row: row | {"images": [{"path": "/gone.png"}]}, "media_missing"),
        (lambda row: row | {"messages": [{"role": "user", "content": "<|video_pad|>?"}, ANSWERED]}, "media_refused"),
    ],
    ids=["refused by the processor", "one medium too few", "one too many", "missing", "of another kind"],
)
def test_a_bad_row_leaves_its_neighbours_as_they_were(
    encoder: Encoder, rows: Any, tmp_path: Path, spoil: Any, reason: str
) -> None:
    good = [row for row in rows if row["data_type"] == "image"][:3]
    Image.new("RGB", (4096, 8)).save(tmp_path / "wide.png")
    bad = spoil(of(rows, "spatial grounding") | {"folder": tmp_path})
    for place in range(4):
        made = encoder.wholes([*good[:place], bad, *good[place:]])
        why = made.pop(place)
        assert isinstance(why, RowDropped)
        assert why.reason == reason
        for row, one in zip(good, made, strict=True):
            alone = encoder.whole(row)
            assert isinstance(one, EncodedRow)
            assert one.ids == alone.ids
            assert (one.pixels["pixel_values"] == alone.pixels["pixel_values"]).all()


def too_wide(row: dict[str, Any]) -> dict[str, Any]:
    """512 times as wide as high, which Qwen's processor refuses."""
    return row | {"images": [{"path": str(row["folder"] / "wide.png")}]}


def test_a_batch_that_loses_all_its_rows_learns_nothing(encoder: Encoder) -> None:
    batch = Collator(encoder)([])
    assert batch["labels"].tolist() == [[-100]]


def test_a_response_with_a_placeholder_is_dropped(encoder: Encoder, rows: Any) -> None:
    row = of(rows, "image QA")
    turns = [row["messages"][0], {"role": "assistant", "content": [{"type": "text", "text": "see <|image_pad|>"}]}]
    with pytest.raises(RowDropped, match="media_token_in_response"):
        encoder.whole(row | {"messages": turns})


def test_limits_that_no_medium_can_meet_are_refused() -> None:
    with pytest.raises(ValueError, match="image_min_pixels 9 must be above 0 and at most image_max_pixels 4"):
        MediaLimits(image_min_pixels=9, image_max_pixels=4)


def _junk(folder: Path) -> Path:
    (folder / "junk").write_bytes(b"no medium at all")
    return folder / "junk"
