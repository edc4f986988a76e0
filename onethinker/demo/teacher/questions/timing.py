"""When a shape is visible or moves, where it is meanwhile, and tracking from a box."""

import math
import re

from onethinker.demo.teacher.measurements import MeasuredAnswer, Measurements, NotVisible, seconds
from onethinker.demo.teacher.vision.motion import BlobTrack

_MOST_BOXES = 32


def _span(match: re.Match[str], measured: Measurements) -> tuple[BlobTrack, list[float], str]:
    track = measured.track(match[1])
    what = match[2].lower()
    start, end = track.moving_s() if what == "moving" else track.visible_s()
    step = f"{(track.times_s[-1] - track.times_s[0]) / max(len(track.times_s) - 1, 1):.2f}"
    thought = f"With a frame every {step} s, the {track.name} is {what} from {start:.2f} to {end:.2f} s."
    return track, [seconds(start), seconds(end)], thought


def _when(match: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    track, span, thought = _span(match, measured)
    return MeasuredAnswer("fields", {"time": span}, [f"I follow the {track.name} through the frames.", thought])


def _when_and_where(match: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    track, span, thought = _span(match, measured)
    whole = range(math.ceil(span[0]), math.floor(span[1]) + 1)
    boxes = {str(second): track.box_at(second) for second in whole}
    thoughts = [thought, f"That holds {len(boxes)} whole seconds, and I measure a box at each."]
    return MeasuredAnswer("fields", {"time": span, "boxes": boxes}, thoughts)


def _follow(match: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    asked = [float(number) for number in match[1].split(",")]
    tracks = [track for track in measured.tracks if 0 in track.seen]
    if not tracks:
        raise NotVisible("the first frame holds no shape that I know")
    track = max(tracks, key=lambda t: _overlap(t.first.box, asked))
    if _overlap(track.first.box, asked) < 0.1:
        raise NotVisible(f"the box {match[1]} holds no shape that I know")
    seconds_of_clip = range(min(int(track.times_s[-1]) + 1, _MOST_BOXES))
    boxes = {str(second + 1): track.box_at(second) for second in seconds_of_clip}
    thoughts = [
        f"The box in the first frame holds a {track.name}.",
        f"Over {len(boxes)} seconds it shifts by {100 * track.shift:+.0f}% of the width.",
    ]
    return MeasuredAnswer("fields", {"boxes": boxes}, thoughts)


def _overlap(a: tuple[float, ...], b: list[float]) -> float:
    across = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0)
    down = max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - across * down
    return across * down / both if both > 0 else 0.0


PATTERNS = [
    (r"when and where is the (\w+ \w+) (moving|visible)", _when_and_where),
    (r"find when this happens in the video: the (\w+ \w+) is (moving|visible)", _when),
    (r"during which time is the (\w+ \w+) (moving|visible)", _when),
    (r"bounding box \[((?:\s*\d+(?:\.\d+)?\s*,?){4})\] of the target object in the first frame", _follow),
]
