"""Deliberate errors of the kinds that models make: misread, miscounted, mixed up, malformed, cut off.

Each takes a MeasuredAnswer and random numbers and returns a wrong one, or None if it does not apply.
"""

import copy
import random
import re
from collections.abc import Callable
from typing import Any

from onethinker.demo.teacher.measurements import MeasuredAnswer
from onethinker.demo.world.palette import COLOURS, FORMS

InjectedError = Callable[[MeasuredAnswer, random.Random, dict[str, str]], MeasuredAnswer | None]


def inject_error(measured: MeasuredAnswer, rng: random.Random, options: dict[str, str]) -> MeasuredAnswer:
    """The answer with one error that fits its kind."""
    order = list(_BY_KIND[measured.kind])
    rng.shuffle(order)
    for error in order:
        wrong = error(measured, rng, options)
        if wrong is not None and wrong.answer != measured.answer:
            return wrong
    return _replace(measured, "I can not tell.", "I can not tell.") if isinstance(measured.answer, str) else measured


def _other_letter(measured: MeasuredAnswer, rng: random.Random, options: dict[str, str]) -> MeasuredAnswer | None:
    others = [letter for letter in options if letter != measured.answer]
    if not others:
        return None
    letter = rng.choice(others)
    return _replace(measured, letter, f"On second thoughts, {options[letter]} fits better.")


def _off_by_one(measured: MeasuredAnswer, rng: random.Random, _: dict[str, str]) -> MeasuredAnswer | None:
    if not re.fullmatch(r"-?\d+", str(measured.answer)):
        return None
    number = int(str(measured.answer)) + rng.choice((-1, 1))
    number = abs(number)
    return _replace(measured, str(number), f"Counting once more I get {number}.")


def _misjudged(measured: MeasuredAnswer, rng: random.Random, _: dict[str, str]) -> MeasuredAnswer | None:
    if not re.fullmatch(r"-?\d*\.?\d+", str(measured.answer)):
        return None
    number = float(str(measured.answer)) * rng.choice((0.4, 0.6, 1.6, 2.0))
    return _replace(measured, f"{number:.4g}", f"Seen in proportion it is nearer to {number:.4g}.")


def _upside_down(measured: MeasuredAnswer, rng: random.Random, _: dict[str, str]) -> MeasuredAnswer | None:
    fraction = re.fullmatch(r"\$(-?)\\frac\{(\d+)\}\{(\d+)\}\$", str(measured.answer))
    if not fraction:
        return None
    turned = rf"${fraction[1]}\frac{{{fraction[3]}}}{{{fraction[2]}}}$"
    return _replace(measured, turned, f"Dividing the other way round gives {turned}.")


def _misread(measured: MeasuredAnswer, rng: random.Random, _: dict[str, str]) -> MeasuredAnswer | None:
    """Swap similar letters in every word."""
    pairs = ("ao", "ec", "nm", "il", "rt", "AR", "EF", "O0", "S5", "17", "IL", "TF", "38", "uv")
    swaps = {pair[n]: pair[1 - n] for pair in pairs for n in (0, 1)}
    words = str(measured.answer).split()
    wrong = []
    for word in words:
        spots = [n for n, letter in enumerate(word) if letter in swaps]
        spot = rng.choice(spots) if spots else -1
        wrong.append(word[:spot] + swaps[word[spot]] + word[spot + 1 :] if spots else word[:-1])
    text = " ".join(wrong)
    return _replace(measured, text, f"It seems to say {text}.")


def _other_names(measured: MeasuredAnswer, rng: random.Random, _: dict[str, str]) -> MeasuredAnswer | None:
    """Swap every colour and form for another one, and left for right."""
    text = str(measured.answer)
    turned = {"left": "right", "right": "left", "top": "bottom", "bottom": "top", "grows": "turns", "waits": "jumps"}
    for names in (list(COLOURS), list(FORMS)):
        step = rng.randrange(1, len(names))
        turned |= {name: names[(n + step) % len(names)] for n, name in enumerate(names)}
    pattern = r"\b(" + "|".join(turned) + r")\b"
    wrong = re.sub(pattern, lambda match: turned[match[1]], text)
    return _replace(measured, wrong, f"Looking closer: {wrong}") if wrong != text else None


def _short(measured: MeasuredAnswer, _: random.Random, __: dict[str, str]) -> MeasuredAnswer | None:
    words = str(measured.answer).split()
    if len(words) < 3:
        return None
    text = " ".join(words[: max(1, len(words) // 3)])
    return _replace(measured, text, "That is all that matters.")


def _shifted(measured: MeasuredAnswer, rng: random.Random, _: dict[str, str]) -> MeasuredAnswer | None:
    """Move boxes and points by most of a box's size."""
    answer = _fields(measured)
    if "boxes" not in answer:
        return None
    first = next(iter(answer["boxes"].values()), None) if isinstance(answer["boxes"], dict) else answer["boxes"]
    if not first:
        return None
    share = rng.uniform(0.6, 0.9)
    across = rng.choice((-1, 1)) * max(share * (first[2] - first[0]), 40)
    down = rng.choice((-1, 1)) * max(share * (first[3] - first[1]), 40)
    return _move_points(measured, lambda x, y: (x + across, y + down), "Allowing for the edges, I move it a little.")


def _axes_swapped(measured: MeasuredAnswer, _: random.Random, __: dict[str, str]) -> MeasuredAnswer | None:
    return _move_points(measured, lambda x, y: (y, x), "I write the row first and the column second.")


def _span_turned(measured: MeasuredAnswer, _: random.Random, __: dict[str, str]) -> MeasuredAnswer | None:
    answer = _fields(measured)
    if not isinstance(answer.get("time"), list):
        return None
    answer["time"] = answer["time"][::-1]
    return _replace(measured, answer, "The later time comes first.")


def _mistimed(measured: MeasuredAnswer, rng: random.Random, _: dict[str, str]) -> MeasuredAnswer | None:
    answer = _fields(measured)
    if "time" not in answer:
        return None
    shift = rng.choice((-1, 1)) * rng.uniform(1.5, 3.0)
    times = answer["time"] if isinstance(answer["time"], list) else [answer["time"]]
    moved = [round(max(time + shift, 0.0), 1) for time in times]
    if len(moved) == 2 and moved[1] - moved[0] < 0.2:
        moved = [moved[0], round(moved[0] + 0.5, 1)]
    answer["time"] = moved if isinstance(answer["time"], list) else moved[0]
    return _replace(measured, answer, f"It must have been nearer to {moved[0]} s.")


def _frozen(measured: MeasuredAnswer, _: random.Random, __: dict[str, str]) -> MeasuredAnswer | None:
    """Keep the boxes of the first two seconds only."""
    answer = _fields(measured)
    if not isinstance(answer.get("boxes"), dict) or len(answer["boxes"]) < 4:
        return None
    answer["boxes"] = dict(list(answer["boxes"].items())[:2])
    return _replace(measured, answer, "After that it does not change any more.")


_BY_KIND: dict[str, tuple[InjectedError, ...]] = {
    "letter": (_other_letter,),
    "number": (_off_by_one, _misjudged, _upside_down),
    "text": (_other_names, _short, _misread),
    "fields": (_shifted, _axes_swapped, _span_turned, _mistimed, _frozen),
}


def _fields(measured: MeasuredAnswer) -> dict[str, Any]:
    return copy.deepcopy(measured.answer) if isinstance(measured.answer, dict) else {}


def _move_points(
    measured: MeasuredAnswer, move: Callable[[float, float], tuple[float, float]], thought: str
) -> MeasuredAnswer | None:
    answer = _fields(measured)
    if "boxes" not in answer:
        return None

    def point(x: float, y: float) -> list[int]:
        return [round(min(max(value, 0), 1000)) for value in move(x, y)]

    def box(edges: list[float]) -> list[int]:
        return [*point(edges[0], edges[1]), *point(edges[2], edges[3])]

    boxes = answer["boxes"]
    answer["boxes"] = {key: box(b) for key, b in boxes.items()} if isinstance(boxes, dict) else box(boxes)
    for name in ("positive_points", "negative_points"):
        if name in answer:
            answer[name] = [point(x, y) for x, y in answer[name]]
    return _replace(measured, answer, thought)


def _replace(measured: MeasuredAnswer, answer: str | dict[str, object], thought: str) -> MeasuredAnswer:
    return MeasuredAnswer(measured.kind, answer, [*measured.thoughts, thought])
