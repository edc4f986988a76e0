"""Answers to questions of another world: well-formed, honest about being guesses, and from the pixels all the same."""

import math
import re
from collections.abc import Callable

import numpy as np

from onethinker.demo.teacher.sight.colours import Mask, Thing, things_in
from onethinker.demo.teacher.sight.saliency import activity, salient_mask
from onethinker.demo.teacher.view import Finding, View, listed, seconds
from onethinker.demo.world.pointing import box_of, points_beside, points_on


def guess(view: View, why: str) -> Finding:
    """A finding in the format that the prompt asks for; `why` says what could not be seen or understood."""
    wanted = next(answer for applies, answer in _FORMATS if applies(view))
    finding = wanted(view)
    return Finding(finding.kind, finding.answer, [f"{why[:1].upper()}{why[1:]}.", *finding.thoughts])


def _says(pattern: str) -> Callable[[View], bool]:
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda view: compiled.search(view.prompt.text) is not None


def _letter(view: View) -> Finding:
    options = view.prompt.options
    seen = {thing.colour for thing in _coloured(view)}
    for letter, option in options.items():
        if any(colour in option.lower() for colour in seen):
            return Finding("letter", letter, [f"I do see something {option}-like; I guess {letter}."])
    middle = sorted(options)[len(options) // 2]
    return Finding("letter", middle, [f"Nothing that I can measure speaks for one option; I guess {middle}."])


def _place(view: View) -> Finding:
    box = box_of(_mask(view))
    return Finding("fields", {"boxes": box}, [f"What stands out most from the border lies in {box}; I guess that."])


def _marks(view: View) -> Finding:
    mask = _mask(view)
    fields: dict[str, object] = {"time": _liveliest(view)} if view.is_video else {}
    fields |= {"boxes": box_of(mask), "positive_points": points_on(mask), "negative_points": points_beside(mask)}
    return Finding("fields", fields, [f"What stands out most lies in {fields['boxes']}; I guess that."])


def _span(view: View) -> Finding:
    span = _lively_span(view)
    return Finding("fields", {"time": span}, [f"The frames change most from {span[0]} to {span[1]} s; I guess that."])


def _tube(view: View) -> Finding:
    start, end = _lively_span(view)
    box = box_of(_mask(view))
    boxes = {str(second): box for second in range(math.ceil(start), math.floor(end) + 1)} or {str(round(start)): box}
    thoughts = [f"The frames change most from {start} to {end} s, and {box} stands out; I guess that."]
    return Finding("fields", {"time": [start, end], "boxes": boxes}, thoughts)


def _track(view: View) -> Finding:
    asked = re.search(r"\[\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\] of the target", view.prompt.text)
    box = [int(edge) for edge in asked.groups()] if asked else box_of(_mask(view))
    count = min(int(view.prompt.frames[-1].time_s) + 1, 32) if view.is_video else 1
    thoughts = [f"I can not tell it from what is behind it; I guess that it stays at {box}."]
    return Finding("fields", {"boxes": {str(key): box for key in range(1, count + 1)}}, thoughts)


def _number(view: View) -> Finding:
    count = len(_coloured(view)) or 1
    return Finding("number", str(count), [f"I make out {count} parts that stand out; I guess {count}."])


def _words(view: View) -> Finding:
    names = [thing.name for thing in _coloured(view)][:3]
    if view.prompt.stills and view.lines:
        return Finding("text", " ".join(view.lines), ["I can read letters; I guess that they are asked for."])
    if not view.prompt.stills and not view.is_video:
        return Finding("text", "There is no picture.", ["I was sent nothing that can be looked at."])
    medium = "video" if view.is_video else "picture"
    text = f"A {medium} with {listed([f'a {name}' for name in names])}." if names else f"A {medium} of muted colours."
    return Finding("text", text, ["I can only say what stands out, and guess that it helps."])


# The first format that a prompt speaks of, from the most particular to the most general.
_FORMATS: tuple[tuple[Callable[[View], bool], Callable[[View], Finding]], ...] = (
    (lambda view: bool(view.prompt.options), _letter),
    (_says(r"positive_points"), _marks),
    (_says(r'"time"[^{}]*"boxes"|when and where'), _tube),
    (_says(r'"boxes"\s*:\s*\{|\btrack\b'), _track),
    (_says(r'"boxes"|bounding box'), _place),
    (_says(r'"time"'), _span),
    (_says(r"\bnumber\b|how many|how much|numeric|latex"), _number),
    (lambda view: True, _words),
)


def _coloured(view: View) -> list[Thing]:
    if view.prompt.stills or view.is_video:
        return things_in(view.prompt.stills[0] if view.prompt.stills else view.prompt.frames[0].pixels)
    return []


def _mask(view: View) -> Mask:
    if view.prompt.stills:
        return salient_mask(view.prompt.stills[0])
    if view.is_video:
        return salient_mask(view.prompt.frames[len(view.prompt.frames) // 2].pixels)
    mask = np.zeros((100, 100), bool)
    mask[25:75, 25:75] = True
    return mask


def _liveliest(view: View) -> float:
    frames = view.prompt.frames
    changes = activity([frame.pixels for frame in frames])
    return seconds(frames[changes.index(max(changes))].time_s)


def _lively_span(view: View) -> list[float]:
    """From the first to the last frame that changes more than the average one; ten seconds without a video."""
    frames = view.prompt.frames
    if len(frames) < 2:
        return [0.0, seconds(view.prompt.duration_s) or 10.0]
    changes = activity([frame.pixels for frame in frames])
    mean = sum(changes) / len(changes)
    lively = [frame.time_s for frame, change in zip(frames, changes, strict=True) if change > mean]
    if len(lively) < 2:
        return [seconds(frames[0].time_s), seconds(view.prompt.duration_s)]
    return [seconds(lively[0]), seconds(lively[-1])]
