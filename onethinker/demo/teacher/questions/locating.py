"""Boxes, and prompt points for a segmenter, in images and videos."""

import re

from onethinker.demo.teacher.measurements import MeasuredAnswer, Measurements, NotVisible, seconds
from onethinker.demo.teacher.questions.naming import find_extreme
from onethinker.demo.teacher.vision.blobs import Blob
from onethinker.demo.world.points import points_beside, points_on


def _named(words: str, measured: Measurements) -> tuple[Blob, str]:
    if "shape" in words.lower():
        return find_extreme(words, measured.blobs)
    blob = measured.blob(words)
    return blob, f"There is one {blob.name}."


def _box(match: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    blob, why = _named(match[1], measured)
    box = _whole(blob)
    thought = f"The {blob.name} reaches from {box[:2]} to {box[2:]}, in thousandths of width and height."
    return MeasuredAnswer("fields", {"boxes": box}, [why, thought])


def _segment(match: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    blob, why = _named(match[1], measured)
    thought = f"The {blob.name} covers {blob.area} pixels in the box {_whole(blob)}."
    return MeasuredAnswer(
        "fields", _marks(blob), [why, thought, "I put three points well inside it and three just outside."]
    )


def _segment_at_peak(match: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    if not measured.is_video:
        raise NotVisible("no video frames came with the question")
    track = measured.track(match[1])
    time_s = track.largest_s()
    blob = track.nearest(time_s)
    thoughts = [
        f"The {track.name} grows to {blob.area} pixels.",
        f"A curve through the frames around that puts its largest moment at {time_s:.1f} s.",
    ]
    return MeasuredAnswer("fields", {"time": seconds(time_s), **_marks(blob)}, thoughts)


def _whole(blob: Blob) -> list[int]:
    return [round(edge) for edge in blob.box]


def _marks(blob: Blob) -> dict[str, object]:
    mask = blob.mask
    return {"boxes": _whole(blob), "positive_points": points_on(mask), "negative_points": points_beside(mask)}


PATTERNS = [
    (r"find the bounding box of: the (largest shape|shape furthest to the (?:left|right)|\w+ \w+)", _box),
    (r"segment the (\w+ \w+) at the moment when it is largest", _segment_at_peak),
    (r"segment the (\w+ (?:circle|square|triangle|star|diamond))\b", _segment),
]
