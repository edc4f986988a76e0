"""Following coloured things through sampled frames: where each was, when it came, went, moved and was largest."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from onethinker.demo.teacher.vision.blobs import Blob

Interval = tuple[float, float]
Box = list[int]


@dataclass
class BlobTrack:
    """One thing over time: `seen` maps frame numbers to what was seen; `times_s` are all frames' times."""

    colour: str
    times_s: list[float]
    duration_s: float
    seen: dict[int, Blob] = field(default_factory=dict)

    @property
    def form(self) -> str:
        """The form it was most often taken for."""
        counted = Counter(blob.form for blob in self.seen.values() if blob.form)
        return counted.most_common(1)[0][0] if counted else ""

    @property
    def name(self) -> str:
        """`red circle`."""
        return f"{self.colour} {self.form or 'patch'}"

    @property
    def first(self) -> Blob:
        """It in the first frame that shows it."""
        return self.seen[min(self.seen)]

    @property
    def shift(self) -> float:
        """How far to the right it ends of where it began, as a share of the picture's width; negative: to the left."""
        width = self.first.picture[0]
        return (self.seen[max(self.seen)].centre[0] - self.first.centre[0]) / width

    @property
    def direction(self) -> str:
        """`left`, `right`, or the empty string for less than a sixteenth of the width."""
        return "" if abs(self.shift) < 1 / 16 else ("right" if self.shift > 0 else "left")

    @property
    def comes_or_goes(self) -> bool:
        """Whether the first or the last frame lacks it."""
        return 0 not in self.seen or len(self.times_s) - 1 not in self.seen

    @property
    def pulses(self) -> bool:
        """Whether it grows to half as much again as it was."""
        areas = [blob.area for blob in self.seen.values()]
        return max(areas) > 1.5 * min(areas)

    def visible_s(self) -> Interval:
        """When it is there: an edge between two frames is put halfway."""
        first, last = min(self.seen), max(self.seen)
        start = (self.times_s[first - 1] + self.times_s[first]) / 2 if first else 0.0
        end = (self.times_s[last] + self.times_s[last + 1]) / 2 if last + 1 < len(self.times_s) else self.duration_s
        return start, end

    def moving_s(self) -> Interval:
        """When it moves: a line through the places on the way, met with the places of rest before and after.

        The whole time in which it is visible where it never rests or never moves.
        """
        frames = sorted(self.seen)
        times = np.array([self.times_s[n] for n in frames])
        places = np.array([self.seen[n].centre[0] for n in frames])
        begin, finish = places[0], places[-1]
        travelled = finish - begin
        if abs(travelled) < self.first.picture[0] / 16:
            return self.visible_s()
        share = (places - begin) / travelled
        on_the_way = (share > 0.06) & (share < 0.94)
        if on_the_way.sum() >= 2:
            slope, offset = np.polyfit(times[on_the_way], share[on_the_way], 1)
            start, end = -offset / slope, (1 - offset) / slope
        else:  # too few frames for a line: halfway between rest and no rest
            start = (times[share <= 0.06].max() + times[share > 0.06].min()) / 2
            end = (times[share < 0.94].max() + times[share >= 0.94].min()) / 2
        earliest, latest = self.visible_s()
        return float(max(start, earliest)), float(min(end, latest))

    def largest_s(self) -> float:
        """When it is largest: the top of a parabola through the largest frame and its neighbours."""
        frames = sorted(self.seen)
        areas = np.array([np.sqrt(self.seen[n].area) for n in frames])
        times = np.array([self.times_s[n] for n in frames])
        top = int(areas.argmax())
        if 0 < top < len(frames) - 1:
            curve = np.polyfit(times[top - 1 : top + 2] - times[top], areas[top - 1 : top + 2], 2)
            if curve[0] < 0:
                shift = -curve[1] / (2 * curve[0])
                return float(np.clip(times[top] + shift, times[top - 1], times[top + 1]))
        return float(times[top])

    def nearest(self, time_s: float) -> Blob:
        """It in the frame nearest to a time, of the frames that show it."""
        return self.seen[min(self.seen, key=lambda n: abs(self.times_s[n] - time_s))]

    def box_at(self, time_s: float) -> Box:
        """Its box at a time in thousandths, between frames on a straight line."""
        frames = sorted(self.seen)
        times = [self.times_s[n] for n in frames]
        boxes = np.array([self.seen[n].box for n in frames])
        return [round(float(np.interp(time_s, times, boxes[:, edge]))) for edge in range(4)]


def link_tracks(frames: list[list[Blob]], times_s: list[float], duration_s: float) -> list[BlobTrack]:
    """Tracks of the things in a series of frames: the same colour, nearest place first."""
    tracks: list[BlobTrack] = []
    for number, blobs in enumerate(frames):
        pairs = sorted(
            (
                (_distance(track, blob), number_of_track, number_of_thing)
                for number_of_track, track in enumerate(tracks)
                for number_of_thing, blob in enumerate(blobs)
                if track.colour == blob.colour
            ),
        )
        taken_tracks: set[int] = set()
        taken_things: set[int] = set()
        for _, track_number, thing_number in pairs:
            if track_number not in taken_tracks and thing_number not in taken_things:
                tracks[track_number].seen[number] = blobs[thing_number]
                taken_tracks.add(track_number)
                taken_things.add(thing_number)
        for thing_number, blob in enumerate(blobs):
            if thing_number not in taken_things:
                tracks.append(BlobTrack(blob.colour, times_s, duration_s, {number: blob}))
    # A speck in a single frame of many is noise, not a thing.
    return [track for track in tracks if len(track.seen) >= 2 or len(frames) < 3]


def _distance(track: BlobTrack, blob: Blob) -> float:
    last = track.seen[max(track.seen)]
    return float(np.hypot(last.centre[0] - blob.centre[0], last.centre[1] - blob.centre[1]))
