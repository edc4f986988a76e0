"""Comparing two mathematical answers strictly, with as little symbolic work as possible.

In order: equal text; equal numbers with equal units; math-verify over the whole expression. Text that could keep sympy
busy for minutes is refused before, so no text of a model is evaluated unchecked.
"""

import math
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

from corpus.answers.equivalence import strict_math_equal
from corpus.answers.numbers import KNOWN_UNITS, Quantity, comparable, read_number, units_agree
from corpus.answers.overlap import normalise
from corpus.scores import TRUTH_UNREADABLE, Unparsed

MAX_CHARACTERS = 400
MAX_DIGITS = 30  # in one number
MAX_POWER = 10_000  # of all written exponents multiplied

_REWRITES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"\\boxed\s*\{(.*)\}", r"\1"),
        (r"\\[\[\]()]|\$", ""),
        (r"\\[dt]frac", r"\\frac"),
        (r"\\(?:left|right|displaystyle|limits)(?![A-Za-z])", ""),
        (r"\\[,;!: ]|~", " "),
        (r"[−–]", "-"),
        (r"\\text\s*\{\s*(?:or|and)\s*\}|(?<=[\d\w)}$ ]) (?:or|and) (?=[\d\w(\\$ ])", ","),
        (r"\s+", " "),
        (r"(?<=[^.,;])[.,;]\s*$", ""),
    ]
]
_WORDS = re.compile(r"(?:\\text\{)?[^\W\d_]{2,}(?: [^\W\d_]+)*\}?")
_PROSE = re.compile(
    r"(?<![\\A-Za-z{])(?!(?:sinh?|cosh?|tanh?|sqrt|frac|arcsin|arccos|arctan|infty|begin|matrix|pmatrix|cases)\b)[a-z]{4,}"
)
_LONG_NUMBER = re.compile(rf"\d{{{MAX_DIGITS + 1}}}")
_FACTORIAL = re.compile(r"\d{3,}\s*!|!\s*!")
_FACTORIAL_OF_MORE = re.compile(r"[)}\]]\s*!")
_FEW_DIGITS = 3  # (n-1)! is harmless, (9*9*9*9*9*9)! is not
_EXPONENT = re.compile(r"\^\s*\{?\s*[-+(]*\s*(\d+)")
_TOWER = re.compile(r"\^\s*\{[^{}]*[\d)][\s)}]*\^|\^\s*[\d(][\s\d()]*\^|\*\*")
_LARGE_CHOICE = re.compile(r"\\(?:d|t)?binom\s*\{\s*\d{4,}|\d{4,}\s*\\choose")
_OPEN, _CLOSE = "([{", ")]}"
_UNITS = "mm|cm|dm|km|m|kg|mg|g|ml|l|s|min|h|°|degrees?|meters?|inches|feet|units?|hours?|minutes?|seconds?|dollars?|%"
_TRAILING_UNIT = re.compile(rf"(?<=[\d)}} ])\\?(?:(?:text|mathrm)\{{\s*)?({_UNITS})(?:\^?\{{?([23²³])\}}?)?\s*\}}?$")


@dataclass(frozen=True)
class Expression:
    """An answer tidied for comparison."""

    text: str

    def __str__(self) -> str:
        return self.text

    @cached_property
    def bare(self) -> str:
        """The text without any white space."""
        return self.text.replace(" ", "")

    @cached_property
    def words(self) -> str | None:
        """The text if it is nothing but words ("yes", "isosceles triangle"), else None."""
        if not _WORDS.fullmatch(self.text):
            return None
        return normalise(self.text.removeprefix("\\text{").removesuffix("}"))

    @cached_property
    def quantity(self) -> Quantity | None:
        """The number that the text is, or None. A single letter after a number is a unit only beside the same."""
        try:
            found = read_number(self.text)
        except Unparsed:
            return None
        return found if found.unit in KNOWN_UNITS else None  # 2xy is no number with a unit

    @cached_property
    def size(self) -> int:
        """How many parts a list, a tuple or a set has; 1 for a plain expression."""
        inner = self.text.replace("\\{", "(").replace("\\}", ")").strip()
        inner = re.sub(r",\s?(?=\d{3}(?!\d))(?<=\d,)", "", inner)  # the commas of 1,234,567 part nothing
        if inner[:1] in tuple("([") and inner[-1:] in tuple(")]") and _encloses(inner):
            inner = inner[1:-1]
        depth = parts = 0
        for character in inner:
            depth += (character in _OPEN) - (character in _CLOSE)
            parts += character in ",;" and depth == 0
        return parts + 1

    @cached_property
    def unit(self) -> str | None:
        """A known unit at the end, with its power."""
        found = _TRAILING_UNIT.search(self.text)
        return f"{found[1]}{found[2] or ''}".translate(str.maketrans("²³", "23")) if found else None

    @cached_property
    def prose(self) -> bool:
        """Whether it holds plain words or an open brace, so that it is no expression as a whole."""
        return self.text.count("{") != self.text.count("}") or bool(_PROSE.search(self.text))

    @cached_property
    def heavy(self) -> bool:
        """Whether evaluating it could take long: towers of powers, huge factorials, endless digits, deep nesting."""
        powers = math.prod(min(int(power[:6]), 10**6) or 1 for power in _EXPONENT.findall(self.text))
        if powers > MAX_POWER or _LONG_NUMBER.search(self.text) or self.text.count("^") > 12:
            return True
        if _FACTORIAL.search(self.text) or _TOWER.search(self.text) or _LARGE_CHOICE.search(self.text):
            return True
        if _FACTORIAL_OF_MORE.search(self.text) and len(re.findall(r"\d", self.text)) > _FEW_DIGITS:
            return True
        depth = deepest = 0
        for character in self.text:
            depth += (character in _OPEN) - (character in _CLOSE)
            deepest = max(deepest, depth)
        return deepest > 20


def _encloses(text: str) -> bool:
    """Whether the first bracket closes with the last."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character in _OPEN) - (character in _CLOSE)
        if depth == 0:
            return place == len(text) - 1
    return False


@lru_cache(maxsize=8192)
def parse_expression(text: str) -> Expression:
    """A text as an expression. Raises Unparsed: `answer_too_long`, `empty_answer`."""
    if len(text) > MAX_CHARACTERS:
        raise Unparsed("answer_too_long")
    tidy = text
    for pattern, replacement in _REWRITES:
        tidy = pattern.sub(replacement, tidy.strip())
    if not tidy:
        raise Unparsed("empty_answer")
    return Expression(tidy)


def compare(answer: Expression, truth: Expression) -> tuple[float, str | None]:
    """(1 or 0, reason if they could not be compared); NaN if the truth cannot be read."""
    if answer.bare == truth.bare:
        return 1.0, None
    if truth.words is not None or answer.words is not None:
        return float(answer.words == truth.words), None
    if answer.quantity is not None and truth.quantity is not None:
        return _compare_numbers(answer.quantity, truth.quantity)
    if answer.size != truth.size:
        return 0.0, "other_number_of_parts"
    if answer.unit and truth.unit and answer.unit != truth.unit:
        return 0.0, "unit_differs"
    if answer.prose and not truth.prose:
        return 0.0, "not_an_expression"
    if answer.heavy:
        return 0.0, "too_complex"
    if truth.heavy:
        return math.nan, TRUTH_UNREADABLE
    outcome = strict_math_equal(truth.text, answer.text)
    if outcome == TRUTH_UNREADABLE:
        return math.nan, outcome
    return float(outcome == "equal"), None if outcome in ("equal", "different") else outcome


def _compare_numbers(answer: Quantity, truth: Quantity) -> tuple[float, str | None]:
    one_letter = 1 in (len(answer.unit), len(truth.unit)) and (answer.unit + truth.unit).isalpha()
    if not (answer.percent or truth.percent) and (
        not units_agree(answer, truth) or (one_letter and answer.unit != truth.unit)
    ):
        return 0.0, "unit_differs"
    return float(any(math.isclose(a, t, rel_tol=1e-6, abs_tol=5e-7) for a, t in comparable(answer, truth))), None
