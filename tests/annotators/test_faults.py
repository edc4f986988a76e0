"""Nothing bought twice, nothing bought and lost: against a provider that fails in every way, and under kill -9."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from annotators import annotate, workers
from annotators.http import SdkClient
from annotators.journal import read_leftovers
from annotators.trace_writer import journal_folder
from corpus import Corpus
from tests.annotators.conftest import KEY, point_at
from tests.annotators.making import questions
from tests.annotators.serving import FAULTS, Provider

EVERY_FAULT = dict.fromkeys(FAULTS, 0.1)
OVERLOAD = ("rate_limited", "overloaded")
TRIES = 8
# `make faults` runs these at the size that a release is judged by: 2,000 samples, 20 kills.
SAMPLES = int(os.environ.get("ONETHINKER_FAULT_SAMPLES", "120"))
KILLS = int(os.environ.get("ONETHINKER_FAULT_KILLS", "6"))
CONCURRENCY = 16
PER_KILL = 300  # samples of the slice for each kill: more than a run is asked to answer before it is killed


@pytest.fixture
def hangs_end_at_once(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """For `Provider.on_hang`: the client's time limit for a request that hangs is over, and for no other."""
    limits: dict[str, tuple[asyncio.AbstractEventLoop, asyncio.Timeout]] = {}

    def time_limit(self: SdkClient, key: str) -> asyncio.Timeout:
        limit = asyncio.timeout(self.timeout_s)
        limits[key] = asyncio.get_running_loop(), limit
        return limit

    def end(key: str) -> None:
        loop, limit = limits[key]
        loop.call_soon_threadsafe(lambda: limit.reschedule(loop.time()))

    monkeypatch.setattr(SdkClient, "time_limit", time_limit)
    return end


def is_answered(provider: Provider, key: str) -> bool:
    """Whether the provider's script answers a key before as many faults as a request has tries."""
    faults = number = 0
    while fault := provider.fault(key, number := number + 1):
        faults += fault not in OVERLOAD
        if faults == TRIES:
            return False
    return True


@pytest.mark.parametrize("samples", [60, pytest.param(SAMPLES, marks=pytest.mark.slow)])
@pytest.mark.parametrize("teacher", ["openai:m", "anthropic:m"])
def test_each_sample_ends_with_one_trace_or_a_named_reason(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hangs_end_at_once: Callable[[str], None],
    teacher: str,
    samples: int,
) -> None:
    monkeypatch.setattr(workers, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(workers, "LONGEST_WAIT_S", 0.1)
    corpus = questions(tmp_path / "corpus", samples, "tiv")
    with Provider(faults=EVERY_FAULT, retry_after="0.05", keep_bodies=False, on_hang=hangs_end_at_once) as provider:
        point_at(provider, monkeypatch)
        report = annotate(corpus, teacher=teacher, tries=TRIES, address="here")
    assert set(provider.failed) == set(FAULTS), "every kind of fault was met"
    lake = {key for (key,) in corpus.sql("select trace_id from traces").fetchall()}
    assert lake == {key for key in provider.tries if is_answered(provider, key)}
    assert len(lake) == report.traces == corpus.sql("select count(distinct sample_id) from traces").fetchone()[0]
    # The provider's whole answers are the lake's traces.
    assert provider.answered == Counter(lake)
    named = corpus.sql("select raw->>'trace_id', reason from rejects where reader = 'annotate'").fetchall()
    assert {key for key, _ in named} & lake == set()
    assert len(named) == report.rejected
    assert report.traces + report.rejected == samples
    assert {reason for _, reason in named} <= {"server_error", "connection", "timeout", "broken_body"}
    assert list(journal_folder(corpus).iterdir()) == []
    # What was given up is asked for again by the same command.
    if named:
        with Provider() as provider:
            point_at(provider, monkeypatch)
            again = annotate(corpus, teacher=teacher, address="here")
        assert again.traces == report.rejected


def on_disk(root: Path) -> set[str]:
    """The traces that a killed run left in the lake and in its journals."""
    with Corpus.open(root) as corpus:
        lake = {key for (key,) in corpus.sql("select trace_id from traces").fetchall()}
        for _, rows, _ in read_leftovers(journal_folder(corpus)):
            lake |= {row["trace_id"] for table, row in rows if table == "traces"}
    return lake


def kill_schedule(kills: int) -> list[int]:
    """After how many answers each run is killed; 0 for the moment at which it begins to commit."""
    rng = random.Random(4)
    return [0 if number % 3 == 2 else rng.randint(1, PER_KILL // 2) for number in range(kills)]


def run_until_killed(command: list[str], env: dict[str, str], root: Path, provider: Provider, answers: int) -> None:
    """Start a run and kill it after so many answers, or, for 0, as it begins its first commit."""
    before = provider.answered.total()
    run = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)

    def is_due() -> bool:
        if answers:
            return provider.answered.total() >= before + answers
        return any(root.glob("journal/*/000002.jsonl"))

    while not is_due():
        assert run.poll() is None, "the slice was too small for the kills"
        time.sleep(0.002)
    run.send_signal(signal.SIGKILL)
    run.wait()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kills", [1, pytest.param(KILLS, marks=pytest.mark.slow)])
def test_kills_lose_nothing_and_buy_only_what_was_in_flight_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int
) -> None:
    root = tmp_path / "corpus"
    samples = sum(PER_KILL if answers else 3 * PER_KILL for answers in kill_schedule(kills))
    questions(root, samples, "tttti").close()
    command = [sys.executable, "-m", "onethinker.cli", "annotate", "--teacher", "openai:m", "--corpus", str(root)]
    command += ["--concurrency", str(CONCURRENCY), "--no-verify"]
    runs: list[Counter[str]] = []  # what each run asked, as the provider saw it
    disks: list[set[str]] = []  # what was on disk after each kill
    with Provider(delay_s=0.05, keep_bodies=False) as provider:
        point_at(provider, monkeypatch)
        seen = 0
        for answers in kill_schedule(kills):
            run_until_killed(command, dict(os.environ), root, provider, answers)
            until = provider.drain()
            runs.append(Counter(key for _, key in provider.asked[seen:until]))
            disks.append(on_disk(root))
            seen = until
        provider.delay_s = 0.0
        with Corpus.open(root) as corpus:
            annotate(corpus, teacher="openai:m")
        runs.append(Counter(key for _, key in provider.asked[seen:]))
    with Corpus.open(root) as corpus:
        lake = {key for (key,) in corpus.sql("select trace_id from traces").fetchall()}
        assert corpus.sql("select count(*), count(distinct sample_id) from traces").fetchone() == (samples, samples)
        statuses = dict(corpus.sql("select status, count(*) from runs where kind = 'annotate' group by 1").fetchall())
    assert set(provider.answered) == lake, "nothing that was answered is lost"
    in_flight: list[set[str]] = []  # asked by a run, and not on disk when it was killed
    for run_asked, disk in zip(runs, [*disks, lake], strict=True):
        assert set(run_asked.values()) == {1}, "no run asks for anything twice"
        in_flight.append(run_asked.keys() - disk)
    assert all(len(keys) <= CONCURRENCY for keys in in_flight)
    assert not in_flight[-1]
    for number, disk in enumerate(disks):
        later = {key for run_asked in runs[number + 1 :] for key in run_asked}
        assert not disk & later, "what is on disk is not asked for again"
    for key, bought in provider.answered.items():
        asked_by = [number for number, run_asked in enumerate(runs) if key in run_asked]
        assert all(key in in_flight[number] for number in asked_by[:-1]), "asked again without having been in flight"
        assert bought <= 1 + sum(key in keys for keys in in_flight), "bought again more often than it was in flight"
    assert statuses == {"crashed": kills, "done": 1}
    assert not list((root / "journal").iterdir())
    again = sum(n - 1 for n in provider.answered.values())
    print(f"{kills} kills, {len(lake):,} traces, {again} bought again, {sum(map(len, in_flight))} were in flight")


@pytest.mark.slow
def test_ctrl_c_keeps_what_arrived_and_the_next_run_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "corpus"
    questions(root, 400).close()
    command = [sys.executable, "-m", "onethinker.cli", "annotate", "--teacher", "anthropic:m", "--corpus", str(root)]
    with Provider(delay_s=0.1, keep_bodies=False) as provider:
        env = os.environ | {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": provider.anthropic_url}
        run = subprocess.Popen([*command, "--concurrency", "16"], env=env, stderr=subprocess.PIPE, text=True)
        while len(provider.answered) < 50:
            assert run.poll() is None
            time.sleep(0.01)
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate()
        assert run.returncode == 130
        assert "stopping: waiting for the answers under way" in errors
        assert "Traceback" not in errors
        with Corpus.open(root) as corpus:
            lake = {key for (key,) in corpus.sql("select trace_id from traces").fetchall()}
            assert corpus.sql("select status from runs where kind = 'annotate'").fetchall() == [("interrupted",)]
        assert lake == set(provider.answered), "answers under way were waited for and kept"
        point_at(provider, monkeypatch)
        with Corpus.open(root) as corpus:
            annotate(corpus, teacher="anthropic:m")
    assert len(provider.answered) == 400
    assert set(provider.answered.values()) == {1}


@pytest.mark.parametrize("teacher", ["openai:m", "anthropic:m"])
def test_the_key_is_in_no_file_that_a_run_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], teacher: str
) -> None:
    """A provider that repeats the key in its errors and its answers, a run that fails, and one that is done."""
    from aiohttp import web

    from corpus import OneThinkerError

    corpus = questions(tmp_path / "corpus", 30, "tiv")
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    with Provider() as provider:
        point_at(provider, monkeypatch)

        def repeat_key(body: dict[str, object]) -> object:
            if len(provider.asked) % 3 == 0:
                return web.json_response({"error": {"message": f"bad key {KEY}"}}, status=400)
            return {"text": f"<think>Your key is {KEY}</think><answer>A</answer>"}

        provider.say = repeat_key  # type: ignore[assignment]
        annotate(corpus, teacher=teacher)
        provider.say = lambda body: web.json_response({"error": {"message": f"key {KEY}"}}, status=401)  # type: ignore
        with pytest.raises(OneThinkerError) as error:
            annotate(corpus, teacher=teacher, n=2)
    assert any(KEY in json.dumps(headers) for headers in provider.headers), "the key was really sent"
    assert KEY not in f"{error.value}{error.value!r}{error.value.__context__!r}"
    corpus.sql("select * from traces").write_parquet(str(tmp_path / "traces.parquet"), compression="uncompressed")
    assert corpus.sql("select count(*) from traces where contains(raw, '[key]')").fetchone()[0] > 0
    tables = ("traces", "rejects", "prompts", "run_events", "claims")
    everything = "".join(str(corpus.sql(f"from {name}").fetchall()) for name in tables)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert KEY not in everything + capfd.readouterr().err
    for path in files:
        assert KEY.encode() not in path.read_bytes(), path
