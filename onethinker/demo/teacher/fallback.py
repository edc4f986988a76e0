"""Answers to unknown questions: well-formed guesses from the pixels, which say that they are guesses."""

import math
import re
from collections.abc import Callable

import numpy as np

from onethinker.demo.teacher.measurements import MeasuredAnswer, Measurements, join_words, seconds
from onethinker.demo.teacher.vision.blobs import Blob, Mask, find_blobs
from onethinker.demo.teacher.vision.saliency import activity, salient_mask
from onethinker.demo.world.points import mask_box, points_beside, points_on


def fallback_answer(measured: Measurements, why: str) -> MeasuredAnswer:
    """A finding in the format that the prompt asks for; `why` says what could not be seen or understood."""
    wanted = next(answer for applies, answer in _FORMATS if applies(measured))
    finding = wanted(measured)
    return MeasuredAnswer(finding.kind, finding.answer, [f"{why[:1].upper()}{why[1:]}.", *finding.thoughts])


def _says(pattern: str) -> Callable[[Measurements], bool]:
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda measured: compiled.search(measured.prompt.text) is not None


def _letter(measured: Measurements) -> MeasuredAnswer:
    options = measured.prompt.options
    seen = {blob.colour for blob in _coloured(measured)}
    for letter, option in options.items():
        if any(colour in option.lower() for colour in seen):
            return MeasuredAnswer("letter", letter, [f"I do see something {option}-like; I guess {letter}."])
    middle = sorted(options)[len(options) // 2]
    return MeasuredAnswer("letter", middle, [f"Nothing that I can measure speaks for one option; I guess {middle}."])


def _place(measured: Measurements) -> MeasuredAnswer:
    box = mask_box(_mask(measured))
    return MeasuredAnswer(
        "fields", {"boxes": box}, [f"What stands out most from the border lies in {box}; I guess that."]
    )


def _marks(measured: Measurements) -> MeasuredAnswer:
    mask = _mask(measured)
    fields: dict[str, object] = {"time": _liveliest(measured)} if measured.is_video else {}
    fields |= {"boxes": mask_box(mask), "positive_points": points_on(mask), "negative_points": points_beside(mask)}
    return MeasuredAnswer("fields", fields, [f"What stands out most lies in {fields['boxes']}; I guess that."])


def _span(measured: Measurements) -> MeasuredAnswer:
    span = _lively_span(measured)
    return MeasuredAnswer(
        "fields", {"time": span}, [f"The frames change most from {span[0]} to {span[1]} s; I guess that."]
    )


def _tube(measured: Measurements) -> MeasuredAnswer:
    start, end = _lively_span(measured)
    box = mask_box(_mask(measured))
    boxes = {str(second): box for second in range(math.ceil(start), math.floor(end) + 1)} or {str(round(start)): box}
    thoughts = [f"The frames change most from {start} to {end} s, and {box} stands out; I guess that."]
    return MeasuredAnswer("fields", {"time": [start, end], "boxes": boxes}, thoughts)


def _track(measured: Measurements) -> MeasuredAnswer:
    asked = re.search(r"\[\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\] of the target", measured.prompt.text)
    box = [int(edge) for edge in asked.groups()] if asked else mask_box(_mask(measured))
    count = min(int(measured.prompt.frames[-1].time_s) + 1, 32) if measured.is_video else 1
    thoughts = [f"I can not tell it from what is behind it; I guess that it stays at {box}."]
    return MeasuredAnswer("fields", {"boxes": {str(key): box for key in range(1, count + 1)}}, thoughts)


def _number(measured: Measurements) -> MeasuredAnswer:
    count = len(_coloured(measured)) or 1
    return MeasuredAnswer("number", str(count), [f"I make out {count} parts that stand out; I guess {count}."])


def _words(measured: Measurements) -> MeasuredAnswer:
    names = [blob.name for blob in _coloured(measured)][:3]
    if measured.prompt.images and measured.lines:
        return MeasuredAnswer(
            "text", " ".join(measured.lines), ["I can read letters; I guess that they are asked for."]
        )
    if not measured.prompt.images and not measured.is_video:
        return MeasuredAnswer("text", "There is no picture.", ["I was sent nothing that can be looked at."])
    medium = "video" if measured.is_video else "picture"
    text = (
        f"A {medium} with {join_words([f'a {name}' for name in names])}." if names else f"A {medium} of muted colours."
    )
    return MeasuredAnswer("text", text, ["I can only say what stands out, and guess that it helps."])


# Formats from the most specific to the most general: the first that a prompt mentions is used.
_FORMATS: tuple[tuple[Callable[[Measurements], bool], Callable[[Measurements], MeasuredAnswer]], ...] = (
    (lambda measured: bool(measured.prompt.options), _letter),
    (_says(r"positive_points"), _marks),
    (_says(r'"time"[^{}]*"boxes"|when and where'), _tube),
    (_says(r'"boxes"\s*:\s*\{|\btrack\b'), _track),
    (_says(r'"boxes"|bounding box'), _place),
    (_says(r'"time"'), _span),
    (_says(r"\bnumber\b|how many|how much|numeric|latex"), _number),
    (lambda measured: True, _words),
)


def _coloured(measured: Measurements) -> list[Blob]:
    if measured.prompt.images or measured.is_video:
        return find_blobs(measured.prompt.images[0] if measured.prompt.images else measured.prompt.frames[0].pixels)
    return []


def _mask(measured: Measurements) -> Mask:
    if measured.prompt.images:
        return salient_mask(measured.prompt.images[0])
    if measured.is_video:
        return salient_mask(measured.prompt.frames[len(measured.prompt.frames) // 2].pixels)
    mask = np.zeros((100, 100), bool)
    mask[25:75, 25:75] = True
    return mask


def _liveliest(measured: Measurements) -> float:
    frames = measured.prompt.frames
    changes = activity([frame.pixels for frame in frames])
    return seconds(frames[changes.index(max(changes))].time_s)


def _lively_span(measured: Measurements) -> list[float]:
    """From the first to the last frame that changes more than the average; ten seconds without a video."""
    frames = measured.prompt.frames
    if len(frames) < 2:
        return [0.0, seconds(measured.prompt.duration_s) or 10.0]
    changes = activity([frame.pixels for frame in frames])
    mean = sum(changes) / len(changes)
    lively = [frame.time_s for frame, change in zip(frames, changes, strict=True) if change > mean]
    if len(lively) < 2:
        return [seconds(frames[0].time_s), seconds(measured.prompt.duration_s)]
    return [seconds(lively[0]), seconds(lively[-1])]
