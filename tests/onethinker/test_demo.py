"""The demo: the main job end to end, and what is left of it when it is killed and run again."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from corpus import Corpus

FAMILIES = 10
STATE = """
    select t.trace_id, t.sample_id, t.response, t.flag, v.reward, v.reason, r.position, d.reason
    from traces t left join latest_verdicts v using (trace_id) left join snapshot_rows r using (trace_id)
         left join snapshot_drops d on d.trace_id = t.trace_id
    order by t.trace_id"""


def start(out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "onethinker.cli", "demo", "--out", str(out), "--per-family", "3"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("demo") / "demo"
    process = start(out)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    return out, said


def test_the_demo_keeps_rows_of_all_ten_families_and_leaves_a_page(undisturbed: tuple[Path, str]) -> None:
    out, said = undisturbed
    with Corpus.open(out / "corpus") as corpus:
        snapshot = corpus.snapshots.get("demo@1")
        assert len(snapshot.counts) == FAMILIES
        assert snapshot.damage() == []
        assert f"demo@1: {snapshot.rows} rows over {FAMILIES} task families" in said
        assert len(snapshot.dataset()) == snapshot.rows
        # Every trace is kept or dropped with a reason, and every sample of the slice is in one of the two.
        assert corpus.sql(
            """select count(*) from traces where (trace_id in (select trace_id from snapshot_rows))::int
               + (trace_id in (select trace_id from snapshot_drops where reason is not null))::int <> 1"""
        ).fetchone() == (0,)
        assert corpus.sql("select distinct status from runs").fetchall() == [("done",)]
        asked = corpus.sql(
            "select count(*) from provenance where file is not null and teacher like 'local:%'"
        ).fetchone()
        assert asked is not None
        assert asked[0] > 3 * FAMILIES
    page = (out / "index.html").read_text()
    assert page.count("data:image/jpeg;base64,") >= 2 * FAMILIES
    assert "accuracy_below_min" in page
    outside = re.findall(r'(?:src|href)="(?!data:)[^"]*"|url\((?!data:)', page)
    assert outside == [], "the page is not self-contained"


def test_run_again_it_writes_nothing_twice(undisturbed: tuple[Path, str]) -> None:
    out, _ = undisturbed
    with Corpus.open(out / "corpus") as corpus:
        before = corpus.sql(STATE).fetchall()
    process = start(out)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    with Corpus.open(out / "corpus") as corpus:
        assert corpus.sql(STATE).fetchall() == before
        assert [s.ref for s in corpus.snapshots.list()] == ["demo@1"]


def test_killed_again_and_again_it_ends_as_if_undisturbed(undisturbed: tuple[Path, str], tmp_path: Path) -> None:
    out = tmp_path / "demo"
    dice = random.Random(7)
    kills = 0
    for _ in range(3):
        process = start(out)
        time.sleep(dice.uniform(2.5, 9.0))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    assert kills >= 1
    process = start(out)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    with Corpus.open(undisturbed[0] / "corpus") as expected, Corpus.open(out / "corpus") as found:
        assert found.sql(STATE).fetchall() == expected.sql(STATE).fetchall()
        assert found.snapshots.get("demo@1").fingerprint == expected.snapshots.get("demo@1").fingerprint
        assert set(found.sql("select distinct status from runs").fetchall()) <= {("done",), ("crashed",)}
