"""A temporary DuckDB beside the corpus, and the rows of chosen traces streamed past it in bounded memory."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from corpus import Corpus, arrow_file
from corpus.scratch import scratch_folder
from filters.score import split_table

MEMORY_LIMIT = "300MB"  # beyond it DuckDB spills to its temporary folder
BATCH_ROWS = 16_384


@contextmanager
def open_scratch_db() -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty database in memory, gone with the block.

    Joins are done as written, the right side held and the left one streamed past it: left to itself DuckDB, which does
    not know a stream's size, may hold the texts and look up the ids in them.
    """
    with tempfile.TemporaryDirectory(dir=scratch_folder()) as spill:
        config: dict[str, Any] = {"memory_limit": MEMORY_LIMIT, "temp_directory": spill}
        connection = duckdb.connect(config=config | {"disabled_optimizers": "build_side_probe_side,join_order"})
        connection.execute("set enable_progress_bar = false")  # in notebooks and `python -c` it prints to stdout
        try:
            yield connection
        finally:
            connection.close()


def stream(
    db: duckdb.DuckDBPyConnection, corpus: Corpus, wanted: str, traces: str, samples: str = "", only: str = "true"
) -> Iterator[pa.Table]:
    """The rows of `wanted`, a table of `db` with trace_id and sample_id, with columns of their trace and sample.

    `traces` and `samples` are select lists, `only` a condition over traces. Tables have bounded rows and bytes. In
    memory are a batch of texts and `wanted`; the samples' columns are in a temporary file.
    """
    with db.cursor() as cursor, tempfile.TemporaryDirectory(dir=scratch_folder()) as folder:
        cursor.execute(f"create temp table wanted_rows as select *, 0 as position from {wanted}")
        ids = cursor.sql("select trace_id from wanted_rows").to_arrow_table()
        sample_rows = _write_samples(cursor, corpus, samples, Path(folder) / "samples.arrow") if samples else None
        texts = corpus.rows_by_id("traces", ids, f"trace_id, {traces}", f"where {only}", batch_rows=BATCH_ROWS)
        for batch in texts:
            cursor.register("batch", pa.table({"trace_id": batch["trace_id"], "nth": pa.array(range(len(batch)))}))
            # The batch is the side that is held.
            beside = cursor.sql("select w.*, nth from wanted_rows w join batch using (trace_id) order by nth")
            wanted_columns = beside.to_arrow_table()
            if not len(wanted_columns):
                continue
            table = pa.Table.from_batches([batch]).take(wanted_columns["nth"].combine_chunks())
            added = [wanted_columns.drop_columns(["trace_id", "nth", "position"])]
            if sample_rows is not None:
                added.append(sample_rows.take(wanted_columns["position"].to_numpy()).drop_columns(["sample_id"]))
            for columns in added:
                for name in columns.column_names:
                    table = table.append_column(name, columns[name])
            yield from split_table(table)


def _write_samples(cursor: duckdb.DuckDBPyConnection, corpus: Corpus, columns: str, path: Path) -> arrow_file.ArrowFile:
    """Columns of the samples of `wanted_rows`, whose column `position` is set to the sample's row in the file."""
    ids = cursor.sql("select distinct sample_id from wanted_rows").to_arrow_table()
    rows = arrow_file.write(corpus.rows_by_id("samples", ids, f"sample_id, {columns}"), path)
    found = rows.column("sample_id")
    cursor.register("positions", pa.table({"sample_id": found, "position": pa.array(range(len(found)), pa.int64())}))
    cursor.execute(
        """create temp table positioned as
           select w.* exclude (position), p.position from wanted_rows w join positions p using (sample_id);
           drop table wanted_rows;
           alter table positioned rename to wanted_rows"""
    )
    cursor.unregister("positions")
    return rows
