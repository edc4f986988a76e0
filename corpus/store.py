"""The corpus: samples, traces, verdicts and dataset versions in one DuckLake, read with SQL, written in transactions.

corpus = Corpus.open("corpus-data")
corpus.sql("select task, count(*) from samples group by 1").show()
with corpus.run("ingest", {"reader": "onethinker"}) as run, run.transaction("first thousand") as tx:
    tx.append("samples", table)
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from corpus.errors import OneThinkerError
from corpus.lake import Lake, Rows
from corpus.location import Location
from corpus.media import MediaStore
from corpus.notebook import html_table
from corpus.runs import Run, record_run
from corpus.schema import to_table
from corpus.snapshots import Snapshots

if TYPE_CHECKING:
    from corpus.ingest.add import AddedSamples


class Corpus(Lake):
    """One corpus, open: its lake, its media, its dataset versions and its runs.

    Its methods may be called from several threads; it does not survive a fork.
    """

    @classmethod
    def create(cls, url: str | Path, *, catalog: str | None = None) -> "Corpus":
        """Make an empty corpus at `url` and open it; its catalog is a file in it, or `postgres:dbname=… host=…`.

        Raises OneThinkerError if the folder is not empty.
        """
        location = Location.parse(url, catalog)
        location.create()
        return cls(location)

    @classmethod
    def open(cls, url: str | Path, *, at: str | None = None) -> "Corpus":
        """Open the corpus at `url`; with `at="name@version"`, every table as it stood when that snapshot was made.

        Raises OneThinkerError if there is no corpus, or one that this version of the code cannot read.
        """
        location = Location.parse(url)
        location.check()
        corpus = cls(location)
        if at is None:
            return corpus
        with corpus:
            lake_snapshot = corpus.snapshots.get(at).lake_snapshot
        return cls(location, lake_snapshot=lake_snapshot)

    @property
    def media(self) -> MediaStore:
        """The images and videos, by their SHA-256."""
        return MediaStore(str(self.root / "media"))

    @property
    def snapshots(self) -> Snapshots:
        """The named, immutable dataset versions."""
        return Snapshots(self)

    def append(self, table: str, rows: Rows) -> int:
        """Add the rows whose key is new, in one transaction; returns how many those were.

        `add_samples` is the checked door for samples. Raises OneThinkerError for a sample of a type that is unknown.
        """
        if table == "samples":
            rows = to_table(table, rows)
            _check_types(rows)
        return super().append(table, rows)

    def add_samples(self, rows: Iterable[Mapping[str, Any]], *, media_root: str | Path | None = None) -> "AddedSamples":
        """Add samples from plain dicts, checked like ingest: see `corpus.ingest.add.add_samples`."""
        from corpus.ingest.add import add_samples

        return add_samples(self, rows, media_root=media_root)

    @contextmanager
    def run(self, kind: str, config: dict[str, Any]) -> Iterator[Run]:
        """Record the block as one run of `kind`: see `corpus.runs.record_run`."""
        with record_run(self, kind, config) as run:
            yield run

    def __enter__(self) -> "Corpus":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        try:
            counts = ", ".join(f"{count:,} {name}" for name, count in self._count_rows().items())
        except OneThinkerError:  # closed, or its catalog is gone
            counts = "cannot be read"
        return f"Corpus('{self.root}': {counts})"

    def _repr_html_(self) -> str:
        counts = self._count_rows()
        return html_table(f"corpus {self.root}", counts, [list(counts.values())]) + self.snapshots._repr_html_()

    def _count_rows(self) -> dict[str, int]:
        names = ("samples", "traces", "verdicts", "snapshots")
        row = self.sql("select " + ", ".join(f"(select count(*) from {name})" for name in names)).fetchall()[0]
        return dict(zip(names, row, strict=True))


def _check_types(samples: pa.Table) -> None:
    from corpus.ingest.rules import odd_sample
    from corpus.tasks import tasks

    known = tasks()
    kinds = zip(samples["problem_type"].to_pylist(), samples["data_type"].to_pylist(), strict=True)
    for row, (problem_type, data_type) in enumerate(kinds):
        if problem_type is None and data_type is None:
            continue
        if detail := odd_sample(problem_type, data_type, known):
            name = samples["sample_id"][row].as_py()
            raise OneThinkerError(
                f"row {row + 1} for samples ({name!r}): {detail}; `Corpus.add_samples` checks rows one by one"
            )
