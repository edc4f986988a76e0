"""What a run shows of itself while it goes."""

from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

from annotators import annotate, live
from annotators.progress_view import Glimpse, Rates, Speed, clock, line, render
from tests.annotators.making import questions
from tests.annotators.serving import RIGHT, Provider

BUSY = Glimpse(
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


def drawn(glimpse: Glimpse, rates: Rates, seconds: float) -> str:
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(render(glimpse, rates, seconds))
    return console.export_text()


@pytest.mark.parametrize("fact", FACTS)
def test_the_view_and_the_line_tell_every_fact(fact: str) -> None:
    assert fact in drawn(BUSY, RATES, 100.0)
    assert fact in line(BUSY, RATES, 100.0)


def test_the_view_and_the_line_count_what_is_done() -> None:
    told = drawn(BUSY, RATES, 100.0)
    assert "1,234 of 5,000" in told
    assert "1:40" in told
    assert line(BUSY, RATES, 100.0).startswith("annotate: 1,234/5,000 in 1:40  ")


def test_what_is_not_known_is_left_out() -> None:
    told = line(Glimpse(total=10), Rates(), 0.0)
    assert "$" not in told
    assert "kept" not in told
    assert "eta" not in told


def test_rates_are_those_of_the_last_seconds() -> None:
    speed = Speed()
    assert speed.rates(0.0, Glimpse(total=100)) == Rates()
    assert speed.rates(10.0, Glimpse(total=100, done=20, answers=30, tokens=500)) == Rates(2.0, 3.0, 50.0)
    for now_s in (20.0, 30.0, 40.0):
        rates = speed.rates(now_s, Glimpse(total=100, done=20, answers=30, tokens=500))
    assert rates == Rates(), "nothing has come for 30 seconds"


@pytest.mark.parametrize(("seconds", "told"), [(0.4, "0:00"), (65, "1:05"), (3725, "1:02:05")])
def test_clock(seconds: float, told: str) -> None:
    assert clock(seconds) == told


class Keeping:
    """Somebody who keeps every other trace."""

    verified = kept = 0

    def take(self, trace_ids: list[str]) -> None:
        self.verified += len(trace_ids)
        self.kept = self.verified // 2


@pytest.mark.parametrize("terminal", [False, True])
def test_a_run_tells_the_verifier_of_its_traces_and_shows_what_it_says(
    tmp_path: Path,
    provider: Provider,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
) -> None:
    if terminal:
        monkeypatch.setattr(live, "Console", lambda stderr: Console(stderr=stderr, force_terminal=True, width=160))
    keeping = Keeping()
    provider.say = lambda body: {"text": "no tags" if "Question 3:" in str(body) else RIGHT}
    annotate(questions(tmp_path / "corpus", 8), teacher="openai:m", odd_retries=0, verifier=keeping)
    told = capfd.readouterr().err
    assert (keeping.verified, keeping.kept) == (8, 4)
    assert ("8 of 8" if terminal else "annotate: 8/8") in told
    assert "in flight" in told
    assert "odd: no_tags 1" in told


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
    told = capfd.readouterr().out.splitlines()
    assert "verified,kept,7" in told
    assert "verified,not kept,1" in told
    assert corpus.sql("select count(*), sum(accuracy) from verdicts where profile = 'strict'").fetchone() == (8, 7.0)
    assert verify(corpus).traces == 0, "nothing is left to verify"
    assert main([*command, "--n", "2", "--no-verify"]) == 0
    assert "kept" not in capfd.readouterr().out
    assert verify(corpus).traces == 8
