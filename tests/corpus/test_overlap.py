"""ROUGE equals rouge-score, word errors equal the textbook table, and the fast paths equal the slow ones."""

import itertools
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score import rouge_scorer

from corpus.answers.equivalence import released_choice_equal, released_math_equal
from corpus.answers.overlap import edit_error, normalise, released_word_errors, rouge, words

SCORER = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
VOCABULARY = [
    "the",
    "a",
    "cat",
    "cats",
    "running",
    "runs",
    "quickly",
    "happily",
    "relational",
    "12",
    "x²",
    "don't",
    "Hopping",
    "café",
    "你好",
    "—",
    "Äh",
    "generalization",
]
texts = st.one_of(st.text(max_size=80), st.lists(st.sampled_from(VOCABULARY), max_size=25).map(" ".join))


@given(texts, texts)
def test_rouge_equals_rouge_score(truth: str, answer: str):
    theirs = SCORER.score(truth, answer)
    assert rouge(truth, answer) == pytest.approx(
        [theirs[k].fmeasure for k in ("rouge1", "rouge2", "rougeL")], abs=1e-12
    )


@given(st.lists(st.sampled_from("abc"), max_size=8), st.lists(st.sampled_from("abc"), max_size=8))
def test_word_errors_equal_the_table_of_edits(truth: list[str], answer: list[str]):
    rows = [list(range(len(answer) + 1))]
    for i, word in enumerate(truth, 1):
        rows.append([i])
        for j, other in enumerate(answer, 1):
            rows[i].append(min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (word != other)))
    expected = rows[-1][-1] / max(1, len(truth))
    assert released_word_errors(" ".join(truth), " ".join(answer)) == pytest.approx(expected)


def test_words_in_any_script():
    assert words(normalise("Don't STOP,  ｎｏｗ!")) == ["don't", "stop", "now"]
    assert words("一只cat在跑") == ["一", "只", "cat", "在", "跑"]
    assert words("сегодня хорошо") == ["сегодня", "хорошо"]


def test_edit_error_is_at_most_one():
    assert edit_error("ab", "xyzxyz") == 1
    assert edit_error("", "") == 0
    assert edit_error("", "a") == 1


def test_single_letters_are_compared_as_mathruler_does():
    from mathruler.grader import grade_answer

    chance = random.Random(7)
    pairs = [(a, a.swapcase()) for a in string.ascii_letters]
    pairs += [tuple(chance.choices(string.ascii_letters, k=2)) for _ in range(60)]
    for a, b in pairs:
        assert released_choice_equal(a, b) == grade_answer(a, b)


def test_plain_integers_and_equal_formulas_are_compared_as_math_verify_does():
    from math_verify import parse, verify

    chance = random.Random(7)
    whole = [str(chance.randint(-30, 30)) for _ in range(40)] + ["0", "1000000", "123456789"]
    formulas = ["$7$", "$x^2+1$", "$3,4$", "$[0,1)$", "$1:2$", "$10 cm$", "$50%$", "$a_1=4$", "$1/0$", "$2x2$", "$1 2$"]
    for truth, answer in [*itertools.pairwise(whole), *((text, text) for text in whole + formulas)]:
        assert released_math_equal(truth, answer) == bool(verify(parse(truth), parse(answer))), (truth, answer)
