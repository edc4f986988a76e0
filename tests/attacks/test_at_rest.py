"""Damage at rest: every changed bit of the lake, the media and the snapshots is found, or changes no value read."""

import random
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from corpus import Corpus, OneThinkerError, checksums
from corpus.check import check_corpus
from corpus.integrity import (
    cache_damage,
    check_integrity,
    lake_file_damage,
    list_lake_files,
    medium_damage,
    snapshot_file_damage,
)
from corpus.maintenance import compact
from onethinker.cli import main
from tests.corpus.making import frozen, small_corpus, trace

FLIPS, SEED = 1_000, 20251203
FIXTURE = Path(__file__).parents[1] / "fixtures" / "corpus_32b94c0.tar.xz"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a corpus with media, a snapshot and its cache; tests copy it."""
    root = tmp_path_factory.mktemp("rest")
    with small_corpus(root) as corpus:
        frozen(corpus)
    return root / "corpus"


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "corpus"))


@contextmanager
def flipped(path: Path, bit: int) -> Iterator[None]:
    """The file with one bit changed, for the time of the block."""
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[bit // 8] ^= 1 << bit % 8
    path.write_bytes(changed)
    try:
        yield
    finally:
        path.write_bytes(whole)


def files_of(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if path.is_file())


# What is damaged, and the words of the report that name it.
DAMAGES = {
    "samples": ("data/main/samples/*", "table samples, 6 rows: its SHA-256"),
    "traces": ("data/main/traces/*", "table traces, 6 rows: its SHA-256"),
    "verdicts": ("data/main/verdicts/*", "table verdicts, 6 rows: its SHA-256"),
    "snapshots": ("data/main/snapshots/*", "table snapshots, 1 rows: its SHA-256"),
    "snapshot-rows": ("data/main/snapshot_rows/*", "table snapshot_rows, 6 rows: its SHA-256"),
    "run-events": ("data/main/run_events/*", "table run_events, 1 rows: its SHA-256"),
    "medium": ("media/??/*", ""),
    "frozen-rows": ("snapshots/*/*.parquet", "6 rows of small@1: its SHA-256"),
    "manifest": ("snapshots/*/manifest.json", "it is not the manifest in the catalog"),
    "recipe": ("snapshots/*/recipe.yaml", "it is not the recipe in the catalog"),
}


@pytest.mark.parametrize(("pattern", "words"), DAMAGES.values(), ids=DAMAGES)
def test_one_flipped_bit_is_named(folder: Path, pattern: str, words: str) -> None:
    path = files_of(folder, pattern)[0]
    with Corpus.open(folder) as corpus:
        with flipped(path, path.stat().st_size * 4):
            found = check_integrity(corpus)
            [damage] = found.damages
            assert (damage.path, words in damage.detail) == (str(path.relative_to(folder)), True)
            if pattern.startswith(("media", "snapshots")):
                assert found.snapshots["small@1"] != []
        found = check_integrity(corpus)
        assert (found.damages, found.snapshots, found.newly_recorded) == ([], {"small@1": []}, 0)


@pytest.mark.parametrize("pattern", ["data/main/traces/*", "snapshots/*/*.parquet"])
@pytest.mark.parametrize("act", ["truncated", "emptied", "removed", "swapped"])
def test_a_file_that_is_cut_gone_or_another_is_named(folder: Path, pattern: str, act: str) -> None:
    path = files_of(folder, pattern)[0]
    acts: dict[str, Callable[[], object]] = {
        "truncated": lambda: path.write_bytes(path.read_bytes()[:-1]),
        "emptied": lambda: path.write_bytes(b""),
        "removed": path.unlink,
        "swapped": lambda: shutil.copy(files_of(folder, "data/main/samples/*")[0], path),
    }
    acts[act]()
    with Corpus.open(folder) as corpus:
        assert [damage.path for damage in check_integrity(corpus).damages] == [str(path.relative_to(folder))]


def test_the_command_names_the_damage_and_exits_with_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["check", "--corpus", str(folder)]
    path = files_of(folder, "data/main/traces/*")[0]
    with flipped(path, 900):
        assert main(command) == 1
        out = capsys.readouterr()
        assert path.name in out.out
        assert "snapshot small@1: damaged: the tables --at small@1 read data/main/traces/" in out.err
        assert "gold answers were not checked" in out.err
    main(command)  # the made samples earn no full marks
    out = capsys.readouterr()
    assert "snapshot small@1: whole" in out.err
    assert "lake file" not in out.out


def test_a_frozen_snapshot_is_read_when_the_lakes_table_of_them_is_damaged(folder: Path) -> None:
    with Corpus.open(folder) as corpus, flipped(files_of(folder, "data/main/snapshots/*")[0], 400):
        assert list(check_integrity(corpus).snapshots) == ["small@1"]


def test_every_commit_records_its_files_before_it_is_one(folder: Path) -> None:
    with Corpus.open(folder) as corpus:

        def roll_back() -> None:
            with corpus.transaction("broken") as tx:
                tx.append("traces", [trace({"sample_id": "a", "answer": "b"}, 1)])
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            roll_back()
        corpus.append("traces", [trace({"sample_id": "c", "answer": "d"}, 1)])
        sums = checksums.load(folder)
        assert {file.path for file in list_lake_files(corpus)} <= sums.keys()
        assert check_integrity(corpus).newly_recorded == 0


def test_deleted_rows_and_compaction_keep_the_records_whole(folder: Path) -> None:
    with Corpus.open(folder) as corpus:
        for i in range(3):
            corpus.append("traces", [trace({"sample_id": f"s{i}", "answer": "d"}, i)])
        with corpus.exclusive_connection() as connection:
            connection.execute("delete from lake.traces where sample_id = (select min(sample_id) from lake.traces)")
        assert any("delete" in file.path for file in list_lake_files(corpus))
        assert check_integrity(corpus).newly_recorded == 0
        compact(corpus, keep_hours=0)
        found = check_integrity(corpus)
        assert (found.damages, found.newly_recorded) == ([], 0)
        assert checksums.load(folder).keys() == checksums.list_data_files(folder)


def test_compaction_never_merges_a_damaged_file(folder: Path) -> None:
    with Corpus.open(folder) as corpus:
        corpus.append("traces", [trace({"sample_id": "s", "answer": "d"}, 1)])
        path = files_of(folder, "data/main/traces/*")[0]
        with flipped(path, 900), pytest.raises(OneThinkerError, match=rf"{path.name} .*6 rows.*nothing was merged"):
            compact(corpus, keep_hours=0)
        compact(corpus, keep_hours=0)
        assert check_integrity(corpus).damages == []


def test_a_corpus_from_before_the_records_gets_them_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(tmp_path, filter="data")
    folder = tmp_path / "corpus"
    with Corpus.open(folder) as corpus:
        first, second = check_integrity(corpus), check_integrity(corpus)
        assert (first.damages, first.snapshots) == ([], {"demo@1": []})
        assert first.newly_recorded == len(list_lake_files(corpus)) > 0
        assert second.newly_recorded == 0
        path = files_of(folder, "data/main/samples/*")[0]
        with flipped(path, 900):
            assert [damage.path for damage in check_integrity(corpus).damages] == [str(path.relative_to(folder))]


# What a crash or a flipped bit leaves in the record itself.
RECORDS: dict[str, Callable[[str], str]] = {
    "a-torn-last-line": lambda text: text + "0123456789abcdef",
    "no-end-of-line": lambda text: text[:-1],
    "an-empty-file": lambda text: "",
    "binary": lambda text: "\0\0\0\n" + text,
    "blank-lines": lambda text: "\n\n" + text,
    "twice": lambda text: text + text,
    "a-file-that-is-gone": lambda text: text + "0" * 64 + "  data/main/traces/gone.parquet\n",
    "a-path-outside": lambda text: text + "0" * 64 + "  ../../etc/passwd\n",
}


@pytest.mark.parametrize("change", RECORDS.values(), ids=RECORDS)
def test_a_broken_record_stops_nothing(folder: Path, change: Callable[[str], str]) -> None:
    record = folder / checksums.SUMS_FILE
    record.write_text(change(record.read_text()))
    with Corpus.open(folder) as corpus:
        corpus.append("traces", [trace({"sample_id": "c", "answer": "d"}, 1)])
        assert check_integrity(corpus).damages == []
        assert check_integrity(corpus).newly_recorded == 0


def test_a_wrong_line_of_the_record_is_reported(folder: Path) -> None:
    record = folder / checksums.SUMS_FILE
    with Corpus.open(folder) as corpus, flipped(record, 8 * 3):
        assert len(check_integrity(corpus).damages) + check_integrity(corpus).newly_recorded == 1


def test_compact_says_why_the_folder_grew(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Corpus.open(folder) as corpus:
        corpus.append("traces", [trace({"sample_id": "c", "answer": "d"}, 1)])
    assert main(["compact", "--corpus", str(folder)]) == 0
    assert "merged files were written, and the old ones stay for the snapshots and readers" in capsys.readouterr().out


def test_check_with_a_slice_reads_no_other_file(folder: Path) -> None:
    with Corpus.open(folder) as corpus:
        assert check_corpus(corpus, where="false").stored is None


@pytest.mark.slow
def test_a_thousand_flipped_bits_are_found_or_change_no_value_read(folder: Path) -> None:
    """Single bits at random places (a fixed seed), a quarter of them in each kind of file."""
    rng = random.Random(SEED)
    with Corpus.open(folder) as corpus:
        corpus.append("traces", [trace({"sample_id": f"s{i}", "answer": "d"}, i) for i in range(500)])
        sums = checksums.load(folder)
        [snapshot] = corpus.snapshots.list()
        lake = {folder / file.path: file for file in list_lake_files(corpus)}
        snapshot.write_cache()
        whole = _cached_rows(snapshot.cache_file)
        checks: dict[str, tuple[list[Path], Callable[[Path], str | None]]] = {
            "lake": (list(lake), lambda path: lake_file_damage(folder, lake[path], sums[lake[path].path])),
            "media": (files_of(folder, "media/??/*"), medium_damage),
            "snapshot": (files_of(folder, "snapshots/*/*"), lambda path: snapshot_file_damage(snapshot, path)),
            "cache": ([snapshot.cache_file], lambda path: cache_damage(snapshot)),
        }
        outcomes: Counter[tuple[str, str]] = Counter()
        for i in range(FLIPS):
            kind = list(checks)[i % len(checks)]
            paths, damage_of = checks[kind]
            path = rng.choices(paths, [p.stat().st_size for p in paths])[0]
            with flipped(path, rng.randrange(path.stat().st_size * 8)):
                found = damage_of(path) is not None
                harmless = not found and kind == "cache" and _cached_rows(path).equals(whole)
            outcomes[kind, "found" if found else "no effect" if harmless else "silent"] += 1
        print(dict(outcomes))
        assert not [count for (_, outcome), count in outcomes.items() if outcome == "silent"]
        assert sum(count for (_, outcome), count in outcomes.items() if outcome == "found") >= 0.9 * FLIPS
        assert check_integrity(corpus).damages == []


def _cached_rows(path: Path) -> pa.Table:
    with pa.ipc.open_stream(path.read_bytes()) as stream:
        return stream.read_all()
