"""Ranges of numbers that flags, settings and configs accept, with one wording for what lies outside."""

from dataclasses import dataclass
from decimal import Decimal
from math import inf
from typing import Any, TypeAlias

Number: TypeAlias = int | float | Decimal
MOST = 2**31 - 1  # of a count: beyond it C libraries, databases and providers fail, each in its own words


@dataclass(frozen=True)
class Range:
    """The finite numbers from `least` to `most`; with `above`, `least` itself is left out.

    An instance is also a validator for cyclopts' `Parameter`; None, an option that is not given, always passes.
    """

    least: float
    most: float = MOST
    above: bool = False

    def problem(self, value: Number | None) -> str | None:
        """What is wrong with `value`, as `must be …, not …`, or None if it is in the range. NaN is in no range."""
        if value is None:
            return None
        try:
            number = float(value)
        except (ValueError, OverflowError):  # a signalling NaN; an integer of hundreds of digits
            number = inf
        if (self.least < number if self.above else self.least <= number) and number <= self.most:
            return None
        least = f"above {self.least:.12g}" if self.above else f"at least {self.least:.12g}"
        most = "" if self.most == MOST and number < self.most else f" and at most {self.most:.12g}"
        return f"must be {least}{most}, not {value}"

    def __call__(self, _: Any, value: Number | None) -> None:
        """Raises ValueError with the problem, which cyclopts prints beside the flag's name."""
        if problem := self.problem(value):
            raise ValueError(problem[0].upper() + problem[1:] + ".")


AT_LEAST_0 = Range(0)
AT_LEAST_1 = Range(1)
ABOVE_0 = Range(0, above=True)
SHARE = Range(0, 1)
SHARE_ABOVE_0 = Range(0, 1, above=True)
SEED = Range(0, 2**32 - 1)  # what NumPy, PyTorch and transformers all take
