"""Captions, what a shape does, and which way it goes."""

import re

from onethinker.demo.teacher.sight.motion import Track
from onethinker.demo.teacher.view import Finding, NotSeen, View, listed
from onethinker.demo.world.palette import NUMBER_WORDS, place, with_article


def _image(_: re.Match[str], view: View) -> Finding:
    if not view.things or view.is_video:
        raise NotSeen("I looked for the shapes that I know and found none")
    width, height = view.size
    in_order = sorted(view.things, key=lambda t: (int(3 * t.centre[1] / height), t.centre[0]))
    parts = [f"{with_article(t.name)} {place(*t.centre, width, height)}" for t in in_order]
    count = NUMBER_WORDS[len(parts)] if len(parts) < len(NUMBER_WORDS) else str(len(parts))
    largest = view.things[0]
    thoughts = [f"I make out {len(parts)} shapes.", f"The {largest.name} covers most: {largest.area} pixels."]
    return Finding(
        "text", f"The image shows {count} shapes: {listed(parts)}. The largest is the {largest.name}.", thoughts
    )


def _video(_: re.Match[str], view: View) -> Finding:
    if not view.is_video or not view.tracks:
        raise NotSeen("I looked for shapes in the frames and found none that I know")
    thoughts = [f"I follow {len(view.tracks)} shapes through {len(view.prompt.frames)} frames."]
    return Finding("text", " ".join(deed(track) for track in view.tracks), thoughts)


def deed(track: Track) -> str:
    """What a shape does, in one sentence."""
    if track.comes_or_goes:
        return f"The {track.name} appears and later disappears."
    if track.direction:
        start, end = track.moving_s()
        if start < 0.3 and end > track.times_s[-1] - 0.25:
            return f"The {track.name} moves to the {track.direction} all the time."
        return f"The {track.name} waits, then moves to the {track.direction} and stops."
    return f"The {track.name} grows and shrinks again." if track.pulses else f"The {track.name} does not move."


def _does(match: re.Match[str], view: View) -> Finding:
    track = view.track(match[1])
    areas = [thing.area for thing in track.seen.values()]
    thoughts = [
        f"I see the {track.name} in {len(track.seen)} of {len(track.times_s)} frames.",
        f"It shifts by {100 * track.shift:+.0f}% of the width, and covers {min(areas)} to {max(areas)} pixels.",
    ]
    return Finding("text", deed(track), thoughts)


def _direction(match: re.Match[str], view: View) -> Finding:
    track = view.track(match[1])
    thought = f"The {track.name} shifts by {100 * track.shift:+.0f}% of the width."
    return Finding("text", f"to the {track.direction}" if track.direction else "it does not move", [thought])


def _passing(_: re.Match[str], view: View) -> Finding:
    for track in view.tracks:
        if track.comes_or_goes:
            start, end = track.visible_s()
            return Finding(
                "text",
                track.name,
                [f"Only the {track.name} is missing at times: I see it from {start:.1f} to {end:.1f} s."],
            )
    raise NotSeen("every shape that I can follow is there in all frames")


ASKS = [
    (r"which shape (?:appears only for a while|is not there during the whole video)", _passing),
    (r"in which direction does the (\w+ \w+) move", _direction),
    (r"what does the (\w+ (?:circle|square|triangle|star|diamond)) do\b", _does),
    (r"describe (?:the image\b|what the image shows)", _image),
    (r"describe (?:the video\b|what happens in the video)", _video),
]
