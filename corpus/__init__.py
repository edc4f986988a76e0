"""What a sample is and where it lives: the store, the tasks with their rewards, the readers of native formats."""

from corpus.errors import OneThinkerError, UsageError
from corpus.store import Corpus

__all__ = ["Corpus", "OneThinkerError", "UsageError"]
