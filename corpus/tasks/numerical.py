"""Numerical: a question whose answer is one number that is right or wrong.

Answer   a number
Reward   1 where it equals the truth at two decimals, else 0
"""

import numpy as np

from corpus.answers.numbers import Quantity, equal_at_two_decimals, read_number, released_number, scores_of_numbers
from corpus.scores import Batch, Scores
from corpus.task import QA, Example, Task


class Numerical(Task):
    """One number, exact."""

    name = "numerical"
    families = QA
    ask = "Answer with the number and nothing else."
    reply_example = "3.14"
    Answer = Quantity
    examples = (
        Example("1,234.50", truth="1234.5", reward=1),
        Example("2 1/2", truth="2.5", reward=1),
        Example("40%", truth="0.4", reward=1),
        Example("12 cm", truth="12", reward=1),
        Example("0.004", truth="0.001", reward=0),
        Example("10 cm", truth="10 m", reward=0),
    )

    def read(self, text: str, data_type: str) -> Quantity:
        """A number with what people write round it."""
        return read_number(text)

    def paper(self, batch: Batch) -> Scores:
        """Equality of float() after rounding to two decimals."""
        equal = np.zeros(len(batch))
        for row, (answer, truth) in enumerate(zip(batch.answers, batch.truths, strict=True)):
            mine, theirs = released_number(answer), released_number(truth)
            equal[row] = mine is not None and theirs is not None and round(mine, 2) == round(theirs, 2)
        return Scores(equal, np.full(len(batch), 0.5))

    def strict(self, batch: Batch) -> Scores:
        """Equality at two decimals, units agreeing."""
        return scores_of_numbers(self.readings(batch), equal_at_two_decimals)
