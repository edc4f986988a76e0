"""OCR: read the text in the picture.

Answer   the text
Reward   1 − word error rate, floored at 0
"""

import numpy as np

from corpus.answers.overlap import edit_error, read_text, released_word_errors, words
from corpus.scores import Batch, Scores
from corpus.task import QA, Example, Task

READ_AT_LEAST = 0.5  # of the characters; what gets fewer right has not read the text


class Ocr(Task):
    """The text as it stands in the picture."""

    name = "OCR"
    families = QA
    ask = "Answer with the text exactly as it is written, without comment or quotation marks."
    reply_example = "EXIT 12"
    examples = (
        Example("Hello World", truth="Hello World", reward=1),
        Example("hello  world", truth="Hello World", reward=1),
        Example("Hello Warld", truth="Hello World", reward=(1 - 1 / 11 + 0.5) / 2),
        Example("Hi there you", truth="Hello World", reward=0),
    )

    def read(self, text: str, data_type: str) -> str:
        """The text, normalised."""
        return read_text(text)

    def paper(self, batch: Batch) -> Scores:
        """1 − word error rate over white space."""
        accuracy = [
            0.0 if truth is None else max(0.0, min(1.0, 1.0 - released_word_errors(truth, answer or "")))
            for answer, truth in zip(batch.answers, batch.truths, strict=True)
        ]
        return Scores(np.array(accuracy, dtype=float), np.full(len(batch), 0.5))

    def strict(self, batch: Batch) -> Scores:
        """Half by characters, half by words; nothing for a text of which less than half is right."""
        read = self.readings(batch)
        pairs = list(zip(read.answers, read.truths, strict=True))
        by_character = 1 - np.array([edit_error(truth, answer) for answer, truth in pairs], dtype=float)
        by_word = 1 - np.array([_word_error(truth, answer) for answer, truth in pairs], dtype=float)
        accuracy = np.where(by_character >= READ_AT_LEAST, (by_character + by_word) / 2, 0.0)
        return read.scores(accuracy, characters=by_character, words=by_word)


def _word_error(truth: str, answer: str) -> float:
    wanted = words(truth)
    return edit_error(wanted, words(answer)) if wanted else float(truth != answer)
