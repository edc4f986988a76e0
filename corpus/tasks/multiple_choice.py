"""Multiple choice: name the one right option.

Answer   the option's letter
Reward   1 for the right option, else 0
"""

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from corpus.answers.equivalence import released_choice_equal
from corpus.answers.overlap import normalise
from corpus.scores import TRUTH_UNREADABLE, Batch, Scores, Unparsed
from corpus.task import QA, Example, Task

MAX_CHARACTERS = 2_000
_WRAPPED = re.compile(r"(?:\*\*|\$|\\boxed\{|\\text\{|[\[({])+(.+?)(?:\*\*|\$|[\])}])+[.:]?", re.DOTALL)
_LETTER = re.compile(r"([A-Za-z])[.:)]?")
_SEVERAL = re.compile(r"[A-Z](?:\s*(?:,|;|&|and)\s*[A-Z])+")
_RUN_TOGETHER = re.compile(r"[A-Z]{2,}")
_LETTER_AND_TEXT = re.compile(r"\(?([A-Za-z])[.:)、．]+\s*(.+)", re.DOTALL)

Texts = tuple[str, ...] | None


class MultipleChoice(Task):
    """One option out of several."""

    name = "multiple choice"
    families = QA
    ask = "Answer with the letter of the one right option and nothing else."
    reply_example = "A"
    examples = (
        Example("B", truth="B", reward=1, options=["A. cat", "B. dog"]),
        Example("(b)", truth="B", reward=1, options=["A. cat", "B. dog"]),
        Example("dog", truth="B", reward=1, options=["A. cat", "B. dog"]),
        Example("C, A", truth="AC", reward=1, options=["A. red", "B. blue", "C. green"]),
        Example("B. cat", truth="B", reward=0, options=["A. cat", "B. dog"]),
        Example("2B-B", truth="B", reward=0, options=["A. cat", "B. dog"]),
    )

    def read(self, text: str, data_type: str) -> str:
        """The choice as written; which option it names depends on the options."""
        text = text.strip()
        if not text:
            raise Unparsed("empty_answer")
        if len(text) > MAX_CHARACTERS:
            raise Unparsed("answer_too_long")
        return text

    def paper(self, batch: Batch) -> Scores:
        """mathruler's equality, after stripping."""
        equal = [
            truth is not None and released_choice_equal((answer or "").strip(), truth.strip())
            for answer, truth in zip(batch.answers, batch.truths, strict=True)
        ]
        return Scores(np.array(equal, dtype=float), np.full(len(batch), 0.5))

    def strict(self, batch: Batch) -> Scores:
        """The option chosen, by its letter or by its own text."""
        accuracy = np.zeros(len(batch))
        reasons: list[str | None] = [None] * len(batch)
        rows = zip(batch.answers, batch.truths, batch.options, strict=True)
        for row, (answer, truth, options) in enumerate(rows):
            accuracy[row], reasons[row] = _verdict(answer, truth, tuple(options) if options else None)
        return Scores(accuracy, np.zeros(len(batch)), {}, reasons)


@lru_cache(maxsize=50_000)
def _verdict(answer: str | None, truth: str | None, options: Texts) -> tuple[float, str | None]:
    try:
        right = _chosen(truth or "", options)
    except Unparsed:
        return np.nan, TRUTH_UNREADABLE
    if answer is None:
        return 0.0, None
    try:
        return float(_chosen(answer, options) == right), None
    except Unparsed as error:
        return 0.0, error.reason


def _chosen(text: str, options: Texts) -> str:
    """The letter of the option that a text names; letters joined by + if it names several.

    Without options it is the letter, else the text itself, normalised.

    Raises Unparsed: `empty_answer`, `answer_too_long`, `not_an_option`, `ambiguous_option`, `letter_and_text_disagree`.
    """
    if len(text) > MAX_CHARACTERS:
        raise Unparsed("answer_too_long")
    written = text.strip()
    if wrapped := _WRAPPED.fullmatch(written):
        written = wrapped[1].strip()
    text = normalise(written)
    if not text:
        raise Unparsed("empty_answer")
    letter = _LETTER.fullmatch(text)
    several = _SEVERAL.fullmatch(written)
    if options is None:
        return letter[1] if letter else _join_letters(written) if several else text
    texts = _texts(options)
    named = [found for found, own in texts.items() if text in (own, f"{found}. {own}")]
    if letter and letter[1] in texts and named in ([], [letter[1]]):
        return letter[1]
    if len(named) == 1:
        return named[0]
    if named:
        raise Unparsed("ambiguous_option")
    if several or _RUN_TOGETHER.fullmatch(written):
        letters = [character.lower() for character in written if "A" <= character <= "Z"]
        if len(set(letters)) == len(letters) and texts.keys() >= set(letters):
            return _join_letters(written)
    both = _LETTER_AND_TEXT.fullmatch(text)
    if both and both[1] in texts:
        if both[2].strip() == texts[both[1]]:
            return both[1]
        raise Unparsed("letter_and_text_disagree")
    raise Unparsed("not_an_option")


def _join_letters(written: str) -> str:
    """`AC` or `C, A` as a+c."""
    return "+".join(sorted({character.lower() for character in written if "A" <= character <= "Z"}))


@lru_cache(maxsize=20_000)
def _texts(options: tuple[str, ...]) -> dict[str, str]:
    """Each option's text by its letter: the letter that it is written with, or else its place in the list."""
    plain: Sequence[str] = [normalise(option) for option in options]
    letters = [chr(ord("a") + place) for place in range(len(plain))]
    marked = [_LETTER_AND_TEXT.fullmatch(option) for option in plain]
    if all(found is not None and found[1] == letter for found, letter in zip(marked, letters, strict=True)):
        return {letter: found[2].strip() for letter, found in zip(letters, marked, strict=True) if found}
    return dict(zip(letters, plain, strict=True))
