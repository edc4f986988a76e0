"""How many: shapes of a picture, shapes that move, shapes there at a time."""

import re

from onethinker.demo.teacher.view import Finding, View, listed
from onethinker.demo.world.palette import COLOURS, FORMS


def _in_picture(match: re.Match[str], view: View) -> Finding:
    wanted = match[1].lower().strip()
    word = wanted.split()[0] if wanted else ""
    form, colour = word.removesuffix("s"), word
    things = view.things
    if form in FORMS:
        things = [thing for thing in things if thing.form == form]
    elif colour in COLOURS:
        things = [thing for thing in things if thing.colour == colour]
    thoughts = [
        f"I see {listed([thing.name for thing in view.things]) or 'no known shape'}.",
        f"Of these I count {listed([t.name for t in things]) or 'none'}: {len(things)}.",
    ]
    return Finding("number", str(len(things)), thoughts)


def _moving(_: re.Match[str], view: View) -> Finding:
    shifts = [f"{track.name} by {100 * track.shift:+.0f}%" for track in view.tracks]
    count = sum(1 for track in view.tracks if track.direction)
    thoughts = [f"From its first to its last frame each shape shifts by this much of the width: {listed(shifts)}."]
    return Finding("number", str(count), [*thoughts, f"So {count} of them move."])


def _at(match: re.Match[str], view: View) -> Finding:
    time_s = float(match[1])
    there = [track.name for track in view.tracks if track.visible_s()[0] <= time_s <= track.visible_s()[1]]
    thoughts = [f"At {time_s:g} s I see {listed(there) or 'no known shape'}."]
    return Finding("number", str(len(there)), [*thoughts, f"That makes {len(there)}."])


ASKS = [
    (r"how many (\w*\s?(?:shapes|circles|squares|triangles|stars|diamonds)) are there in the image", _in_picture),
    (r"how many (shapes) does the picture hold", _in_picture),
    (r"count the (\w*\s?(?:shapes|circles|squares|triangles|stars|diamonds)) in the image", _in_picture),
    (r"how many shapes move from one place to another", _moving),
    (r"how many shapes can be seen (\d+(?:\.\d+)?) seconds into the video", _at),
]
