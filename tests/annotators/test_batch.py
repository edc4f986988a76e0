"""The batch APIs: the same traces at half the price, nothing submitted twice, wherever the client is killed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from annotators import annotate
from annotators.providers import anthropic as anthropic_provider
from annotators.providers import openai as openai_provider
from corpus import Corpus, OneThinkerError, UsageError
from tests.annotators.batching import BatchProvider
from tests.annotators.conftest import KEY, point_at
from tests.annotators.making import questions
from tests.annotators.serving import RIGHT

TEACHERS = ["openai:m", "anthropic:m"]


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchProvider]:
    with BatchProvider() as serving:
        point_at(serving, monkeypatch)
        yield serving


def prices(folder: Path) -> Path:
    file = folder / "prices.toml"
    file.write_text('["openai:m"]\ninput = 5\noutput = 100\n["anthropic:m"]\ninput = 5\noutput = 100\n')
    return file


@pytest.mark.parametrize("teacher", TEACHERS)
def test_a_batch_makes_the_same_traces_at_half_the_price(tmp_path: Path, provider: BatchProvider, teacher: str) -> None:
    corpus = questions(tmp_path / "corpus", 9, "tiv")
    given: dict[str, Any] = {"teacher": teacher, "prices": prices(tmp_path)}
    report = annotate(corpus, batch=True, poll_s=0.05, **given)
    assert (report.traces, report.rejected, len(provider.batches)) == (9, 0, 1)
    rows = corpus.sql("select distinct batch_id, response, cost_usd, latency_s, flag, run_id from traces").fetchall()
    assert rows == [("batch-0", RIGHT, Decimal("0.00125"), None, None, report.run_id)]
    assert set(provider.submitted) == {key for (key,) in corpus.sql("select trace_id from traces").fetchall()}
    assert annotate(corpus, **given).message == "nothing is left to ask", "one trace, however it was asked for"
    assert list((tmp_path / "corpus" / "batches").glob("*/")) == []


@pytest.mark.parametrize(("teacher", "module", "of"), [
    ("openai:m", openai_provider, "BatchChatTeacher"), ("anthropic:m", anthropic_provider, "MessagesTeacher"),
])  # fmt: skip
def test_a_slice_is_split_by_the_provider_s_limits(
    tmp_path: Path, provider: BatchProvider, monkeypatch: pytest.MonkeyPatch, teacher: str, module: Any, of: str
) -> None:
    monkeypatch.setattr(getattr(module, of), "batch_max", (4, 10**9))
    annotate(questions(tmp_path / "a", 9), teacher=teacher, batch=True, poll_s=0.05)
    assert sorted(len(batch["requests"]) for batch in provider.batches.values()) == [1, 4, 4]
    provider.batches.clear()
    monkeypatch.setattr(getattr(module, of), "batch_max", (10**9, 2500))
    annotate(questions(tmp_path / "b", 9), teacher=teacher, batch=True, poll_s=0.05)
    assert len(provider.batches) >= 3
    assert sum(len(batch["requests"]) for batch in provider.batches.values()) == 9


@pytest.mark.parametrize("teacher", TEACHERS)
def test_what_expired_or_failed_is_submitted_again_and_what_was_refused_is_a_reject(
    tmp_path: Path, provider: BatchProvider, teacher: str
) -> None:
    def fate(custom_id: str, tries: int) -> str:
        first = int(custom_id[0], 16)
        return "refused" if first < 4 else ("expired" if first < 8 else "failed") if first < 12 and tries < 3 else "ok"

    provider.fate = fate
    corpus = questions(tmp_path / "corpus", 60)
    report = annotate(corpus, teacher=teacher, batch=True, poll_s=0.02)
    refused = {key for key in provider.submitted if int(key[0], 16) < 4}
    assert report.rejected == len(refused) > 0
    assert report.traces == 60 - len(refused)
    for key, times in provider.submitted.items():
        assert times == (3 if 4 <= int(key[0], 16) < 12 else 1)
    named = corpus.sql("select raw->>'trace_id', reason from rejects").fetchall()
    assert {key for key, _ in named} == refused
    assert {reason for _, reason in named} == {"bad_request"}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("teacher", TEACHERS)
@pytest.mark.parametrize("stage", ["upload", "create", "created", "poll", "results"])
def test_killed_at_any_stage_nothing_is_submitted_twice(
    tmp_path: Path, provider: BatchProvider, teacher: str, stage: str
) -> None:
    if (teacher, stage) == ("anthropic:m", "upload"):
        pytest.skip("Anthropic's batches have no upload of their own")
    root = tmp_path / "corpus"
    questions(root, 20).close()
    provider.hang_at = stage
    command = [sys.executable, "-m", "onethinker.cli", "annotate", "--teacher", teacher, "--corpus", str(root)]
    env = os.environ | {"OPENAI_API_KEY": KEY}
    run = subprocess.Popen([*command, "--batch", "--poll", "0.05"], env=env, stderr=subprocess.DEVNULL)
    assert provider.hung.wait(60)
    run.kill()
    run.wait()
    with Corpus.open(root) as corpus:
        other = annotate(corpus, teacher=teacher)  # a worker without --batch leaves alone what a batch may bring
        assert (other.traces, other.elsewhere) == (0, 20)
        report = annotate(corpus, teacher=teacher, batch=True, poll_s=0.05)
        assert report.rejected == 0
        assert corpus.sql("select count(*), count(distinct sample_id) from traces").fetchone() == (20, 20)
    assert set(provider.submitted.values()) == {1}
    assert len(provider.batches) == 1


@pytest.mark.parametrize("made", [True, False], ids=["ours was made", "ours was not made"])
def test_somebody_else_s_batches_of_the_same_size_are_not_taken_for_ours(
    tmp_path: Path, provider: BatchProvider, made: bool
) -> None:
    """Anthropic keeps no mark of ours: after a kill there may be several that could be it."""
    root = tmp_path / "corpus"
    questions(root, 20).close()
    theirs = [[(f"theirs-{batch}-{i}", {"model": "m"}) for i in range(20)] for batch in range(3)]
    for requests in theirs[:2]:
        provider.make(requests)
    provider.hang_at = "created" if made else "create"
    command = [sys.executable, "-m", "onethinker.cli", "annotate", "--teacher", "anthropic:m", "--corpus", str(root)]
    run = subprocess.Popen([*command, "--batch", "--poll", "0.05"], stderr=subprocess.DEVNULL)
    assert provider.hung.wait(60)
    run.kill()
    run.wait()
    provider.make(theirs[2])
    with Corpus.open(root) as corpus:
        report = annotate(corpus, teacher="anthropic:m", batch=True, poll_s=0.02)
        assert (report.traces, report.rejected, report.faults) == (20, 0, {})
        lake = {key for (key,) in corpus.sql("select trace_id from traces").fetchall()}
    ours = {key: n for key, n in provider.submitted.items() if not key.startswith("theirs")}
    assert ours == dict.fromkeys(lake, 1), "each was submitted once"


def test_a_budget_holds_for_batches_too(tmp_path: Path, provider: BatchProvider) -> None:
    corpus = questions(tmp_path / "corpus", 200)
    given: dict[str, Any] = {"teacher": "openai:m", "prices": prices(tmp_path), "max_tokens": 25, "batch": True}
    report = annotate(corpus, budget_usd="0.1", poll_s=0.02, **given)
    assert report.stopped == "budget"
    assert 0 < sum(provider.submitted.values()) * Decimal("0.00125") < Decimal("0.1")


def test_a_provider_without_a_batch_api_says_so(
    tmp_path: Path, provider: BatchProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONETHINKER_TEACHER_URL", provider.openai_url)
    with pytest.raises(UsageError, match="no batch API"):
        annotate(questions(tmp_path / "corpus", 1), teacher="local:m", batch=True)


def test_a_batch_that_is_refused_whole_stops_the_run(tmp_path: Path, provider: BatchProvider) -> None:
    def refused(batch: dict[str, Any]) -> dict[str, Any]:
        errors = {"object": "list", "data": [{"message": "billing hard limit reached"}]}
        return row(batch) | {"status": "failed", "errors": errors}

    row = provider.openai_row
    provider.openai_row = refused  # type: ignore[method-assign]
    with pytest.raises(OneThinkerError, match=r"batch_refused.*billing hard limit"):
        annotate(questions(tmp_path / "corpus", 3), teacher="openai:m", batch=True, poll_s=0.02)
