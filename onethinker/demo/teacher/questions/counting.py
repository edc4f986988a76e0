"""Counts: shapes in an image, shapes that move, shapes visible at a time."""

import re

from onethinker.demo.teacher.measurements import MeasuredAnswer, Measurements, join_words
from onethinker.demo.world.palette import COLOURS, FORMS


def _in_picture(match: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    wanted = match[1].lower().strip()
    word = wanted.split()[0] if wanted else ""
    form, colour = word.removesuffix("s"), word
    blobs = measured.blobs
    if form in FORMS:
        blobs = [blob for blob in blobs if blob.form == form]
    elif colour in COLOURS:
        blobs = [blob for blob in blobs if blob.colour == colour]
    thoughts = [
        f"I see {join_words([blob.name for blob in measured.blobs]) or 'no known shape'}.",
        f"Of these I count {join_words([t.name for t in blobs]) or 'none'}: {len(blobs)}.",
    ]
    return MeasuredAnswer("number", str(len(blobs)), thoughts)


def _moving(_: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    shifts = [f"{track.name} by {100 * track.shift:+.0f}%" for track in measured.tracks]
    count = sum(1 for track in measured.tracks if track.direction)
    thoughts = [f"From its first to its last frame each shape shifts by this much of the width: {join_words(shifts)}."]
    return MeasuredAnswer("number", str(count), [*thoughts, f"So {count} of them move."])


def _at(match: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    time_s = float(match[1])
    there = [track.name for track in measured.tracks if track.visible_s()[0] <= time_s <= track.visible_s()[1]]
    thoughts = [f"At {time_s:g} s I see {join_words(there) or 'no known shape'}."]
    return MeasuredAnswer("number", str(len(there)), [*thoughts, f"That makes {len(there)}."])


PATTERNS = [
    (r"how many (\w*\s?(?:shapes|circles|squares|triangles|stars|diamonds)) are there in the image", _in_picture),
    (r"how many (shapes) does the picture hold", _in_picture),
    (r"count the (\w*\s?(?:shapes|circles|squares|triangles|stars|diamonds)) in the image", _in_picture),
    (r"how many shapes move from one place to another", _moving),
    (r"how many shapes can be seen (\d+(?:\.\d+)?) seconds into the video", _at),
]
