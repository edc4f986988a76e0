"""A DuckDB beside the corpus for work in progress, past which the texts of chosen traces stream in bounded memory."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa

from corpus import Corpus
from filters.score import in_chunks

MEMORY_LIMIT = "300MB"  # beyond it DuckDB spills to its temporary folder
BATCH_ROWS = 8192


@contextmanager
def working_database() -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty database in memory, gone with the block.

    Joins are done as written, the right side held and the left one streamed past it: left to itself DuckDB, which knows
    nothing of a stream's size, may hold the texts and look up the ids in them.
    """
    with tempfile.TemporaryDirectory(prefix="onethinker-filters-") as spill:
        config: dict[str, Any] = {"memory_limit": MEMORY_LIMIT, "temp_directory": spill}
        connection = duckdb.connect(config=config | {"disabled_optimizers": "build_side_probe_side,join_order"})
        connection.execute("set enable_progress_bar = false")  # in notebooks and `python -c` it prints to stdout
        try:
            yield connection
        finally:
            connection.close()


def stream(
    db: duckdb.DuckDBPyConnection, corpus: Corpus, wanted: str, traces: str, samples: str = "", only: str = ""
) -> Iterator[pa.Table]:
    """The rows of `wanted`, a table of `db` with trace_id and sample_id, with columns of their trace and sample.

    `traces` and `samples` are select lists, `only` a condition over traces that spares reading others. Tables have
    bounded rows and bytes; what is held at a time is `wanted` and the columns of the samples.
    """
    texts = corpus.sql(
        f"select trace_id, {traces} from traces where mode is distinct from 'judge' {only and f'and ({only})'}"
    ).to_arrow_reader(BATCH_ROWS)
    with db.cursor() as cursor:
        cursor.register("texts", texts)
        query = f"select texts.*, w.* exclude (trace_id) from texts join {wanted} w using (trace_id)"
        if samples:
            rows = corpus.sql(f"select sample_id, {samples} from samples").to_arrow_reader(BATCH_ROWS)
            cursor.register("rows", rows)
            cursor.execute(f"create or replace temp table picked as from rows semi join {wanted} using (sample_id)")
            query = f"select q.*, p.* exclude (sample_id) from ({query}) q join picked p using (sample_id)"
        for batch in cursor.sql(query).to_arrow_reader(BATCH_ROWS):
            yield from in_chunks(pa.Table.from_batches([batch]))
