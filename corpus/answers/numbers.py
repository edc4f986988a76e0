"""Reading of one number as people write it: separators, percent, fractions, mixed numbers, LaTeX, a trailing unit.

The whole text must be that one number; `5 or 6` and `the answer is 5` are not numbers.
"""

import math
import re
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from corpus.scores import Floats, Readings, Scores, Unparsed

MAX_CHARACTERS = 100

_REWRITES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"^\$\$?(.+?)\$\$?$", r"\1"),
        (r"^\\[(\[](.+)\\[)\]]$", r"\1"),
        (r"^\\boxed\{(.+)\}$", r"\1"),
        (r"[−–]", "-"),
        (r"\\[dt]?frac\{\s*(\d+)\s*\}\{\s*(\d+)\s*\}", r" \1/\2 "),
        (r"\\(?:text|mathrm|textrm)\{([^{}]*)\}", r" \1 "),
        (r"\^\{?\\circ\}?", "°"),
        (r"\\%", "%"),
        (r"\\\$", "$"),
        (r"\\[,;!: ]|~", " "),
        (r"\{,\}", ","),
        (r"^([+-]?\d+),(\d{1,2})$", r"\1.\2"),
        (r"\s*(?:\\times|×|\\cdot)\s*10\^\{?([+-]?\d{1,3})\}?", r"e\1"),
    ]
]
_VULGAR = {
    **{"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5", "⅘": "4/5"},
    **{"⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8"},
}
_PLAIN = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_SUPERSCRIPTS = str.maketrans("²³", "23")
_WORD = r"[A-Za-zµμΩ°'\"]+(?:\^?-?[23])?"
_NUMBER = re.compile(
    r"(?P<sign>[+-]?)\s*(?P<currency>[$€£¥₹]?)\s*"
    r"(?:(?P<whole>\d+)?\s*(?P<top>(?<!\d)\d+)\s*/\s*(?P<bottom>\d+)"
    r"|(?P<digits>\d{1,3}(?:[, ]\d{3})+|\d+)?(?P<decimals>\.\d*)?(?P<exponent>[eE][+-]?\d{1,3})?)"
    r"\s*(?P<scale>thousand|million|billion|trillion)?"
    rf"\s*(?P<unit>%|percent|(?:(?!and\b|or\b|to\b){_WORD}(?:\s*[ /·*]\s*{_WORD})*))?\s*\.?"
)
_SCALES = {None: 1.0, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_SAME_UNIT = {
    name: unit
    for unit, names in {
        "mm": "millimeter millimetre",
        "cm": "centimeter centimetre",
        "m": "meter metre",
        "km": "kilometer kilometre",
        "in": "inch inches",
        "ft": "foot feet",
        "yd": "yard",
        "mi": "mile",
        "g": "gram gramme",
        "kg": "kilogram kilogramme",
        "s": "second sec secs",
        "min": "minute mins",
        "h": "hour hr hrs",
        "l": "liter litre L",
        "°": "degree deg",
        "$": "dollar usd USD",
        "€": "euro EUR",
    }.items()
    for name in names.split()
}
KNOWN_UNITS = frozenset(_SAME_UNIT.values()) | {"", "%", "mg", "ml", "dm", "dollar", "unit", "°C", "°F", "km/h", "m/s"}


class Quantity(NamedTuple):
    """A number with its unit in one spelling ("" if there is none); a percent is not divided by 100."""

    value: float
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.value:.12g}{' ' * (self.unit not in ('', '%', '°'))}{self.unit}"

    @property
    def percent(self) -> bool:
        """Whether it was written with a percent sign."""
        return self.unit == "%"


def released_number(text: str | None) -> float | None:
    """The number that the released reward reads: float() without the commas; None if that fails."""
    try:
        return float((text or "").replace(",", ""))
    except ValueError:
        return None


def read_number(text: str) -> Quantity:
    """The one number that a text is. Raises Unparsed: `answer_too_long`, `not_a_number`, `not_finite`."""
    text = text.strip()
    if len(text) > MAX_CHARACTERS:
        raise Unparsed("answer_too_long")
    if _PLAIN.fullmatch(text):
        return Quantity(float(text))
    for sign, fraction in _VULGAR.items():
        if sign in text:
            text = text.replace(sign, f" {fraction}")
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    found = _NUMBER.fullmatch(text.translate(_SUPERSCRIPTS).strip())
    if found is None:
        raise Unparsed("not_a_number")
    size = _size(found)
    if not math.isfinite(size):
        raise Unparsed("not_finite")
    return Quantity(-size if found["sign"] == "-" else size, found["currency"] or _unit(found["unit"] or ""))


def _size(found: re.Match[str]) -> float:
    if found["bottom"]:
        if int(found["bottom"]) == 0:
            raise Unparsed("not_finite")
        size = float(Fraction(int(found["top"]), int(found["bottom"])) + int(found["whole"] or 0))
    else:
        digits = re.sub(r"[, ]", "", found["digits"] or "")
        decimals = found["decimals"] or ""
        if not digits and len(decimals) < 2:
            raise Unparsed("not_a_number")
        size = float(f"{digits}{decimals}{found['exponent'] or ''}")
    return size * _SCALES[found["scale"]]


def _unit(text: str) -> str:
    if text in ("%", "percent"):
        return "%"
    words = []
    for word in re.split(r"\s*[ /·*]\s*", text):
        single = word[:-1] if len(word) > 3 and word.endswith("s") else word
        folded = single.casefold() if len(single) > 3 else single
        words.append(_SAME_UNIT.get(folded, folded))
    return "/".join(words).replace("^", "")


def units_agree(answer: Quantity, truth: Quantity) -> bool:
    """A unit left out agrees with any; two that are written must be the same."""
    return not answer.unit or not truth.unit or answer.unit == truth.unit


def comparable(answer: Quantity, truth: Quantity) -> list[tuple[float, float]]:
    """The (answer, truth) pairs worth comparing: where just one is a percent, by its figure and as its hundredth."""
    if answer.percent == truth.percent:
        return [(answer.value, truth.value)]
    if answer.percent:
        return [(answer.value, truth.value), (answer.value / 100, truth.value)]
    return [(answer.value, truth.value), (answer.value, truth.value / 100)]


def scores_of_numbers(read: Readings, right: Callable[[Floats, Floats], Floats]) -> Scores:
    """Scores of quantities by `right(answers, truths)`, units agreeing; the better reading of a percent counts."""
    answers, truths = (np.array([number.value for number in side], dtype=float) for side in (read.answers, read.truths))
    best = right(answers, truths)
    for row, (answer, truth) in enumerate(zip(read.answers, read.truths, strict=True)):
        if not answer.unit and not truth.unit:
            continue
        if not units_agree(answer, truth) and not answer.percent and not truth.percent:
            read.reasons[read.rows[row]] = "unit_differs"
            best[row] = 0.0
        else:
            pairs = np.array(comparable(answer, truth))
            best[row] = right(pairs[:, 0], pairs[:, 1]).max()
    return read.scores(best)


def equal_at_two_decimals(answers: Floats, truths: Floats) -> Floats:
    """1 where equal when rounded to two decimals, else 0; below 0.1, to two significant digits of the truth."""
    equal = answers == truths
    near = ~equal & (np.abs(answers - truths) < 0.02)  # what is farther apart cannot become equal
    for row in np.flatnonzero(near):
        truth, places = float(truths[row]), 2
        if 0 < abs(truth) < 0.1:
            places = min(1 - math.floor(math.log10(abs(truth))), 300)
        equal[row] = round(float(answers[row]), places) == round(truth, places)
    return np.where(equal, 1.0, 0.0)
