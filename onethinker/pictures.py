"""Samples as pictures: the image, or a few frames of the video, with the answer and the truth drawn on by the task."""

import base64
import io
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image

from corpus.canvas import Canvas
from corpus.media import MediaStore
from corpus.media.video import map_frames
from corpus.scores import Unparsed
from corpus.task import Task
from corpus.tasks import task

FRAMES_SHOWN = 4
WIDEST = 460  # pixels of a picture in a page


def drawn(media: MediaStore, sample: dict[str, Any], answer: str | None) -> list[str]:
    """The sample's media as JPEG data URIs, with `answer` (if it can be read) over the truth.

    `sample` has the columns problem_type, data_type, answer and media. One picture for an image; for a video up to
    four frames evenly spread, each with the timeline under it.
    """
    known = task(sample["problem_type"])
    return [
        _data_uri(_with_answers(canvas, known, sample, answer).image)
        for medium in sample["media"]
        for canvas in _canvases(media, medium)
    ]


def _with_answers(canvas: Canvas, known: Task, sample: dict[str, Any], answer: str | None) -> Canvas:
    for ink, text in (("truth", sample["answer"]), ("answer", answer)):
        canvas.ink = ink  # type: ignore[assignment]
        if text is not None:
            try:
                known.draw(canvas, known.parse(text, sample["data_type"]))
            except Unparsed as unread:
                canvas.label(f"{unread.reason}: {text}")
    return canvas


def _canvases(media: MediaStore, medium: dict[str, Any]) -> Iterable[Canvas]:
    path = media.path(medium["sha256"])
    if medium["kind"] == "image":
        with Image.open(path) as image:
            yield Canvas(_shrunk(image.convert("RGB"), WIDEST))
        return
    times = np.linspace(0, medium["duration"], FRAMES_SHOWN, endpoint=False)
    frames = map_frames(
        str(path),
        lambda starts, _: [min(round(t * medium["fps"]), len(starts) - 1) for t in times],
        lambda pixels, _: _shrunk(Image.fromarray(pixels), WIDEST // 2),
    )
    for time_s, frame in zip(times, frames, strict=True):
        yield Canvas(frame, duration_s=medium["duration"], time_s=float(time_s))


def _shrunk(image: Image.Image, widest: int) -> Image.Image:
    if image.width <= widest:
        return image
    return image.resize((widest, round(image.height * widest / image.width)), Image.Resampling.LANCZOS)


def _data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
