"""What a sample is and where it lives: the store, the tasks with their rewards, the readers of native formats."""

from typing import TYPE_CHECKING, Any

from corpus.errors import OneThinkerError, UsageError

if TYPE_CHECKING:
    from corpus.store import Corpus

__all__ = ["Corpus", "OneThinkerError", "UsageError"]


def __getattr__(name: str) -> Any:
    # Worker processes import modules of this package and no corpus: DuckDB and Arrow would be 100 MB in each.
    if name == "Corpus":
        from corpus.store import Corpus

        return Corpus
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
