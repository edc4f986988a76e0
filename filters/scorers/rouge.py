"""rouge: the task's own reward, the overlap of words with the reference."""

from collections.abc import Sequence
from dataclasses import dataclass

from corpus import Corpus
from corpus.errors import UsageError
from corpus.scoring import score, table_of
from filters.scorers import OWN, Question, Score


@dataclass(frozen=True)
class Rouge:
    """The task's own scores. A verification has them already and does not ask for them."""

    word: str = OWN

    def scores(self, questions: Sequence[Question]) -> list[Score]:
        """The task's accuracy of each answer under `strict`."""
        rows = [
            {
                "response": f"<think></think><answer>{question.answer}</answer>",
                "ground_truth": question.reference,
                "problem_type": "open-ended",
                "data_type": "image",
            }
            for question in questions
        ]
        found = score(table_of(rows), "strict")
        return [
            Score(a, reason=r) for a, r in zip(found["accuracy"].to_pylist(), found["reason"].to_pylist(), strict=True)
        ]


def open_scorer(rest: str, corpus: Corpus) -> Rouge:
    """The scorer; it takes no further words."""
    if rest:
        raise UsageError(f"scorer 'rouge' stands alone, not with ':{rest}'")
    return Rouge()
