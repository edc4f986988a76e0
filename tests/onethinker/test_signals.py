"""SIGTERM ends a command as Ctrl-C does: with its own exit code, no traceback, and its run recorded as interrupted."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from annotators import annotate
from corpus import Corpus
from onethinker.demo.teacher import serve
from tests.annotators.making import sample

ROOT = Path(__file__).resolve().parents[2]

# `stats`, replaced by a command that is in the middle of its work when it says so.
SCRIPT = """
import sys, threading
from corpus import Corpus
from onethinker.cli import main
from onethinker.commands import stats as module

def stats(*, corpus: str) -> None:
    with Corpus.open(corpus) as opened, opened.run("verify", {}):
        print("ready", flush=True)
        WORK

module.stats = stats
sys.exit(main(["stats", "--corpus", sys.argv[1]]))
"""
WORK = {
    "python": "threading.Event().wait()",
    "duckdb": "opened.sql('select sum(a.range * b.range) from range(10_000_000) a, range(10_000_000) b').fetchall()",
}


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("work", WORK)
def test_a_signal_ends_the_command_and_its_run(work: str, stop: signal.Signals, tmp_path: Path) -> None:
    Corpus.create(tmp_path / "corpus").close()
    command = [sys.executable, "-c", SCRIPT.replace("WORK", WORK[work]), str(tmp_path / "corpus")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(stop)
        _, errors = process.communicate()
    assert process.returncode == 130
    assert "the same command continues" in errors
    assert "Traceback" not in errors
    with Corpus.open(tmp_path / "corpus") as corpus:
        assert corpus.sql("select status from runs").fetchall() == [("interrupted",)]


def test_annotate_leaves_the_signal_handlers_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def handler(*_: object) -> None: ...

    before = signal.signal(signal.SIGTERM, handler)
    try:
        with serve(error_rate=0.0) as server, Corpus.create(tmp_path / "corpus") as corpus:
            monkeypatch.setenv("ONETHINKER_TEACHER_URL", server.openai_base_url)
            corpus.append("samples", [sample(0, [])])
            assert annotate(corpus, teacher="local:pixels-1").traces == 1
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)
