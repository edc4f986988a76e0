"""Compaction, deletion and ten later writes leave every snapshot as it was, to the byte."""

from pathlib import Path

import pytest

from corpus import Corpus, OneThinkerError, UsageError
from corpus.maintenance import compact
from corpus.snapshots import Snapshot
from tests.corpus.making import frozen, sample, small_corpus, trace, verdict


def bytes_of(snapshot: Snapshot) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(snapshot.folder.iterdir())}


def write_on(corpus: Corpus, root: Path, i: int) -> None:
    """One more ingest, and a re-annotation with its verdict."""
    with corpus.run("ingest", {}) as run, run.transaction("one more") as tx:
        tx.append("samples", [sample(corpus, root, 100 + i)])
    sample_id, answer = corpus.sql("select sample_id, answer from samples order by 1 limit 1").fetchall()[0]
    again = trace({"sample_id": sample_id, "answer": answer}, i, teacher=f"p:again-{i}")
    with corpus.run("annotate", {}) as run, run.transaction("one more") as tx:
        tx.append("traces", [again])
        tx.append("verdicts", [verdict(again, i)])


def data_files(corpus: Corpus) -> int:
    return len(list((corpus.root / "data").rglob("*.parquet")))


@pytest.mark.slow
def test_ten_ingests_re_annotations_and_a_compaction_leave_a_snapshot_as_it_was(tmp_path: Path) -> None:
    corpus = small_corpus(tmp_path)
    first = frozen(corpus)
    made = bytes_of(first)
    for i in range(10):
        write_on(corpus, tmp_path, i)
        if i == 4:
            middle = frozen(corpus)
    rows = corpus.sql("from traces order by all").fetchall()
    before = data_files(corpus)
    done = compact(corpus, keep_hours=0)
    assert done.files_before >= before > data_files(corpus)
    assert done.files_after < 12
    assert done.lake_snapshots_expired > 20
    write_on(corpus, tmp_path, 10)
    compact(corpus, keep_hours=0)
    for snapshot in (first, middle):
        assert corpus.snapshots.get(snapshot.ref) == snapshot
        assert snapshot.damage() == []
    assert bytes_of(first) == made
    with Corpus.open(corpus.root, at="small@1") as then:
        assert then.sql("select count(*) from traces").fetchone() == (6,)
        assert then.sql("select count(*) from samples").fetchone() == (6,)
    with Corpus.open(corpus.root, at="small@2") as then:
        assert then.sql("select count(*) from traces").fetchone() == (11,)
    assert set(rows) < set(corpus.sql("from traces").fetchall())


def test_recent_history_is_kept_for_readers_at_work(tmp_path: Path) -> None:
    corpus = small_corpus(tmp_path)
    write_on(corpus, tmp_path, 0)
    before = {path.name for path in (corpus.root / "data").rglob("*.parquet")}
    done = compact(corpus, keep_hours=1)
    assert done.lake_snapshots_expired == 0
    assert before <= {path.name for path in (corpus.root / "data").rglob("*.parquet")}
    with pytest.raises(UsageError, match="0 keeps only what snapshots need"):
        compact(corpus, keep_hours=-1)


def test_a_deleted_version_is_gone_its_number_is_not_given_again_and_the_others_stay(tmp_path: Path) -> None:
    corpus = small_corpus(tmp_path)
    first = frozen(corpus)
    second = frozen(corpus, picks=_some(corpus, 2), parent="small@1")
    with corpus.run("train", {"snapshot": "small@1", "steps": 3}) as run:
        pass
    with corpus.run("train", {"snapshot": "small@11"}):
        pass
    assert list(corpus.snapshots.referrers(first)) == [
        "snapshot small@2 names it as its parent",
        f"run {run.run_id} (train) used it",
    ]
    corpus.snapshots.delete("small@1")
    assert [s.ref for s in corpus.snapshots.list()] == ["small@2"]
    assert not first.folder.exists()
    assert [path.name.partition("-")[0] for path in (corpus.root / "cache").iterdir()] == ["small@2"]
    assert corpus.sql("select distinct version from snapshot_rows").fetchall() == [(2,)]
    with pytest.raises(OneThinkerError, match="no snapshot 'small@1'; did you mean 'small@2'"):
        corpus.snapshots.get("small@1")
    corpus.snapshots.delete("small@2")
    third = frozen(corpus, picks=_some(corpus, 2))
    assert (third.version, third.fingerprint) == (3, second.fingerprint)
    compact(corpus, keep_hours=0)
    assert third.damage() == []
    assert corpus.sql("select count(*) from traces").fetchone() == (6,)


def test_what_a_killed_deletion_left_goes_with_the_next_compaction(tmp_path: Path) -> None:
    corpus = small_corpus(tmp_path)
    snapshot, other = frozen(corpus), frozen(corpus, name="other")
    with corpus.run("delete", {"snapshot": snapshot.ref}):
        pass  # killed before the files were removed
    assert [s.ref for s in corpus.snapshots.list()] == ["other@1"]
    assert compact(corpus).leftovers_removed == 2
    assert [path.name for path in (corpus.root / "snapshots").iterdir()] == ["other@1"]
    assert other.damage() == []


def _some(corpus: Corpus, rows: int) -> object:
    return corpus.sql("select sample_id, trace_id from traces order by 1").to_arrow_table().slice(0, rows)
