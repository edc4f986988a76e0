"""The demo: the whole pipeline on one command, and what remains of it when it is killed and run again."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from corpus import Corpus, discovery
from onethinker.demo.teacher import serve

ROOT = Path(__file__).resolve().parents[2]
FAMILIES = 10
STATE = """
    select t.trace_id, t.sample_id, t.response, t.flag, v.reward, v.reason, r.position, d.reason
    from traces t left join latest_verdicts v using (trace_id) left join snapshot_rows r using (trace_id)
         left join snapshot_drops d on d.trace_id = t.trace_id
    order by t.trace_id"""

# The command line, killed with its worker processes right after its n-th commit.
KILLED = """
import os, signal, sys
from contextlib import contextmanager
from corpus.store import Corpus
from onethinker.cli import main

left, transaction = int(sys.argv.pop(1)), Corpus.transaction

@contextmanager
def counted(*args, **kwargs):
    global left
    with transaction(*args, **kwargs) as opened:
        yield opened
    left -= 1
    if not left:
        os.killpg(0, signal.SIGKILL)

Corpus.transaction = counted
sys.exit(main())
"""


def demo(out: Path, per_family: int, *python: str) -> subprocess.CompletedProcess[str]:
    """Run `onethinker demo` in a process group of its own."""
    command = [sys.executable, *(python or ("-m", "onethinker.cli")), "demo", "--out", str(out)]
    return subprocess.run(
        [*command, "--per-family", str(per_family)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        start_new_session=True,
        check=False,
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder and the output of a demo with one question for each task family."""
    out = tmp_path_factory.mktemp("demo") / "demo"
    done = demo(out, 1)
    assert done.returncode == 0, done.stdout
    return out, done.stdout


@pytest.mark.xdist_group("demo")
def test_the_demo_leaves_a_checked_snapshot_and_a_page(small: tuple[Path, str]) -> None:
    out, printed = small
    with Corpus.open(out / "corpus") as corpus:
        snapshot = corpus.snapshots.get("demo@1")
        assert snapshot.damage() == []
        assert f"demo@1: {snapshot.rows} rows over {len(snapshot.counts)} task families" in printed
        assert len(snapshot.dataset()) == snapshot.rows
        assert corpus.sql("select count(distinct task) from samples").fetchall() == [(FAMILIES,)]
        # Each trace is either kept, or dropped with a reason.
        assert corpus.sql(
            """select count(*) from traces where (trace_id in (select trace_id from snapshot_rows))::int
               + (trace_id in (select trace_id from snapshot_drops where reason is not null))::int <> 1"""
        ).fetchall() == [(0,)]
        assert corpus.sql("select distinct status from runs").fetchall() == [("done",)]
        traced = "select count(*) from provenance where file is not null and teacher like 'local:%'"
        assert corpus.sql(traced).fetchall()[0][0] >= FAMILIES
    page = (out / "index.html").read_text()
    assert page.count("data:image/jpeg;base64,") >= FAMILIES
    outside = re.findall(r'(?:src|href)="(?!data:)[^"]*"|url\((?!data:)', page)
    assert outside == [], "the page is not self-contained"


@pytest.mark.slow
@pytest.mark.xdist_group("demo")
def test_run_again_it_writes_nothing_twice(small: tuple[Path, str]) -> None:
    out, _ = small
    with Corpus.open(out / "corpus") as corpus:
        before = corpus.sql(STATE).fetchall()
    done = demo(out, 1)
    assert done.returncode == 0, done.stdout
    with Corpus.open(out / "corpus") as corpus:
        assert corpus.sql(STATE).fetchall() == before
        assert [s.ref for s in corpus.snapshots.list()] == ["demo@1"]


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a demo with three questions for each task family."""
    out = tmp_path_factory.mktemp("demo") / "demo"
    done = demo(out, 3)
    assert done.returncode == 0, done.stdout
    return out


@pytest.mark.slow
@pytest.mark.xdist_group("demo")
def test_all_ten_families_are_kept_and_what_is_wrong_is_dropped(larger: Path) -> None:
    with Corpus.open(larger / "corpus") as corpus:
        assert len(corpus.snapshots.get("demo@1").counts) == FAMILIES
    page = (larger / "index.html").read_text()
    assert page.count("data:image/jpeg;base64,") >= 2 * FAMILIES
    assert "accuracy_below_min" in page


@pytest.mark.slow
@pytest.mark.xdist_group("demo")
def test_killed_again_and_again_it_ends_as_if_undisturbed(larger: Path, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    for commits in (1, 3, 6):
        assert demo(out, 3, "-c", KILLED, str(commits)).returncode == -signal.SIGKILL
    done = demo(out, 3)
    assert done.returncode == 0, done.stdout
    with Corpus.open(larger / "corpus") as expected, Corpus.open(out / "corpus") as found:
        assert found.sql(STATE).fetchall() == expected.sql(STATE).fetchall()
        assert found.snapshots.get("demo@1").fingerprint == expected.snapshots.get("demo@1").fingerprint
        assert set(found.sql("select distinct status from runs").fetchall()) == {("done",), ("crashed",)}


# What their examples need is more than the demo leaves: a model to download, an hour, a terminal.
NOT_RUN = {"demo", "init", "reproduce", "teacher", "train"}
FIRST_AND_LAST = (["publish", "pull", "score"], ["snapshots", "compact"])


def examples() -> list[str]:
    """The example of every command's help, in an order in which they can run on one demo."""
    found: dict[str, list[str]] = {}
    for name in discovery.names("onethinker.commands"):
        text = (ROOT / "onethinker" / "commands" / f"{name}.py").read_text()
        found[name] = re.findall(r"^    Example: `(.*)`$", text, re.MULTILINE)
        assert found[name], name
    first, last = FIRST_AND_LAST
    middle = [name for name in found if name not in (*first, *last)]
    return [line for name in [*first, *middle, *last] if name not in NOT_RUN for line in found[name]]


@pytest.mark.slow
@pytest.mark.xdist_group("demo")
def test_every_example_in_the_help_runs_on_a_demo(tmp_path: Path) -> None:
    assert demo(tmp_path / "demo", 1).returncode == 0
    command = shlex.join([sys.executable, "-m", "onethinker.cli"])
    with serve() as server:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "ONETHINKER_TEACHER_URL": server.openai_base_url}
        for line in examples():
            done = subprocess.run(
                ["bash", "-c", f'onethinker() {{ {command} "$@"; }}\n{line}'],
                cwd=tmp_path, env=env, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, (line, done.stdout, done.stderr)
