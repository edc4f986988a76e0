"""Rows of a table by a list of ids, read in bounded memory.

Two passes: the first reads only the id columns and finds where the rows lie, the second reads the columns asked for of
the data files and row groups that hold any of them. Ids are hashes, so the tables' statistics alone exclude nothing.
"""

from typing import Any

import duckdb
import pyarrow as pa

BATCH_ROWS = 16_384


def read(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    ids: pa.Table,
    columns: str = "*",
    rest: str = "",
    params: dict[str, Any] | None = None,
    batch_rows: int = BATCH_ROWS,
) -> pa.RecordBatchReader:
    """The rows of `table` that equal a row of `ids` in all of its columns, each once, in any order.

    `columns` is a select list, `rest` what follows the FROM clause (`where …`, `qualify …`) with `params` for it.
    Batches have at most `batch_rows` rows. `connection` has the lake attached as `lake`; in memory are the ids, an
    integer for each row found, and what is being read.
    """
    keys = ", ".join(f'"{name}"' for name in ids.column_names)
    connection.register("wanted_ids", ids)
    try:
        found = f"select rowid from lake.{table} semi join wanted_ids using ({keys})"
        rowids = connection.sql(found).to_arrow_table()
    finally:
        connection.unregister("wanted_ids")
    # The join holds the side that DuckDB expects to be small: an Arrow table, whose size it does not know.
    name = f"{table}_rowids"
    connection.register(name, rowids)
    query = f"select {columns} from lake.{table} semi join {name} using (rowid) {rest}"
    return connection.sql(query, params=params).to_arrow_reader(batch_rows)
