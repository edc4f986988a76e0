"""What ingest needs of a corpus; `corpus.store.Corpus`, which imports ingest, has it."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import duckdb

from corpus.lake import Params
from corpus.media import MediaStore
from corpus.runs import Run


class IngestTarget(Protocol):
    """A corpus that samples are added to."""

    @property
    def root(self) -> Path:
        """Its folder."""

    @property
    def media(self) -> MediaStore:
        """Its images and videos."""

    def sql(self, query: str, params: Params = None) -> duckdb.DuckDBPyRelation:
        """A relation over its tables."""

    def run(self, kind: str, config: dict[str, Any]) -> AbstractContextManager[Run]:
        """Record a block as one run."""
