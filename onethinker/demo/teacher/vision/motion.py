"""Tracks of blobs through sampled frames: position, visibility, motion and size over time."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from onethinker.demo.teacher.vision.blobs import Blob

Interval = tuple[float, float]
Box = list[int]


@dataclass
class BlobTrack:
    """One blob over time: `seen` maps frame numbers to it; `times_s` are the times of all frames."""

    colour: str
    times_s: list[float]
    duration_s: float
    seen: dict[int, Blob] = field(default_factory=dict)

    @property
    def form(self) -> str:
        """Its most frequent form."""
        counted = Counter(blob.form for blob in self.seen.values() if blob.form)
        return counted.most_common(1)[0][0] if counted else ""

    @property
    def name(self) -> str:
        """`red circle`."""
        return f"{self.colour} {self.form or 'patch'}"

    @property
    def first(self) -> Blob:
        """The blob in the first frame that shows it."""
        return self.seen[min(self.seen)]

    @property
    def shift(self) -> float:
        """Its displacement to the right as a share of the image's width; negative to the left."""
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
        """Whether its area varies by more than half."""
        areas = [blob.area for blob in self.seen.values()]
        return max(areas) > 1.5 * min(areas)

    def visible_s(self) -> Interval:
        """The interval in which it is visible; edges lie halfway between two frames."""
        first, last = min(self.seen), max(self.seen)
        start = (self.times_s[first - 1] + self.times_s[first]) / 2 if first else 0.0
        end = (self.times_s[last] + self.times_s[last + 1]) / 2 if last + 1 < len(self.times_s) else self.duration_s
        return start, end

    def moving_s(self) -> Interval:
        """The interval in which it moves: a line fitted to its motion, intersected with its positions at rest.

        The interval in which it is visible if it never rests or never moves.
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
        """The time of its largest size: the vertex of a parabola through the largest frame and its neighbours."""
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
        """The blob in the frame nearest to a time, among those that show it."""
        return self.seen[min(self.seen, key=lambda n: abs(self.times_s[n] - time_s))]

    def box_at(self, time_s: float) -> Box:
        """Its box at a time in thousandths, linearly interpolated between frames."""
        frames = sorted(self.seen)
        times = [self.times_s[n] for n in frames]
        boxes = np.array([self.seen[n].box for n in frames])
        return [round(float(np.interp(time_s, times, boxes[:, edge]))) for edge in range(4)]


def link_tracks(frames: list[list[Blob]], times_s: list[float], duration_s: float) -> list[BlobTrack]:
    """Tracks of the blobs in a series of frames: greedy nearest-neighbour matching within each colour."""
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
    # A blob in a single frame of many is noise.
    return [track for track in tracks if len(track.seen) >= 2 or len(frames) < 3]


def _distance(track: BlobTrack, blob: Blob) -> float:
    last = track.seen[max(track.seen)]
    return float(np.hypot(last.centre[0] - blob.centre[0], last.centre[1] - blob.centre[1]))
