"""The journal: what was added is on disk, and a later run finds it, whatever happened to this one."""

import errno
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from annotators.journal import Journal, read_leftovers


def die(journal: Journal) -> None:
    """Let go of the lock as the operating system does for a killed process."""
    journal._lock.release()


def test_rows_of_a_dead_run_come_back_as_they_were(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "run")
    journal.add("traces", {"trace_id": "a", "cost_usd": Decimal("0.000000012345"), "response": "é\n"})
    assert list(read_leftovers(tmp_path)) == [], "a run that is alive keeps its journal to itself"
    die(journal)
    [(path, rows, _)] = read_leftovers(tmp_path)
    assert rows == [("traces", {"trace_id": "a", "cost_usd": Decimal("0.000000012345"), "response": "é\n"})]
    path.unlink()
    assert list(read_leftovers(tmp_path)) == []
    assert list(tmp_path.iterdir()) == [], "an emptied journal is cleared away"


@pytest.mark.parametrize(
    "torn", [b'["traces", {"trace', b'["traces", {"trace_id": "b"}]', b"\0\0\0\n"], ids=["half", "no newline", "zeros"]
)
def test_a_torn_last_line_is_left_out(tmp_path: Path, torn: bytes) -> None:
    journal = Journal(tmp_path, "run")
    journal.add("traces", {"trace_id": "a"})
    os.write(journal._file, torn)
    die(journal)
    [(_, rows, _)] = read_leftovers(tmp_path)
    assert [row["trace_id"] for _, row in rows] == ["a"]


def test_a_turned_file_holds_the_rows_until_then(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "run")
    journal.add("traces", {"trace_id": "a"})
    first = journal.turn()
    journal.add("traces", {"trace_id": "b"})
    journal.sync()
    assert first.read_bytes().count(b"\n") == 1
    first.unlink()
    journal.close()
    [(_, rows, _)] = read_leftovers(tmp_path)
    assert [row["trace_id"] for _, row in rows] == ["b"], "what was not committed is left for the next run"


def test_a_journal_with_nothing_left_leaves_nothing(tmp_path: Path) -> None:
    Journal(tmp_path, "run").close()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_uses_the_reserve_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path, "run")
    write, reserve = os.write, tmp_path / "run" / "reserve"

    def full(file: int, data: Any) -> int:
        if reserve.exists():
            write(file, data[:3])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(os, "write", full)
    journal.add("traces", {"trace_id": "a"})
    assert journal.full
    monkeypatch.undo()
    die(journal)
    [(_, rows, _)] = read_leftovers(tmp_path)
    assert rows == [("traces", {"trace_id": "a"})], "no half line is left before the whole one"


def test_a_disk_with_no_room_even_for_the_reserve_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path, "run")

    def full(file: int, data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        journal.add("traces", {"trace_id": "a"})
