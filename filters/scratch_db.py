"""A DuckDB beside the corpus for work in progress, past which the texts of chosen traces stream in bounded memory."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from corpus import Corpus
from corpus.arrow_file import Gathered, gathered
from filters.score import in_chunks

MEMORY_LIMIT = "300MB"  # beyond it DuckDB spills to its temporary folder
BATCH_ROWS = 16_384


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
    bounded rows and bytes. Held at a time are a batch of texts and `wanted`; the samples' columns lie in a file.
    """
    texts = corpus.sql(
        f"select trace_id, {traces} from traces where mode is distinct from 'judge' {only and f'and ({only})'}"
    ).to_arrow_reader(BATCH_ROWS)
    with db.cursor() as cursor, tempfile.TemporaryDirectory(prefix="onethinker-filters-") as folder:
        cursor.execute(f"create temp table asked as select *, 0 as place from {wanted}")
        picked = _picked(cursor, corpus, samples, Path(folder) / "samples.arrow") if samples else None
        for batch in texts:
            cursor.register("ids", pa.table({"trace_id": batch["trace_id"], "nth": pa.array(range(len(batch)))}))
            found = cursor.sql("select asked.*, nth from asked join ids using (trace_id) order by nth").to_arrow_table()
            if not len(found):
                continue
            table = pa.Table.from_batches([batch]).take(found["nth"].combine_chunks())
            beside = [found.drop_columns(["trace_id", "nth", "place"])]
            if picked is not None:
                beside.append(picked.take(found["place"].to_numpy()).drop_columns(["sample_id"]))
            for columns in beside:
                for name in columns.column_names:
                    table = table.append_column(name, columns[name])
            yield from in_chunks(table)


def _picked(cursor: duckdb.DuckDBPyConnection, corpus: Corpus, columns: str, path: Path) -> Gathered:
    """Columns of the samples of the table `asked`, whose column `place` then says which row here is each one's."""
    cursor.register("rows", corpus.sql(f"select sample_id, {columns} from samples").to_arrow_reader(BATCH_ROWS))
    picked = gathered(cursor.sql("from rows semi join asked using (sample_id)").to_arrow_reader(BATCH_ROWS), path)
    cursor.unregister("rows")
    ids = picked.column("sample_id")
    cursor.register("places", pa.table({"sample_id": ids, "place": pa.array(range(len(ids)))}))
    cursor.execute(
        """create temp table placed as
           select a.* exclude (place), p.place from asked a join places p using (sample_id);
           drop table asked;
           alter table placed rename to asked"""
    )
    cursor.unregister("places")
    return picked
