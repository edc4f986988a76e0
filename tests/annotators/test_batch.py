"""The batch APIs: the same traces at half the price, nothing submitted twice, wherever the client is killed."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from annotators import annotate, run
from annotators.money import Budget
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


@pytest.mark.slow
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


class NotedBudget(Budget):
    """A budget that a test can look at when its run is over."""

    last: "NotedBudget"

    def __init__(self, limit: Decimal | None, before: Decimal = Decimal(0)) -> None:
        super().__init__(limit, before)
        NotedBudget.last = self


@pytest.mark.parametrize("teacher", TEACHERS)
def test_a_batch_answer_without_usage_is_booked_at_its_reserve(
    tmp_path: Path, provider: BatchProvider, monkeypatch: pytest.MonkeyPatch, teacher: str
) -> None:
    monkeypatch.setattr(run, "Budget", NotedBudget)
    provider.reports_usage = False
    corpus = questions(tmp_path / "corpus", 9)
    reserved: list[Decimal] = []
    reserve = NotedBudget.reserve
    monkeypatch.setattr(NotedBudget, "reserve", lambda self, most: reserved.append(most) or reserve(self, most))
    report = annotate(corpus, teacher=teacher, prices=prices(tmp_path), batch=True, poll_s=0.02)
    budget = NotedBudget.last
    assert len(reserved) == report.traces == 9
    assert (budget.spent, budget.reserved, budget.unsure) == (sum(reserved), Decimal(0), Decimal(0))
    assert report.cost_usd == 0
    assert corpus.sql("select distinct cost_usd from traces").fetchall() == [(None,)]


@pytest.mark.slow
@pytest.mark.parametrize("reports_usage", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("teacher", ["openai:m", pytest.param("anthropic:m", marks=pytest.mark.slow)])
def test_a_run_killed_amid_the_results_and_the_one_after_it_book_what_one_run_books(
    tmp_path: Path, provider: BatchProvider, monkeypatch: pytest.MonkeyPatch, teacher: str, reports_usage: bool
) -> None:
    monkeypatch.setattr(run, "Budget", NotedBudget)
    provider.reports_usage = reports_usage
    given: dict[str, Any] = {
        "teacher": teacher, "prices": prices(tmp_path), "budget_usd": Decimal(10), "batch": True, "poll_s": 0.05,
    }  # fmt: skip
    whole = annotate(questions(tmp_path / "whole", 20), **given)
    spent = NotedBudget.last.spent
    root = tmp_path / "corpus"
    questions(root, 20).close()
    provider.hang_at = "half"
    flags = ["--teacher", teacher, "--prices", str(given["prices"]), "--budget", "10", "--batch", "--poll", "0.05"]
    command = [sys.executable, "-m", "onethinker.cli", "annotate", *flags, "--corpus", str(root), "--no-verify"]
    first = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    assert provider.hung.wait(120)
    # Anthropic's SDK hands a line on once it has seen the next one, so that nine of the ten are certain to come.
    while sum(path.read_bytes().count(b'["traces"') for path in root.glob("journal/*/*.jsonl")) < 9:
        assert first.poll() is None
        time.sleep(0.005)
    first.kill()
    first.wait()
    with Corpus.open(root) as corpus:
        second = annotate(corpus, **given)
        assert second.replayed in (9, 10)
        assert second.replayed + second.traces == 20, "what the killed run kept is not kept again"
        assert corpus.sql("select count(*) from traces").fetchone() == (20,)
        assert corpus.sql("select coalesce(sum(cost_usd), 0) from traces").fetchone() == (whole.cost_usd,)
    assert (NotedBudget.last.spent, NotedBudget.last.reserved) == (spent, Decimal(0))
    assert spent > 0


@pytest.mark.timeout(600)
@pytest.mark.parametrize("teacher", TEACHERS)
@pytest.mark.parametrize("stage", [
    pytest.param("upload", marks=pytest.mark.slow), pytest.param("create", marks=pytest.mark.slow), "created",
    pytest.param("poll", marks=pytest.mark.slow), pytest.param("results", marks=pytest.mark.slow),
])  # fmt: skip
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
    process = subprocess.Popen([*command, "--batch", "--poll", "0.05"], env=env, stderr=subprocess.DEVNULL)
    assert provider.hung.wait(120)
    process.kill()
    process.wait()
    with Corpus.open(root) as corpus:
        other = annotate(corpus, teacher=teacher)  # a worker without --batch leaves alone what a batch may bring
        assert (other.traces, other.elsewhere) == (0, 20)
        report = annotate(corpus, teacher=teacher, batch=True, poll_s=0.05)
        assert report.rejected == 0
        assert corpus.sql("select count(*), count(distinct sample_id) from traces").fetchone() == (20, 20)
    assert set(provider.submitted.values()) == {1}
    assert len(provider.batches) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "made",
    [pytest.param(True, id="ours was made", marks=pytest.mark.slow), pytest.param(False, id="ours was not made")],
)
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
    process = subprocess.Popen([*command, "--batch", "--poll", "0.05"], stderr=subprocess.DEVNULL)
    assert provider.hung.wait(120)
    process.kill()
    process.wait()
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
