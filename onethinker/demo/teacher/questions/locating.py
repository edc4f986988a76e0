"""Boxes in pictures, and the points that mark a shape for a segmenter, in pictures and in videos."""

import re

from onethinker.demo.teacher.questions.naming import standing_out
from onethinker.demo.teacher.sight.colours import Thing
from onethinker.demo.teacher.view import Finding, NotSeen, View, seconds
from onethinker.demo.world.pointing import points_beside, points_on


def _named(words: str, view: View) -> tuple[Thing, str]:
    if "shape" in words.lower():
        return standing_out(words, view.things)
    thing = view.thing(words)
    return thing, f"There is one {thing.name}."


def _box(match: re.Match[str], view: View) -> Finding:
    thing, why = _named(match[1], view)
    box = _whole(thing)
    thought = f"The {thing.name} reaches from {box[:2]} to {box[2:]}, in thousandths of width and height."
    return Finding("fields", {"boxes": box}, [why, thought])


def _segment(match: re.Match[str], view: View) -> Finding:
    thing, why = _named(match[1], view)
    thought = f"The {thing.name} covers {thing.area} pixels in the box {_whole(thing)}."
    return Finding("fields", _marks(thing), [why, thought, "I put three points well inside it and three just outside."])


def _segment_at_peak(match: re.Match[str], view: View) -> Finding:
    if not view.is_video:
        raise NotSeen("no video frames came with the question")
    track = view.track(match[1])
    time_s = track.largest_s()
    thing = track.nearest(time_s)
    thoughts = [
        f"The {track.name} grows to {thing.area} pixels.",
        f"A curve through the frames around that puts its largest moment at {time_s:.1f} s.",
    ]
    return Finding("fields", {"time": seconds(time_s), **_marks(thing)}, thoughts)


def _whole(thing: Thing) -> list[int]:
    return [round(edge) for edge in thing.box]


def _marks(thing: Thing) -> dict[str, object]:
    mask = thing.mask
    return {"boxes": _whole(thing), "positive_points": points_on(mask), "negative_points": points_beside(mask)}


ASKS = [
    (r"find the bounding box of: the (largest shape|shape furthest to the (?:left|right)|\w+ \w+)", _box),
    (r"segment the (\w+ \w+) at the moment when it is largest", _segment_at_peak),
    (r"segment the (\w+ (?:circle|square|triangle|star|diamond))\b", _segment),
]
