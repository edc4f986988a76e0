"""Agreement of two texts: ROUGE as rouge-score computes it, and edit errors by word and by character.

Distances come from rapidfuzz. `rouge` equals rouge-score 0.1.2 with its stemmer to the last digit that matters; its
tokens are runs of a–z and 0–9 after lower-casing, so it sees nothing in Chinese. The strict rewards use `words`.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

from rapidfuzz.distance import LCSseq, Levenshtein

from corpus.scores import MAX_ANSWER_CHARACTERS, Unparsed

_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]+")
# Scripts written without spaces: there one character is taken for one word.
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    r"\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])\w)+(?:['’](?:(?![{_UNSPACED}])\w)+)*")
_ASCII_WORD = re.compile(r"\w+(?:'\w+)*", re.ASCII)
_ASCII_SPACED = {code: " " for code in range(128) if not (chr(code).islower() or chr(code).isdigit())}
_ASCII_SPACED_WORDS = {code: " " for code in range(128) if not (chr(code).isalnum() or chr(code) == "_")}


@cache
def _stemmer() -> Any:
    from nltk.stem.porter import PorterStemmer  # type: ignore[import-untyped]  # slow to import, and only ROUGE needs it

    return PorterStemmer()


@lru_cache(maxsize=200_000)
def _stem(token: str) -> str:
    """The Porter stem of an English token of more than three characters; other tokens as they are."""
    if len(token) < 4 or not token.isascii():
        return token
    stem: str = _stemmer().stem(token)
    return stem


def tokens(text: str) -> list[str]:
    """The stemmed tokens that rouge-score makes of a text."""
    lower = text.lower()
    spaced = lower.translate(_ASCII_SPACED) if lower.isascii() else _NOT_ALPHANUMERIC.sub(" ", lower)
    return list(map(_stem, spaced.split()))


@lru_cache(maxsize=4096)
def _count_cached(text: str) -> tuple[list[str], Counter[str], Counter[tuple[str, str]]]:
    return _count(tokens(text))


def _count(found: list[str]) -> tuple[list[str], Counter[str], Counter[tuple[str, str]]]:
    return found, Counter(found), Counter(pairwise(found))


def f_measure(shared: int, in_answer: int, in_truth: int) -> float:
    """The harmonic mean of precision and recall, 0 if nothing is shared."""
    precision, recall = shared / max(in_answer, 1), shared / max(in_truth, 1)
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def rouge(truth: str, answer: str) -> tuple[float, float, float]:
    """(ROUGE-1, ROUGE-2, ROUGE-L) F-measures of an answer, as rouge-score gives them with use_stemmer=True."""
    return rouge_of_tokens(_count_cached(truth), _count(tokens(answer)))


def rouge_of_tokens(truth: tuple[Any, Any, Any], answer: tuple[Any, Any, Any]) -> tuple[float, float, float]:
    """ROUGE-1, -2, -L of two counted token lists."""
    (theirs, their_words, their_pairs), (mine, my_words, my_pairs) = truth, answer
    return (
        f_measure(_shared(their_words, my_words), len(mine), len(theirs)),
        f_measure(_shared(their_pairs, my_pairs), max(len(mine) - 1, 0), max(len(theirs) - 1, 0)),
        f_measure(LCSseq.similarity(theirs, mine), len(mine), len(theirs)),
    )


def _shared(a: Counter[Any], b: Counter[Any]) -> int:
    return sum(min(a[key], b[key]) for key in a.keys() & b.keys())


def released_word_errors(truth: str, answer: str) -> float:
    """Word error rate over white space: edits per word of the truth, an empty truth counting as one word."""
    words_of_truth = truth.split()
    return Levenshtein.distance(words_of_truth, answer.split()) / max(1, len(words_of_truth))


def normalise(text: str) -> str:
    """A text as strict comparison sees it: NFKC, case folded, white space runs as one blank."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def read_text(text: str) -> str:
    """An answer in words, normalised. Raises Unparsed if it is empty or longer than any honest one."""
    if len(text) > MAX_ANSWER_CHARACTERS:
        raise Unparsed("answer_too_long")
    if found := normalise(text):
        return found
    raise Unparsed("empty_answer")


def words(text: str) -> list[str]:
    """Words of a normalised text; single characters for scripts that do not separate words."""
    if text.isascii():
        return _ASCII_WORD.findall(text) if "'" in text else text.translate(_ASCII_SPACED_WORDS).split()
    return _WORD.findall(text)


def count_words(text: str) -> tuple[list[str], Counter[str], Counter[tuple[str, str]]]:
    """`words` with English words stemmed, counted for `rouge_of_tokens`."""
    return _count(list(map(_stem, words(text))))


def edit_error(truth: Sequence[str], answer: Sequence[str]) -> float:
    """Edits per unit of the truth, at most 1."""
    if not truth:
        return float(bool(answer))
    return min(1.0, Levenshtein.distance(truth, answer) / len(truth))
