"""Samples as images for a page: the image, or a few frames of the video, with answer and truth drawn by the task."""

import base64
import io
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image

from corpus.canvas import Canvas
from corpus.media import MediaStore
from corpus.media.image import open_image
from corpus.media.video import map_frames
from corpus.scores import Unparsed
from corpus.task import Task
from corpus.tasks import task

VIDEO_FRAMES = 4
MAX_WIDTH = 460  # pixels


def draw_sample(media: MediaStore, sample: dict[str, Any], answer: str | None) -> list[str]:
    """The sample's media as JPEG data URIs, with `answer` (if it can be read) over the truth.

    `sample` has the columns problem_type, data_type, answer and media. An image gives one; a video gives four frames,
    evenly spread, each with the timeline under it.
    """
    known = task(sample["problem_type"])
    return [
        _data_uri(_draw_answers(canvas, known, sample, answer).image)
        for medium in sample["media"]
        for canvas in _canvases(media, medium)
    ]


def _draw_answers(canvas: Canvas, known: Task, sample: dict[str, Any], answer: str | None) -> Canvas:
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
        with open_image(path) as image:
            yield Canvas(_shrink(image.convert("RGB"), MAX_WIDTH))
        return
    times = np.linspace(0, medium["duration"], VIDEO_FRAMES, endpoint=False)
    frames = map_frames(
        str(path),
        lambda starts, _: [min(round(t * medium["fps"]), len(starts) - 1) for t in times],
        lambda pixels, _: _shrink(Image.fromarray(pixels), MAX_WIDTH // 2),
    )
    for time_s, frame in zip(times, frames, strict=True):
        yield Canvas(frame, duration_s=medium["duration"], time_s=float(time_s))


def _shrink(image: Image.Image, max_width: int) -> Image.Image:
    if image.width <= max_width:
        return image
    return image.resize((max_width, round(image.height * max_width / image.width)), Image.Resampling.LANCZOS)


def _data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
