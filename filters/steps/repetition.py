"""repetition: keep reasoning that does not go round in circles or fall apart.

    - repetition: {times: 5, length: 40}

Going round is the same stretch of `length` characters (white space aside) standing `times` times or more in the
thinking; falling apart, one character in fifty or more that is no text (control, private use, U+FFFD).
Reasons: repeated_text, garbled_text.
"""

import re
import zlib
from collections import Counter
from functools import partial

import pyarrow as pa
from pydantic import Field

from filters.candidates import Candidates
from filters.recipe import Options as _Options

GARBLED_SHARE = 0.02
_GARBLE = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ufffd\ue000-\uf8ff]")
_SPACE = re.compile(r"\s+")


class Options(_Options):
    """`times` the same `length` characters is too often."""

    times: int = Field(default=5, ge=2)
    length: int = Field(default=40, ge=10)


def drops(candidates: Candidates, options: Options) -> pa.Table:
    """The traces that repeat themselves or are garbled."""
    return candidates.judged("t.thinking", partial(judge, times=options.times, length=options.length))


def judge(texts: pa.Table, times: int, length: int) -> pa.Table:
    """A reason, or null, for each text."""
    return pa.table({"reason": pa.array([_reason(t or "", times, length) for t in texts[0].to_pylist()], pa.string())})


def _reason(text: str, times: int, length: int) -> str | None:
    if not text.isascii() and len(_GARBLE.findall(text)) >= GARBLED_SHARE * len(text):
        return "garbled_text"
    return "repeated_text" if repeats(text, times, length) else None


def repeats(text: str, times: int, length: int) -> bool:
    """Whether some stretch of `length` characters stands `times` times in the text, without overlap."""
    if len(text) < times * length:
        return False
    coded = text.encode()
    # What repeats so much compresses to a half at most, as most text does not: far cheaper than looking.
    if len(zlib.compress(coded, 1)) > 0.6 * len(coded):
        return False
    text = _SPACE.sub(" ", text)
    counts = Counter(text[i : i + length] for i in range(len(text) - length + 1))
    stretch, most = counts.most_common(1)[0]
    return most >= times and text.count(stretch) >= times
