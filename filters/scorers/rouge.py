"""rouge: the task's own reward, the overlap of words with the reference."""

from collections.abc import Sequence
from dataclasses import dataclass

from corpus import Corpus
from corpus.errors import UsageError
from filters.scorers import Question, Score


@dataclass(frozen=True)
class Rouge:
    """Leaves the scores that the task gave."""

    word: str = "rouge"

    def scores(self, questions: Sequence[Question]) -> list[Score] | None:
        """None: the task's own stay."""
        return None


def open_scorer(rest: str, corpus: Corpus) -> Rouge:
    """The scorer; it takes no further words."""
    if rest:
        raise UsageError(f"scorer 'rouge' stands alone, not with ':{rest}'")
    return Rouge()
