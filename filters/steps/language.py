"""language: keep reasoning that stays in the writing of its question.

    - language: {share: 0.2}

The thinking has switched when more than `share` of its letters belong to a script (Latin, Han with kana, Hangul,
Cyrillic, Arabic, Hebrew, Devanagari, Thai) that neither the question nor the answer uses. Greek is left out: it is
mathematics more often than Greek. Reason: language_switch.
"""

import re
from functools import partial

import pyarrow as pa
from pydantic import Field

from filters.candidates import Candidates
from filters.recipe import StepOptions

LETTERS = {
    "Latin": "A-Za-zÀ-ÖØ-öø-ɏḀ-ỿ",
    "Han": "㐀-䶿一-鿿豈-﫿぀-ヿ",
    "Hangul": "ᄀ-ᇿ가-힯",
    "Cyrillic": "Ѐ-ԯ",
    "Arabic": "؀-ۿݐ-ݿ",
    "Hebrew": "֐-׿",
    "Devanagari": "ऀ-ॿ",
    "Thai": "฀-๿",
}
_SCRIPTS = {name: re.compile(f"[{letters}]") for name, letters in LETTERS.items()}
# What every prompt holds, whatever its language: tags, placeholders, LaTeX, single letters, the keys of JSON answers.
_MARKUP = re.compile(r"<[^<>]*>|\\[a-zA-Z]+|\b[a-zA-Z]\b|\"\w+\"")


class Options(StepOptions):
    """`share` of the letters may be of another script."""

    share: float = Field(default=0.2, gt=0, lt=1)


def drops(candidates: Candidates, options: Options) -> pa.Table:
    """The traces that switch."""
    return candidates.check_texts(partial(check, share=options.share), "thinking, answer", "problem")


def check(texts: pa.Table, share: float) -> pa.Table:
    """A reason, or null, for each row of thinking, problem and answer."""
    rows = zip(*(texts[name].to_pylist() for name in ("thinking", "problem", "answer")), strict=True)
    reasons = ["language_switch" if switched(t or "", (p or "") + (a or ""), share) else None for t, p, a in rows]
    return pa.table({"reason": pa.array(reasons, pa.string())})


def switched(thinking: str, asked: str, share: float) -> bool:
    """Whether more than `share` of the thinking's letters are of scripts that what was asked does not use."""
    if thinking.isascii() and asked.isascii():
        return False
    used = {name for name, letters in _SCRIPTS.items() if letters.search(_MARKUP.sub(" ", asked))}
    if not used:
        return False
    counts = {name: len(letters.findall(_MARKUP.sub(" ", thinking))) for name, letters in _SCRIPTS.items()}
    foreign = sum(n for name, n in counts.items() if name not in used)
    return foreign > share * max(sum(counts.values()), 1)
