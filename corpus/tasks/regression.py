"""Regression: a question whose answer is one number that can be nearly right, such as a distance or an age.

Answer   a number
Reward   mean relative accuracy: the share of the thresholds 0.50, 0.55 … 0.95 that 1 − relative error is above
"""

import numpy as np

from corpus.answers.numbers import Quantity, equal_at_two_decimals, read_number, released_number, scores_of_numbers
from corpus.scores import Batch, Floats, Scores
from corpus.task import QA, Example, Task

# The released reward computes in 32-bit floats, where 1 − 0.90 is above 0.1: an answer of 9 for 10 passes 0.90 there.
_SINGLE_THRESHOLDS = (0.5 + 0.05 * np.arange(10)).astype(np.float32)
_MARGINS = (10 - np.arange(10)) * 0.05  # 0.50, 0.45 … 0.05, by counting down to keep 0.1 a 0.1
_ROUNDING = 1e-9


class Regression(Task):
    """One number, the nearer the better."""

    name = "regression"
    families = QA
    ask = "Answer with your best estimate as one number and nothing else."
    reply_example = "42.7"
    Answer = Quantity
    examples = (
        Example("10", truth="10", reward=1),
        Example("9", truth="10", reward=0.8),
        Example("5", truth="10", reward=0),
        Example("0", truth="0", reward=1),
        Example("1", truth="0", reward=0),
    )

    def read(self, text: str, data_type: str) -> Quantity:
        """A number with what people write round it."""
        return read_number(text)

    def paper(self, batch: Batch) -> Scores:
        """Mean relative accuracy in 32-bit floats."""
        pairs = [(released_number(a), released_number(t)) for a, t in zip(batch.answers, batch.truths, strict=True)]
        there = np.array([mine is not None and theirs is not None for mine, theirs in pairs], dtype=bool)
        with np.errstate(all="ignore"):
            numbers = np.array([(mine or 0.0, theirs or 0.0) for mine, theirs in pairs]).reshape(-1, 2)
            mine, theirs = numbers.astype(np.float32).T
            error = np.abs(mine - theirs) / (np.abs(theirs) + np.float32(1e-8))
            passed = (error[:, None] < (np.float32(1) - _SINGLE_THRESHOLDS)).sum(axis=1)
        share = (passed.astype(np.float32) / np.float32(10)).astype(np.float64)
        return Scores(np.where(there, share, 0.0), np.full(len(batch), 0.5))

    def strict(self, batch: Batch) -> Scores:
        """Mean relative accuracy in full precision; where the truth is 0, whether the answer is 0 at two decimals."""
        return scores_of_numbers(self.readings(batch), relative_accuracy)


def relative_accuracy(answers: Floats, truths: Floats) -> Floats:
    """Share of the ten thresholds that 1 − |answer − truth| / |truth| is above."""
    with np.errstate(all="ignore"):
        errors = np.abs(answers - truths) / np.abs(truths)
    shares: Floats = (errors[:, None] < _MARGINS - _ROUNDING).mean(axis=1)
    return np.where(truths == 0, equal_at_two_decimals(answers, truths), shares)
