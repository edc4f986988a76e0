"""What a run shows of itself while it goes."""

from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

from annotators import annotate
from annotators.progress_view import ProgressSnapshot, Rates, format_line, render_snapshot
from corpus import progress
from corpus.progress import Bar, Speed, format_clock, format_eta
from tests.annotators.making import questions
from tests.annotators.serving import RIGHT, Provider

BUSY = ProgressSnapshot(
    total=5000,
    done=1234,
    in_flight=60,
    allowed=64,
    answers=1300,
    tokens=260_000,
    usd=Decimal("1.5"),
    budget_usd=Decimal(25),
    verified=1200,
    kept=1100,
    flags=Counter(truncated=3),
    rejects=Counter(media_hangs=2, timeout=1),
    faults=Counter(rate_limited=40),
)
RATES = Rates(done=12.0, answers=12.5, tokens=2500.0)
FACTS = (
    "in flight 60 of 64",
    "12.5 requests/s",
    "2,500 tokens/s",
    "$1.5000 of $25",
    "kept 1,100 of 1,200 verified",
    "eta 5:14",
    "rejected: media_hangs 2, timeout 1",
    "tried again: rate_limited 40",
    "odd: truncated 3",
)


def draw(snapshot: ProgressSnapshot, rates: Rates, seconds: float) -> str:
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(render_snapshot(snapshot, rates, seconds))
    return console.export_text()


@pytest.mark.parametrize("fact", FACTS)
def test_the_view_and_the_line_show_every_fact(fact: str) -> None:
    assert fact in draw(BUSY, RATES, 100.0)
    assert fact in format_line(BUSY, RATES, 100.0)


def test_the_view_and_the_line_count_what_is_done() -> None:
    shown = draw(BUSY, RATES, 100.0)
    assert "1,234 of 5,000" in shown
    assert "1:40" in shown
    assert format_line(BUSY, RATES, 100.0).startswith("annotate: 1,234/5,000 in 1:40  ")


def test_what_is_not_known_is_left_out() -> None:
    shown = format_line(ProgressSnapshot(total=10), Rates(), 0.0)
    assert "$" not in shown
    assert "kept" not in shown
    assert "eta" not in shown


def test_rates_are_those_of_the_last_seconds() -> None:
    speed = Speed()
    assert speed.rates(0.0, {"done": 0}) == {"done": 0.0}
    assert speed.rates(10.0, {"done": 20, "tokens": 500}) == {"done": 2.0, "tokens": 50.0}
    for now_s in (20.0, 30.0, 40.0):
        rates = speed.rates(now_s, {"done": 20, "tokens": 500})
    assert rates == {"done": 0.0, "tokens": 0.0}, "nothing has come for 30 seconds"


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (65, "1:05"), (3725, "1:02:05")])
def test_clock(seconds: float, text: str) -> None:
    assert format_clock(seconds) == text


@pytest.mark.parametrize(
    ("done", "total", "rate", "text"),
    [(50, 110, 2.0, ["eta 0:30"]), (50, None, 2.0, []), (50, 110, 0.0, []), (110, 110, 2.0, [])],
)
def test_the_time_left_is_shown_if_it_is_known(done: int, total: int | None, rate: float, text: list[str]) -> None:
    assert format_eta(done, total, rate) == text


def test_a_bar_counts_and_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    bar = Bar("ingest", 100, _started=0.0)
    bar.advance(10, usd=Decimal("0.25"), ok=9, rejected=1)
    now[0] = 5.0
    bar.advance(10, ok=10)
    assert bar.line() == "ingest: 20/100 in 0:05  4.0/s  eta 0:20  ok 19  rejected 1  $0.2500"
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(bar.render())
    assert "20 of 100" in console.export_text()


class Keeping:
    """Somebody who keeps every other trace."""

    verified = kept = 0

    def take(self, trace_ids: list[str]) -> None:
        self.verified += len(trace_ids)
        self.kept = self.verified // 2


@pytest.mark.parametrize("terminal", [False, True])
def test_a_run_hands_its_traces_to_the_verifier_and_shows_its_counts(
    tmp_path: Path,
    provider: Provider,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
) -> None:
    if terminal:
        console = Console(stderr=True, force_terminal=True, width=160)
        monkeypatch.setattr(progress, "Console", lambda stderr: console)
    keeping = Keeping()
    provider.say = lambda body: {"text": "no tags" if "Question 3:" in str(body) else RIGHT}
    annotate(questions(tmp_path / "corpus", 8), teacher="openai:m", odd_retries=0, verifier=keeping)
    shown = capfd.readouterr().err
    assert (keeping.verified, keeping.kept) == (8, 4)
    assert ("8 of 8" if terminal else "annotate: 8/8") in shown
    assert "in flight" in shown
    assert "odd: no_tags 1" in shown


def test_the_command_verifies_what_arrives_and_says_what_is_kept(
    tmp_path: Path, provider: Provider, capfd: pytest.CaptureFixture[str]
) -> None:
    from filters import verify
    from onethinker.cli import main

    right = "<think>The truth is B.</think><answer>B</answer>"
    provider.say = lambda body: {"text": RIGHT if "Question 3:" in str(body) else right}
    corpus = questions(tmp_path / "corpus", 8)
    command = ["annotate", "--teacher", "openai:m", "--corpus", str(corpus.root), "--format", "csv"]
    assert main(command) == 0
    shown = capfd.readouterr().out.splitlines()
    assert "verified,kept,7" in shown
    assert "verified,not kept,1" in shown
    assert corpus.sql("select count(*), sum(accuracy) from verdicts where profile = 'strict'").fetchone() == (8, 7.0)
    assert verify(corpus).traces == 0, "nothing is left to verify"
    assert main([*command, "--n", "2", "--no-verify"]) == 0
    assert "kept" not in capfd.readouterr().out
    assert verify(corpus).traces == 8
