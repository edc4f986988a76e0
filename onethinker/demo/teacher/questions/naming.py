"""Which colour, which shape, where: questions about images whose answer is a word or an option."""

import re

from onethinker.demo.teacher.measurements import MeasuredAnswer, Measurements, NotVisible, join_words
from onethinker.demo.teacher.vision.blobs import Blob
from onethinker.demo.world.palette import place

_FORM = r"(circle|square|triangle|star|diamond)"


def _colour(match: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    form = match[1].lower()
    found = [blob for blob in measured.blobs if blob.form == form]
    if not found:
        raise NotVisible(
            f"there is no {form} among {join_words([t.name for t in measured.blobs]) or 'what I can make out'}"
        )
    thoughts = [f"I see {join_words([blob.name for blob in measured.blobs])}.", f"The {form} is {found[0].colour}."]
    return MeasuredAnswer("text", found[0].colour, thoughts)


def find_extreme(words: str, blobs: list[Blob]) -> tuple[Blob, str]:
    """The blob that is `the largest` or `furthest to the left/right`, and the comparison in words.

    Raises NotVisible if there are no blobs.
    """
    if not blobs:
        raise NotVisible("there is no known shape to compare")
    words = words.lower()
    if "largest" in words:
        first = max(blobs, key=lambda blob: blob.area)
        return first, f"The areas in pixels are {join_words([f'{t.name} {t.area}' for t in blobs])}."
    sign = -1 if "left" in words else 1
    first = max(blobs, key=lambda blob: sign * blob.centre[0])
    return first, f"The middles lie at x = {join_words([f'{t.centre[0]:.0f} ({t.name})' for t in blobs])}."


def _which(match: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    blob, why = find_extreme(match[1], measured.blobs)
    return MeasuredAnswer("text", blob.name, [why, f"So {blob.name} is {match[1].lower()}."])


def _where(match: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    blob = measured.blob(match[1])
    (x, y), (width, height) = blob.centre, measured.size
    where = place(x, y, width, height)
    thoughts = [
        f"The {blob.name} has its middle at ({x:.0f}, {y:.0f}) in a picture of {width} by {height} pixels.",
        f"By thirds of the picture that is {where}.",
    ]
    return MeasuredAnswer("text", f"The {blob.name} is {where}.", thoughts)


PATTERNS = [
    (rf"which colour is the {_FORM}", _colour),
    (rf"what is the colour of the {_FORM}", _colour),
    (r"which of the shapes is (the largest|furthest to the (?:left|right))", _which),
    (rf"where in the image is the (\w+ {_FORM})", _where),
]
