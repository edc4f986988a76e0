"""Rows by their ids: the right ones, once, in the table's order, without reading the files that hold none."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus import Corpus
from corpus.errors import OneThinkerError
from corpus.maintenance import compact


def _trace(number: int) -> dict[str, Any]:
    return {"trace_id": f"t{number}", "sample_id": f"s{number}", "teacher": "m", "response": f"{number} " * 200}


@pytest.fixture
def corpus(tmp_path: Path) -> Any:
    with Corpus.create(tmp_path / "corpus") as opened:
        for start in range(0, 40, 10):
            opened.append("traces", [_trace(number) for number in range(start, start + 10)])
        yield opened


def _ids(*numbers: int) -> pa.Table:
    return pa.table({"trace_id": pa.array([f"t{number}" for number in numbers], pa.string())})


def _read(corpus: Corpus, *numbers: int, **options: Any) -> list[str]:
    rows = corpus.rows_by_id("traces", _ids(*numbers), "trace_id", **options).read_all()
    return sorted(map(str, rows["trace_id"]))


def test_each_row_comes_once_and_unknown_ids_give_none(corpus: Corpus) -> None:
    assert _read(corpus, 31, 2, 2, 25, 99) == ["t2", "t25", "t31"]
    assert _read(corpus) == []
    everything = corpus.rows_by_id("traces", _ids(3)).read_all()
    assert everything.column_names == corpus.sql("from traces limit 0").columns
    assert everything["response"].to_pylist() == ["3 " * 200]


def test_all_columns_of_the_ids_must_agree(corpus: Corpus) -> None:
    pairs = pa.table({"trace_id": ["t1", "t2"], "sample_id": ["s1", "s1"]})
    assert corpus.rows_by_id("traces", pairs).read_all()["trace_id"].to_pylist() == ["t1"]


def test_a_condition_narrows_the_rows(corpus: Corpus) -> None:
    assert _read(corpus, 1, 2, rest="where sample_id <> $id", params={"id": "s1"}) == ["t2"]


def test_rows_are_found_after_compaction(corpus: Corpus) -> None:
    corpus.append("traces", [_trace(40)])
    merged = compact(corpus, keep_hours=0)
    assert merged.files_after < merged.files_before
    corpus.append("traces", [_trace(41)])
    assert _read(corpus, 41, 0, 40, 15) == ["t0", "t15", "t40", "t41"]


def test_a_transaction_finds_what_it_has_appended(corpus: Corpus) -> None:
    with corpus.transaction("both") as tx:
        tx.append("traces", [_trace(50)])
        assert tx.rows_by_id("traces", _ids(50, 5), "trace_id").read_all()["trace_id"].to_pylist() == ["t5", "t50"]


def test_files_without_a_wanted_row_are_not_read(corpus: Corpus) -> None:
    """Overwriting the responses of every file but one goes unnoticed."""
    for file in (corpus.root / "data").rglob("traces/*.parquet"):
        if "t12" not in pq.read_table(file, columns=["trace_id"])["trace_id"].to_pylist():
            _overwrite(file, "response")
    assert _responses(corpus, 12) == ["12 " * 200]
    with pytest.raises(OneThinkerError):
        _responses(corpus, 33)


def _responses(corpus: Corpus, number: int) -> list[Any]:
    return list(corpus.rows_by_id("traces", _ids(number), "response").read_all()["response"].to_pylist())


def _overwrite(file: Path, name: str) -> None:
    group = pq.ParquetFile(file).metadata.row_group(0)
    (column,) = (c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == name)
    with file.open("r+b") as raw:
        raw.seek(column.dictionary_page_offset or column.data_page_offset)
        raw.write(b"\xff" * column.total_compressed_size)
