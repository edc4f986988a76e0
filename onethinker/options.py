"""Options that several commands share: the corpus, the output format, the slice."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from corpus.ranges import AT_LEAST_1, SEED, Range
from onethinker.output_path import writable_folder

CorpusUrl = Annotated[
    str, Parameter(name="--corpus", env_var="ONETHINKER_CORPUS", help="The corpus: a folder or its URL.")
]
DEFAULT_CORPUS = "corpus-data"

Format = Annotated[
    Literal["table", "lines", "json", "jsonl", "csv", "parquet"],
    Parameter(
        name="--format",
        help="The format of the rows on standard output; lines: one `column | value` a line, nothing cut.",
    ),
]
Where = Annotated[
    str | None,
    Parameter(
        name="--where",
        help="The slice: a SQL condition over the columns of samples; subqueries may use any table or view.",
    ),
]
Count = Annotated[int, Parameter(validator=AT_LEAST_1)]
Limit = Annotated[int | None, Parameter(validator=AT_LEAST_1)]
Seed = Annotated[int, Parameter(validator=SEED)]
Workers = Annotated[int | None, Parameter(validator=Range(1, 1024))]
At = Annotated[str | None, Parameter(name="--at", help="The corpus as it was when the snapshot NAME@V was made.")]
Out = Annotated[Path, Parameter(name="--out", validator=writable_folder, help="The folder to write to.")]
