"""The pool: order, limits, lost workers, and the cost of a bad row."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from filters.pool import Pool, _decode


def act(table: pa.Table) -> pa.Table:
    """Does what each row says; runs in a worker."""
    out = []
    for word in table["word"].to_pylist():
        match word:
            case "spin":
                10 ** (10**9)  # inside C for hours: no Python-level alarm could end it
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "exit":
                os._exit(3)
            case "hoard":
                bytearray(64 << 30)
            case "recurse":
                act(table)
            case "bug":
                raise TypeError("a bug of ours")
        out.append((word or "").upper())
    return pa.table({"said": pa.array(out, pa.string()), "reason": pa.nulls(len(out), pa.string())})


def two_rows(table: pa.Table) -> pa.Table:
    """Gives two rows whatever it gets."""
    return pa.table({"said": ["a", "b"]})


def lost(reason: str) -> dict[str, str | None]:
    return {"said": None, "reason": reason}


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    pool = Pool(2)
    yield pool
    pool.close()


def words(*said: str, **columns: list[str]) -> pa.Table:
    return pa.table({"word": pa.array(said, pa.string()), **columns})


def test_rows_come_back_in_order_however_they_are_grouped(pool: Pool) -> None:
    tables = [
        pa.table({"word": [f"{t}-{i}" for i in range(500)], "kind": [str(i % 7) for i in range(500)]}) for t in range(5)
    ]
    out = list(pool.map(act, iter(tables), lost, by="kind"))
    assert [t["said"].to_pylist() for t in out] == [t["word"].to_pylist() for t in tables]


def test_an_empty_table_gives_an_empty_table(pool: Pool) -> None:
    (out,) = pool.map(act, [words()], lost)
    assert out.num_rows == 0
    assert out.column_names == ["said", "reason"]


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("spin", "timeout"),
        ("die", "worker_died"),
        ("exit", "worker_died"),
        ("hoard", "out_of_memory"),
        ("recurse", "nested_too_deep"),
    ],
)
def test_a_bad_row_costs_itself_and_under_five_seconds(
    pool: Pool, word: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float] = []
    submit = pool.submit

    def record(*work: Any) -> Any:
        _, _, _, payload, cpu_s = work
        if word in _decode(payload)["word"].to_pylist():
            limits.append(cpu_s)
        return submit(*work)

    monkeypatch.setattr(pool, "submit", record)
    (out,) = pool.map(act, [words("a", "b", word, "c")], lost)
    assert len(limits) == 2, "with its unit, then alone"
    assert sum(limits) < 5, "processor seconds that the row may use"
    assert out["reason"].to_pylist() == [None, None, reason, None]
    assert out["said"].to_pylist() == ["A", "B", None, "C"]


def test_a_bad_row_alone_is_not_tried_twice(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []
    submit = pool.submit
    monkeypatch.setattr(pool, "submit", lambda *work: tries.append(work) or submit(*work))
    (out,) = pool.map(act, [words("spin")], lost)
    assert out["reason"].to_pylist() == ["timeout"]
    assert len(tries) == 1


def test_a_bug_of_ours_stops_the_run(pool: Pool) -> None:
    with pytest.raises(TypeError, match="a bug of ours"):
        list(pool.map(act, [words("a", "bug")], lost))


def test_work_that_loses_rows_is_refused(pool: Pool) -> None:
    with pytest.raises(ValueError, match=r"two_rows gave 2 rows for 3"):
        list(pool.map(two_rows, [words("a", "b", "c")], lost))


def test_a_worker_killed_while_idle_is_replaced(pool: Pool) -> None:
    list(pool.map(act, [words("a")], lost))
    workers = list(pool._pebble._pool_manager.worker_manager.workers)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    _wait_for_the_end_of(workers)
    (out,) = pool.map(act, [words("a", "b")], lost)
    assert out["said"].to_pylist() == ["A", "B"]


def test_a_script_without_a_main_guard_may_use_the_pool(tmp_path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "print('once')\nimport pyarrow as pa\nfrom filters.pool import get_pool\n"
        "import pyarrow.compute as pc\n"
        "t = pa.table({'word': ['a', 'b']})\n"
        "print(*[x['word'].to_pylist() for x in get_pool(2).map(pa.Table.combine_chunks, [t], dict)])\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "once\n['a', 'b']\n"), done.stderr


def test_workers_end_when_their_parent_is_killed(tmp_path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import pyarrow as pa, time\nfrom filters.pool import Pool\npool = Pool(2)\n"
        "list(pool.map(pa.Table.combine_chunks, [pa.table({'word': ['a']})], dict))\n"
        "print(*pool._pebble._pool_manager.worker_manager.workers, flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(workers) == 2
        parent.kill()
    _wait_for_the_end_of(workers)


def _wait_for_the_end_of(workers: list[int]) -> None:
    deadline = time.monotonic() + 120
    while any(_runs(pid) for pid in workers):
        assert time.monotonic() < deadline, "workers are still there"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
