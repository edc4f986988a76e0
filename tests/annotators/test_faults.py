"""Nothing bought twice, nothing bought and lost: against a provider that fails in every way, and under kill -9."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from annotators import annotate, engine
from annotators.journal import read_leftovers
from annotators.trace_writer import journal_folder
from corpus import Corpus
from tests.annotators.conftest import KEY, point_at
from tests.annotators.making import questions
from tests.annotators.serving import FAULTS, Provider

EVERY_FAULT = dict.fromkeys(FAULTS, 0.1)
# `make faults` runs these at the size that a release is judged by: 2,000 samples, 20 kills.
SAMPLES = int(os.environ.get("ONETHINKER_FAULT_SAMPLES", "120"))
KILLS = int(os.environ.get("ONETHINKER_FAULT_KILLS", "6"))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("teacher", ["openai:m", "anthropic:m"])
def test_each_sample_ends_with_one_trace_or_a_named_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, teacher: str
) -> None:
    monkeypatch.setattr(engine, "LONGEST_WAIT_S", 1.0)  # the unlucky few would back off for minutes
    corpus = questions(tmp_path / "corpus", SAMPLES, "tiv")
    with Provider(faults=EVERY_FAULT, keep_bodies=False) as provider:
        point_at(provider, monkeypatch)
        report = annotate(corpus, teacher=teacher, timeout_s=5.0, tries=8, address="here")
    assert set(provider.failed) == set(FAULTS), "every kind of fault was met"
    lake = {key for (key,) in corpus.sql("select trace_id from traces").fetchall()}
    assert len(lake) == report.traces == corpus.sql("select count(distinct sample_id) from traces").fetchone()[0]
    # The provider's ledger of whole answers is the lake's.
    assert set(provider.answered) == lake
    assert set(provider.answered.values()) == {1}
    named = corpus.sql("select raw->>'trace_id', reason from rejects where reader = 'annotate'").fetchall()
    assert {key for key, _ in named} & lake == set()
    assert len(named) == report.rejected
    assert report.traces + report.rejected == SAMPLES
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
        for _, rows in read_leftovers(journal_folder(corpus)):
            lake |= {row["trace_id"] for table, row in rows if table == "traces"}
    return lake


def quiet(provider: Provider) -> int:
    """How many requests have come once the last of a killed run is answered: it may have sent some as it died."""
    still = 0
    while still < 5:
        before = len(provider.asked)
        time.sleep(0.03)
        still = 0 if provider.in_flight or len(provider.asked) > before else still + 1
    return len(provider.asked)


@pytest.mark.timeout(900)
def test_kills_lose_nothing_and_buy_only_what_was_in_flight_again(tmp_path: Path) -> None:
    root, concurrency, kills = tmp_path / "corpus", 16, KILLS
    questions(root, 300 * kills, "tttti").close()
    rng = random.Random(4)
    command = [sys.executable, "-m", "onethinker.cli", "annotate", "--teacher", "openai:m", "--corpus", str(root)]
    runs: list[Counter[str]] = []  # what each run asked, by the provider's ledger
    disks: list[set[str]] = []  # what was on disk after each kill
    with Provider(delay_s=0.05, keep_bodies=False) as provider:
        env = os.environ | {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": provider.openai_url}
        seen = 0
        for _ in range(kills * 3):
            run = subprocess.Popen([*command, "--concurrency", str(concurrency)], env=env, stderr=subprocess.DEVNULL)
            while len(provider.asked) == seen and run.poll() is None:
                time.sleep(0.01)
            time.sleep(rng.uniform(0.0, 0.6))
            if run.poll() is not None:
                break
            run.send_signal(signal.SIGKILL)
            run.wait()
            until = quiet(provider)
            runs.append(Counter(key for _, key in provider.asked[seen:until]))
            disks.append(on_disk(root))
            seen = until
            if len(runs) == kills:
                break
        assert len(runs) == kills, "the slice was too small for the kills"
        subprocess.run([*command, "--concurrency", "64"], env=env, check=True, capture_output=True)
        runs.append(Counter(key for _, key in provider.asked[seen:]))
    with Corpus.open(root) as corpus:
        lake = {key for (key,) in corpus.sql("select trace_id from traces").fetchall()}
        assert corpus.sql("select count(*), count(distinct sample_id) from traces").fetchone() == (
            300 * kills,
            300 * kills,
        )
        statuses = dict(corpus.sql("select status, count(*) from runs where kind = 'annotate' group by 1").fetchall())
    assert set(provider.answered) == lake, "nothing that was answered is lost"
    in_flight: list[set[str]] = []  # asked by a run, and not on disk when it was killed
    for run_asked, disk in zip(runs, [*disks, lake], strict=True):
        assert set(run_asked.values()) == {1}, "no run asks for anything twice"
        in_flight.append(run_asked.keys() - disk)
    assert all(len(keys) <= concurrency for keys in in_flight)
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


def test_ctrl_c_keeps_what_arrived_and_the_next_run_goes_on(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    questions(root, 1500).close()
    command = [sys.executable, "-m", "onethinker.cli", "annotate", "--teacher", "anthropic:m", "--corpus", str(root)]
    with Provider(delay_s=0.1, keep_bodies=False) as provider:
        env = os.environ | {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": provider.anthropic_url}
        run = subprocess.Popen([*command, "--concurrency", "16"], env=env, stderr=subprocess.PIPE, text=True)
        while len(provider.answered) < 50:
            time.sleep(0.02)
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=60)
        assert run.returncode == 130
        assert "stopping: waiting for the answers under way" in said
        assert "Traceback" not in said
        with Corpus.open(root) as corpus:
            lake = {key for (key,) in corpus.sql("select trace_id from traces").fetchall()}
            assert corpus.sql("select status from runs where kind = 'annotate'").fetchall() == [("interrupted",)]
        assert lake == set(provider.answered), "answers under way were waited for and kept"
        subprocess.run(command, env=env, check=True, capture_output=True)
    assert len(provider.answered) == 1500
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

        def telltale(body: dict[str, object]) -> object:
            if len(provider.asked) % 3 == 0:
                return web.json_response({"error": {"message": f"bad key {KEY}"}}, status=400)
            return {"text": f"<think>Your key is {KEY}</think><answer>A</answer>"}

        provider.say = telltale  # type: ignore[assignment]
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
