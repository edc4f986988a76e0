"""Captions, what a shape does, and its direction."""

import re

from onethinker.demo.teacher.measurements import MeasuredAnswer, Measurements, NotVisible, join_words
from onethinker.demo.teacher.vision.motion import BlobTrack
from onethinker.demo.world.palette import NUMBER_WORDS, place, with_article


def _image(_: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    if not measured.blobs or measured.is_video:
        raise NotVisible("I looked for the shapes that I know and found none")
    width, height = measured.size
    in_order = sorted(measured.blobs, key=lambda t: (int(3 * t.centre[1] / height), t.centre[0]))
    parts = [f"{with_article(t.name)} {place(*t.centre, width, height)}" for t in in_order]
    count = NUMBER_WORDS[len(parts)] if len(parts) < len(NUMBER_WORDS) else str(len(parts))
    largest = measured.blobs[0]
    thoughts = [f"I make out {len(parts)} shapes.", f"The {largest.name} covers most: {largest.area} pixels."]
    return MeasuredAnswer(
        "text", f"The image shows {count} shapes: {join_words(parts)}. The largest is the {largest.name}.", thoughts
    )


def _decode_video(_: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    if not measured.is_video or not measured.tracks:
        raise NotVisible("I looked for shapes in the frames and found none that I know")
    thoughts = [f"I follow {len(measured.tracks)} shapes through {len(measured.prompt.frames)} frames."]
    return MeasuredAnswer("text", " ".join(describe_motion(track) for track in measured.tracks), thoughts)


def describe_motion(track: BlobTrack) -> str:
    """What a shape does, in one sentence."""
    if track.comes_or_goes:
        return f"The {track.name} appears and later disappears."
    if track.direction:
        start, end = track.moving_s()
        if start < 0.3 and end > track.times_s[-1] - 0.25:
            return f"The {track.name} moves to the {track.direction} all the time."
        return f"The {track.name} waits, then moves to the {track.direction} and stops."
    return f"The {track.name} grows and shrinks again." if track.pulses else f"The {track.name} does not move."


def _does(match: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    track = measured.track(match[1])
    areas = [blob.area for blob in track.seen.values()]
    thoughts = [
        f"I see the {track.name} in {len(track.seen)} of {len(track.times_s)} frames.",
        f"It shifts by {100 * track.shift:+.0f}% of the width, and covers {min(areas)} to {max(areas)} pixels.",
    ]
    return MeasuredAnswer("text", describe_motion(track), thoughts)


def _direction(match: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    track = measured.track(match[1])
    thought = f"The {track.name} shifts by {100 * track.shift:+.0f}% of the width."
    return MeasuredAnswer("text", f"to the {track.direction}" if track.direction else "it does not move", [thought])


def _passing(_: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    for track in measured.tracks:
        if track.comes_or_goes:
            start, end = track.visible_s()
            return MeasuredAnswer(
                "text",
                track.name,
                [f"Only the {track.name} is missing at times: I see it from {start:.1f} to {end:.1f} s."],
            )
    raise NotVisible("every shape that I can follow is there in all frames")


PATTERNS = [
    (r"which shape (?:appears only for a while|is not there during the whole video)", _passing),
    (r"in which direction does the (\w+ \w+) move", _direction),
    (r"what does the (\w+ (?:circle|square|triangle|star|diamond)) do\b", _does),
    (r"describe (?:the image\b|what the image shows)", _image),
    (r"describe (?:the video\b|what happens in the video)", _decode_video),
]
