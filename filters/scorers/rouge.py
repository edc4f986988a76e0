"""rouge: the task's own reward, the overlap of words with the reference (see corpus/tasks/open_ended.py)."""

from corpus import Corpus
from corpus.errors import UsageError


def open_scorer(rest: str, corpus: Corpus) -> None:
    """None: the scores that the task gave stand. Raises UsageError if `rest` is not empty."""
    if rest:
        raise UsageError(f"scorer 'rouge' stands alone, not with ':{rest}'")
