"""Claims: processes on one slice buy each trace once, whatever database the catalog is in."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from corpus import Corpus
from tests.annotators.conftest import KEY
from tests.annotators.making import questions
from tests.annotators.serving import Provider
from tests.postgres import server

SAMPLES = 1200


def start(root: Path, provider: Provider, key: str = KEY) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "onethinker.cli", "annotate", "--teacher", "openai:m", "--corpus", str(root)]
    env = os.environ | {"OPENAI_API_KEY": key, "OPENAI_BASE_URL": provider.openai_url}
    return subprocess.Popen([*command, "--concurrency", "16"], env=env, stdout=subprocess.DEVNULL)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("catalog", ["sqlite", "postgres"])
def test_two_processes_on_a_slice_buy_each_trace_once_also_when_one_is_killed(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch, catalog: str
) -> None:
    root = tmp_path / "corpus"
    provider.delay_s, provider.keep_bodies = 0.05, False
    if catalog == "sqlite":
        questions(root, SAMPLES).close()
        work(root, provider)
        return
    with server() as database:
        questions(root, SAMPLES, catalog=f"postgres:{database}").close()
        work(root, provider)


def work(root: Path, provider: Provider) -> None:
    provider.clients = {"sk-first", "sk-second"}  # nothing is answered before both have asked
    first, second = start(root, provider, "sk-first"), start(root, provider, "sk-second")
    assert (first.wait(), second.wait()) == (0, 0)
    with Corpus.open(root) as corpus:
        runs = corpus.sql("select count(distinct run_id), count(*), count(distinct sample_id) from traces").fetchone()
        assert runs == (2, SAMPLES, SAMPLES), "both worked, and each sample has one trace"
        assert set(provider.answered.values()) == {1}
        corpus.append("samples", [dict(row, sample_id=row["sample_id"][::-1], run_id=None) for row in samples(corpus)])
    asked = len(provider.asked)
    killed, other = start(root, provider), start(root, provider)
    while len(provider.asked) < asked + 100:
        assert killed.poll() is None
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert other.wait() == 0
    last = start(root, provider)  # what the killed one had claimed is free again
    assert last.wait() == 0
    with Corpus.open(root) as corpus:
        assert corpus.sql("select count(*), count(distinct sample_id) from traces").fetchone() == (
            2 * SAMPLES,
            2 * SAMPLES,
        )
    assert sum(n - 1 for n in provider.answered.values()) <= 16, "but for what was in flight at the kill"


def samples(corpus: Corpus) -> list[dict[str, object]]:
    return corpus.sql("from samples").to_arrow_table().to_pylist()
