"""How much: what a gauge shows, the share of a picture that a shape covers, how far a shape moves."""

import re

import numpy as np

from onethinker.demo.teacher.sight.colours import things_in
from onethinker.demo.teacher.sight.lettering import lines_in, panels_in
from onethinker.demo.teacher.view import Finding, NotSeen, View


def _gauge(_: re.Match[str], view: View) -> Finding:
    pixels = view.still
    for panel in panels_in(pixels):
        left, top, right, bottom = panel
        fills = things_in(pixels[top:bottom, left:right])
        if not fills:
            continue
        fill = max(fills, key=lambda thing: thing.area)
        tall, wide = fill.patch.shape
        start, row = left + fill.left, top + fill.top + tall // 2
        # The track goes on in grey behind the fill, up to the white of the panel.
        beyond = pixels[row - 2 : row + 3, start + wide : right].mean(axis=(0, 2))
        paper = np.flatnonzero(beyond > 220)
        length = wide + int(paper[0]) if len(paper) else right - start
        marks = lines_in(pixels, (left, top + fill.top + tall + 9, right, bottom))
        ends = [word for line in marks for word in line.split() if word.isdigit()]
        if len(ends) >= 2:
            value = float(ends[-1]) * wide / length
            thoughts = [
                f"The gauge runs from {ends[0]} to {ends[-1]} over {length} pixels.",
                f"The {fill.colour} part is {wide} pixels long: {wide} / {length} * {ends[-1]} = {value:.2f}.",
            ]
            return Finding("number", f"{value:.4g}", thoughts)
    raise NotSeen("I looked for a gauge with a scale and found none")


def _share(match: re.Match[str], view: View) -> Finding:
    thing = view.thing(match[1])
    width, height = view.size
    share = 100 * thing.area / (width * height)
    thoughts = [
        f"The {thing.name} covers {thing.area} of {width} x {height} = {width * height} pixels.",
        f"That is {share:.2f} percent.",
    ]
    return Finding("number", f"{share:.2f}", thoughts)


def _distance(match: re.Match[str], view: View) -> Finding:
    track = view.track(match[1])
    share = 100 * abs(track.shift)
    width = view.size[0]
    begin, end = track.first.centre[0], track.seen[max(track.seen)].centre[0]
    thoughts = [
        f"The {track.name} begins at x = {begin:.0f} and ends at x = {end:.0f}.",
        f"That is {abs(end - begin):.0f} of {width} pixels, {share:.1f} percent.",
    ]
    return Finding("number", f"{share:.1f}", thoughts)


ASKS = [
    (r"what value does the gauge show|read the gauge", _gauge),
    (r"fraction of the image area covered by the (\w+ \w+), in percent", _share),
    (r"how far does the (\w+ \w+) move, in percent", _distance),
]
