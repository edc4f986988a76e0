"""repetition: keep reasoning that does not go round in circles or fall apart.

    - repetition: {times: 5, length: 40}

Going round is the same stretch of `length` characters (white space aside) standing `times` times or more in the
thinking; falling apart, one character in fifty or more that is no text (control, private use, U+FFFD).
Reasons: repeated_text, garbled_text.
"""

import re
from collections import Counter
from functools import partial

import pyarrow as pa
from pydantic import Field

from filters.candidates import Candidates
from filters.recipe import StepOptions

GARBLED_SHARE = 0.02
_GARBLE = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ufffd\ue000-\uf8ff]")


class Options(StepOptions):
    """`times` the same `length` characters is too often."""

    times: int = Field(default=5, ge=2, le=10_000)
    length: int = Field(default=40, ge=10, le=10_000)


def drops(candidates: Candidates, options: Options) -> pa.Table:
    """The traces that repeat themselves or are garbled."""
    return candidates.check_texts(partial(check, times=options.times, length=options.length), "thinking")


def check(texts: pa.Table, times: int, length: int) -> pa.Table:
    """A reason, or null, for each text."""
    return pa.table(
        {"reason": pa.array([_reason(t or "", times, length) for t in texts["thinking"].to_pylist()], pa.string())}
    )


def _reason(text: str, times: int, length: int) -> str | None:
    if not text.isascii() and len(_GARBLE.findall(text)) >= GARBLED_SHARE * len(text):
        return "garbled_text"
    return "repeated_text" if repeats(text, times, length) else None


def repeats(text: str, times: int, length: int) -> bool:
    """Whether some stretch of `length` characters stands `times` times in the text, without overlap."""
    if len(text) < times * length:
        return False
    words = text.split()
    # A stretch of 40 characters holds three words of most languages, which then come as often: far cheaper to count.
    spaced = length >= 30 and len(words) * 10 > len(text)
    if spaced and max(Counter(zip(words, words[1:], words[2:], strict=False)).values(), default=0) < times:
        return False
    text = " ".join(words)
    counts = Counter(text[i : i + length] for i in range(len(text) - length + 1))
    return any(n >= times and text.count(stretch) >= times for stretch, n in counts.most_common(length))
