"""Which colour, which shape, where: questions about single pictures whose answer is a word or an option."""

import re

from onethinker.demo.teacher.sight.colours import Thing
from onethinker.demo.teacher.view import Finding, NotSeen, View, listed
from onethinker.demo.world.palette import place

_FORM = r"(circle|square|triangle|star|diamond)"


def _colour(match: re.Match[str], view: View) -> Finding:
    form = match[1].lower()
    found = [thing for thing in view.things if thing.form == form]
    if not found:
        raise NotSeen(f"there is no {form} among {listed([t.name for t in view.things]) or 'what I can make out'}")
    thoughts = [f"I see {listed([thing.name for thing in view.things])}.", f"The {form} is {found[0].colour}."]
    return Finding("text", found[0].colour, thoughts)


def standing_out(words: str, things: list[Thing]) -> tuple[Thing, str]:
    """The thing that is `the largest` or `furthest to the left/right`, and how far it is ahead, in words.

    Raises NotSeen for no things at all.
    """
    if not things:
        raise NotSeen("there is no known shape to compare")
    words = words.lower()
    if "largest" in words:
        first = max(things, key=lambda thing: thing.area)
        return first, f"The areas in pixels are {listed([f'{t.name} {t.area}' for t in things])}."
    sign = -1 if "left" in words else 1
    first = max(things, key=lambda thing: sign * thing.centre[0])
    return first, f"The middles lie at x = {listed([f'{t.centre[0]:.0f} ({t.name})' for t in things])}."


def _which(match: re.Match[str], view: View) -> Finding:
    thing, why = standing_out(match[1], view.things)
    return Finding("text", thing.name, [why, f"So {thing.name} is {match[1].lower()}."])


def _where(match: re.Match[str], view: View) -> Finding:
    thing = view.thing(match[1])
    (x, y), (width, height) = thing.centre, view.size
    where = place(x, y, width, height)
    thoughts = [
        f"The {thing.name} has its middle at ({x:.0f}, {y:.0f}) in a picture of {width} by {height} pixels.",
        f"By thirds of the picture that is {where}.",
    ]
    return Finding("text", f"The {thing.name} is {where}.", thoughts)


ASKS = [
    (rf"which colour is the {_FORM}", _colour),
    (rf"what is the colour of the {_FORM}", _colour),
    (r"which of the shapes is (the largest|furthest to the (?:left|right))", _which),
    (rf"where in the image is the (\w+ {_FORM})", _where),
]
