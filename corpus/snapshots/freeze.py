"""The rows that a version freezes: the picked pairs of sample and trace in order, with verdict and prompt."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import pyarrow as pa

from corpus import arrow_file
from corpus.chat import place_media_tokens
from corpus.errors import OneThinkerError
from corpus.lake import Transaction
from corpus.snapshots.row_format import COLUMNS, ROWS_PER_GROUP, schema
from corpus.tasks import tasks


def read_rows(tx: Transaction, picks: pa.Table, profile: str, folder: Path) -> Iterator[pa.RecordBatch]:
    """The picked rows in order, in the columns of `corpus.snapshots.row_format`; temporary files lie in `folder`.

    Raises OneThinkerError if a pair has no sample, no trace, or no verdict under `profile`.
    """
    newest = "qualify row_number() over (partition by trace_id order by created_at desc, verifier desc) = 1"
    sources = {
        "samples": (["sample_id"], "", None),
        "traces": (["trace_id", "sample_id"], "", None),
        "verdicts": (["trace_id"], f"where profile = $profile {newest}", {"profile": profile}),
    }
    known = tasks()
    with TemporaryDirectory(dir=folder, prefix=".rows-") as scratch:
        tables, positions = {}, {}
        for table, (keys, rest, params) in sources.items():
            found = tx.rows_by_id(table, picks.select(keys), "*", rest, params, ROWS_PER_GROUP)
            tables[table] = arrow_file.write(found, Path(scratch) / table)
            positions[table] = tables[table].find(keys[0], picks[keys[0]])
            if missing := positions[table].null_count:
                _raise_missing(picks, positions[table], missing, table, profile)
        for start in range(0, len(picks), ROWS_PER_GROUP):
            columns: dict[str, Any] = {"position": pa.array(range(start, min(start + ROWS_PER_GROUP, len(picks))))}
            for table, shown in COLUMNS.items():
                part = tables[table].take(positions[table][start : start + ROWS_PER_GROUP].to_numpy())
                columns = {word: part[name] for name, word in shown.items()} | columns
            rows = pa.table(columns)
            asked = rows.select(["problem_type", "data_type", "problem", "options"]).to_pylist()
            prompts = [
                place_media_tokens(known[row["problem_type"]].prompt(row), kinds)
                for row, kinds in zip(asked, _kinds(rows), strict=True)
            ]
            whole = rows.append_column("prompt", pa.array(prompts, pa.string())).combine_chunks().to_batches()[0]
            yield pa.RecordBatch.from_arrays([whole[f.name].cast(f.type) for f in schema()], schema=schema())


def _raise_missing(picks: pa.Table, positions: pa.Int64Array, missing: int, table: str, profile: str) -> NoReturn:
    first = picks.filter(positions.is_null()).slice(0, 1).to_pylist()[0]
    what = {"samples": "sample", "traces": "trace"}.get(table, f"verdict under the profile '{profile}'")
    raise OneThinkerError(
        f"sample {first['sample_id']}, trace {first['trace_id']}: there is no such {what}, so it cannot be frozen "
        f"({missing:,} of {len(picks):,} picks)"
    )


def _kinds(batch: pa.Table) -> list[list[str]]:
    return [[medium["kind"] for medium in media or []] for media in batch["media"].to_pylist()]
