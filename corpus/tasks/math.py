"""Math: a question whose answer is an expression.

Answer   a number or LaTeX
Reward   1 where it is equivalent to the truth, else 0
"""

import numpy as np

from corpus.answers.equivalence import released_math_equal
from corpus.answers.expressions import Expression, compare, parse_expression
from corpus.scores import Batch, Scores
from corpus.task import QA, Example, Task


class Math(Task):
    """An expression, judged by what it means."""

    name = "math"
    families = QA
    ask = "Answer with the final number or expression and nothing else, as LaTeX between dollar signs where needed."
    Answer = Expression
    reply_example = "$\\frac{3}{2}$"
    examples = (
        Example("$\\frac{1}{2}$", truth="0.5", reward=1),
        Example("\\sqrt{2}", truth="\\sqrt{2}", reward=1),
        Example("2", truth="2\\sqrt{3}", reward=0),
        Example("1, 2, 3, 4, 5", truth="5", reward=0),
        Example("10 cm", truth="10 m", reward=0),
    )

    def read(self, text: str, data_type: str) -> Expression:
        """The expression, tidied; what it means is looked at only beside the truth."""
        return parse_expression(text)

    def paper(self, batch: Batch) -> Scores:
        """math-verify's verdict."""
        equal = [
            truth is not None and released_math_equal(truth, answer or "")
            for answer, truth in zip(batch.answers, batch.truths, strict=True)
        ]
        return Scores(np.array(equal, dtype=float), np.full(len(batch), 0.5))

    def strict(self, batch: Batch) -> Scores:
        """The same text, the same number, or the same expression to math-verify; never a part of either."""
        read = self.readings(batch)
        equal = np.zeros(len(read.rows))
        for row, (answer, truth) in enumerate(zip(read.answers, read.truths, strict=True)):
            equal[row], read.reasons[read.rows[row]] = compare(answer, truth)
        return read.scores(equal)
