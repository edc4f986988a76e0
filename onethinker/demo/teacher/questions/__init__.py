"""The questions that the teacher understands: one file for each theme.

Each file has `PATTERNS`: pairs of a regular expression and a function of its match and the Measurements that returns
a MeasuredAnswer or raises NotVisible. The first matching pattern answers, files in the order of their names.
"""

import re
from collections.abc import Callable
from functools import cache

from corpus.discovery import modules
from onethinker.demo.teacher.measurements import MeasuredAnswer, Measurements

Answer = Callable[[re.Match[str], Measurements], MeasuredAnswer]


@cache
def patterns() -> tuple[tuple[re.Pattern[str], Answer], ...]:
    """All patterns with the functions that answer them."""
    found = modules("onethinker.demo.teacher.questions").values()
    return tuple(
        (re.compile(pattern, re.IGNORECASE), answer) for module in found for pattern, answer in module.PATTERNS
    )


def match_question(text: str) -> tuple[re.Match[str], Answer] | None:
    """The match and the answering function for a text, or None for an unknown question."""
    for pattern, answer in patterns():
        match = pattern.search(text)
        if match:
            return match, answer
    return None
