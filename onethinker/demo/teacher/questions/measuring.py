"""Amounts: the value of a gauge, the share of an image that a shape covers, how far a shape moves."""

import re

import numpy as np

from onethinker.demo.teacher.measurements import MeasuredAnswer, Measurements, NotVisible
from onethinker.demo.teacher.vision.blobs import find_blobs
from onethinker.demo.teacher.vision.text import find_panels, read_lines


def _gauge(_: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    pixels = measured.image
    for panel in find_panels(pixels):
        left, top, right, bottom = panel
        fills = find_blobs(pixels[top:bottom, left:right])
        if not fills:
            continue
        fill = max(fills, key=lambda blob: blob.area)
        tall, wide = fill.patch.shape
        start, row = left + fill.left, top + fill.top + tall // 2
        # The track goes on in grey behind the fill, up to the white of the panel.
        beyond = pixels[row - 2 : row + 3, start + wide : right].mean(axis=(0, 2))
        paper = np.flatnonzero(beyond > 220)
        length = wide + int(paper[0]) if len(paper) else right - start
        glyphs = read_lines(pixels, (left, top + fill.top + tall + 9, right, bottom))
        ends = [word for line in glyphs for word in line.split() if word.isdigit()]
        if len(ends) >= 2:
            value = float(ends[-1]) * wide / length
            thoughts = [
                f"The gauge runs from {ends[0]} to {ends[-1]} over {length} pixels.",
                f"The {fill.colour} part is {wide} pixels long: {wide} / {length} * {ends[-1]} = {value:.2f}.",
            ]
            return MeasuredAnswer("number", f"{value:.4g}", thoughts)
    raise NotVisible("I looked for a gauge with a scale and found none")


def _share(match: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    blob = measured.blob(match[1])
    width, height = measured.size
    share = 100 * blob.area / (width * height)
    thoughts = [
        f"The {blob.name} covers {blob.area} of {width} x {height} = {width * height} pixels.",
        f"That is {share:.2f} percent.",
    ]
    return MeasuredAnswer("number", f"{share:.2f}", thoughts)


def _distance(match: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    track = measured.track(match[1])
    share = 100 * abs(track.shift)
    width = measured.size[0]
    begin, end = track.first.centre[0], track.seen[max(track.seen)].centre[0]
    thoughts = [
        f"The {track.name} begins at x = {begin:.0f} and ends at x = {end:.0f}.",
        f"That is {abs(end - begin):.0f} of {width} pixels, {share:.1f} percent.",
    ]
    return MeasuredAnswer("number", f"{share:.1f}", thoughts)


PATTERNS = [
    (r"what value does the gauge show|read the gauge", _gauge),
    (r"fraction of the image area covered by the (\w+ \w+), in percent", _share),
    (r"how far does the (\w+ \w+) move, in percent", _distance),
]
