"""Costs to the last digit, and a budget that holds with hundreds of requests in flight."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from annotators import annotate
from annotators.charges import ChargeLog, sum_charges
from annotators.messages import ImagePart, Reply, Request, TextPart
from annotators.money import Budget, Price, max_input_tokens, price_of, prices
from annotators.run import killed_runs_cost
from corpus import OneThinkerError
from tests.annotators.making import questions
from tests.annotators.serving import Provider

D = Decimal
PRICE = Price(input=D(2), output=D(8), cached=D("0.5"), cache_write=D("2.5"), reasoning=D(4))


def reply(**usage: int | None) -> Reply:
    return Reply(text="", thinking=None, finish_reason="stop", **usage)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("usage", "batch", "usd"),
    [
        ({"input_tokens": 1, "output_tokens": 0}, False, "0.000002000000"),
        ({"input_tokens": 1000, "output_tokens": 100}, False, "0.002800000000"),
        ({"input_tokens": 1000, "output_tokens": 100}, True, "0.001400000000"),
        ({"input_tokens": 1000, "output_tokens": 0, "cached_tokens": 900}, False, "0.000650000000"),
        ({"input_tokens": 1000, "output_tokens": 0, "cache_write_tokens": 900}, False, "0.002450000000"),
        ({"input_tokens": 0, "output_tokens": 100, "reasoning_tokens": 60}, False, "0.000560000000"),
    ],
)
def test_each_kind_of_token_has_its_price(usage: dict[str, int], batch: bool, usd: str) -> None:
    assert PRICE.cost(reply(**usage), batch=batch) == D(usd)


def test_long_contexts_cost_more_as_a_whole() -> None:
    price = Price(input=D(2), output=D(8), long_from=1000)
    assert price.cost(reply(input_tokens=1000, output_tokens=10)) == D("0.00208")
    assert price.cost(reply(input_tokens=1001, output_tokens=10)) == D("0.004124")


def test_no_usage_is_no_cost_and_not_zero() -> None:
    assert PRICE.cost(reply(input_tokens=None, output_tokens=None)) is None


def test_the_built_in_prices_have_dates_and_sources() -> None:
    for teacher, price in prices().items():
        assert price.date is not None, teacher
        assert price.source, teacher


def test_a_dated_model_has_its_family_price_and_the_local_teacher_is_free() -> None:
    assert price_of("openai:gpt-4.1-2025-04-14") == price_of("openai:gpt-4.1")
    assert price_of("local:anything") == Price(
        D(0), D(0), date=prices()["local:*"].date, source=prices()["local:*"].source
    )
    assert price_of("openai:no-such-model") is None


def test_a_file_of_ones_own_speaks_over_the_built_in_one(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text('["openai:gpt-4.1"]\ninput = 1\noutput = 2.5\n')
    found = price_of("openai:gpt-4.1", file)
    assert found is not None
    assert (found.input, found.output) == (D(1), D("2.5"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('["a:b"]\ninput = 1\n', "'a:b' needs input and output"),
        ('["a:b"]\ninput = 1\noutput = 1\ncachd = 1\n', "unknown field 'cachd'; did you mean 'cached'"),
        ('["a:b"]\ninput = "1"\noutput = 1\n', "input of 'a:b' must be a number of USD"),
        ('["a:b"]\ninput = -1\noutput = 1\n', "input of 'a:b' must be a number of USD"),
        ("[a", "cannot be read"),
    ],
)
def test_a_bad_price_file_says_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(text)
    with pytest.raises(OneThinkerError, match=words):
        prices(file)


def test_the_most_tokens_are_more_than_any_tokenizer_makes() -> None:
    request = Request(parts=(TextPart("é" * 100), ImagePart("image/png", "", 1000, 1000)), max_tokens=1)
    assert max_input_tokens(request) >= 200 + 1_000_000 // 784


def test_a_budget_counts_what_is_under_way_and_what_may_have_been_charged() -> None:
    budget = Budget(D(10))
    assert budget.reserve(D(6))
    assert not budget.reserve(D(5))
    budget.settle(D(6), D(1))
    assert budget.reserve(D(9))
    assert not budget.reserve(D("0.01"))
    budget.release(D(9), unsure=True)
    assert not budget.reserve(D(1))
    assert (budget.spent, budget.unsure, budget.reserved) == (D(1), D(9), D(0))


def test_what_is_at_the_provider_counts_over_the_budget_and_unknown_usage_costs_its_reserve() -> None:
    budget = Budget(D(10), before=D(4))
    budget.reserve_committed(D(8))
    assert budget.reserved == D(8)
    assert not budget.reserve(D("0.01"))
    budget.settle(D(5), None)
    budget.release(D(3), unsure=False)
    assert (budget.spent, budget.unsure, budget.reserved) == (D(9), D(0), D(0))
    assert budget.reserve(D(1))


def test_a_budget_needs_a_price(tmp_path: Path, provider: Provider) -> None:
    with pytest.raises(OneThinkerError, match="no price is known for openai:m"):
        annotate(questions(tmp_path / "corpus", 1), teacher="openai:m", budget_usd=1)


def own_prices(folder: Path) -> Path:
    """A dollar for a thousand output tokens: an answer of 20 tokens and 100 of input costs 0.0025 USD."""
    file = folder / "prices.toml"
    file.write_text('["openai:m"]\ninput = 5\noutput = 100\n["anthropic:m"]\ninput = 5\noutput = 100\n')
    return file


@pytest.mark.parametrize(
    ("teacher", "samples", "concurrency", "usd"),
    [
        ("openai:m", 200, 32, "0.1"),
        pytest.param("openai:m", 2000, 256, "1", marks=pytest.mark.slow),
        pytest.param("anthropic:m", 2000, 256, "1", marks=pytest.mark.slow),
    ],
)
def test_a_budget_of_a_fifth_of_the_slice_is_not_overrun_by_requests_in_flight(
    tmp_path: Path, provider: Provider, teacher: str, samples: int, concurrency: int, usd: str
) -> None:
    provider.faults = {"reset": 0.02, "server_error": 0.05}
    corpus = questions(tmp_path / "corpus", samples)
    given = {"teacher": teacher, "prices": own_prices(tmp_path), "max_tokens": 25, "concurrency": concurrency}
    report = annotate(corpus, budget_usd=usd, **given)
    answered = len(provider.answered) * D("0.0025")
    assert D(usd) / 2 < answered + report.unsure_usd <= D(usd)
    assert report.stopped == "budget"
    assert "Give the same command again to go on" in report.message
    assert report.cost_usd == answered == D(corpus.sql("select sum(cost_usd) from traces").fetchone()[0])
    again = annotate(corpus, budget_usd=usd, **given)
    assert again.traces > 0, "a run that ended has had its budget; the next has its own"
    assert again.cost_usd + again.unsure_usd <= D(usd)
    assert set(provider.answered.values()) == {1}


def test_an_answer_without_usage_takes_its_reserve_from_the_budget(tmp_path: Path, provider: Provider) -> None:
    provider.reports_usage = False
    corpus = questions(tmp_path / "corpus", 30)
    given: dict[str, Any] = {"teacher": "openai:m", "prices": own_prices(tmp_path), "max_tokens": 25}
    report = annotate(corpus, budget_usd="0.1", **given)
    assert (report.stopped, report.cost_usd) == ("budget", D(0))
    assert 0 < report.traces < 30
    charged = sum_charges(corpus.root, [str(report.run_id)])
    assert D("0.05") < charged <= D("0.1")
    assert corpus.sql("select distinct cost_usd from traces").fetchall() == [(None,)]


def test_a_killed_run_and_the_one_that_continues_it_share_a_budget(tmp_path: Path) -> None:
    corpus = questions(tmp_path / "corpus", 1)
    config = {"teacher": "openai:m", "budget_usd": D(1)}

    def traces(run_id: str, usd: str) -> None:
        corpus.append("traces", [{"trace_id": run_id, "run_id": run_id, "cost_usd": D(usd)}])

    def event(run_id: str, name: str, kept: str = '{"budget_usd":"1","teacher":"openai:m"}') -> None:
        row = {"run_id": run_id, "event": name, "kind": "annotate", "config": kept}
        corpus.append("run_events", [row])

    for run_id, events in {"a": ["started", "crashed"], "b": ["started", "done"], "c": ["started", "crashed"]}.items():
        for name in events:
            event(run_id, name)
        traces(run_id, {"a": "0.5", "b": "0.25", "c": "0.125"}[run_id])
    event("d", "started", '{"teacher":"another"}')
    traces("d", "9")
    assert killed_runs_cost(corpus, config) == D("0.125")
    for run_id in ("a", "b", "c"):
        ChargeLog(corpus.root, run_id).add("t", "unsure", D("0.01"))
    ChargeLog(corpus.root, "c").add("u", "no_usage", D("0.02"))
    assert killed_runs_cost(corpus, config) == D("0.155"), "what no trace's cost shows is counted too"
    with open(corpus.root / "charges" / "c.jsonl", "ab") as file:
        file.write(b'{"trace_id": "v", "usd": "9')
    assert killed_runs_cost(corpus, config) == D("0.155"), "a line that was cut off is left out"


def test_a_dry_run_asks_nothing_and_prices_the_slice(tmp_path: Path, provider: Provider) -> None:
    corpus = questions(tmp_path / "corpus", 300, "tiv")
    given = {"teacher": "openai:m", "prices": own_prices(tmp_path), "max_tokens": 25}
    first = annotate(corpus, dry_run=True, **given).estimate
    assert provider.asked == []
    assert first is not None
    assert (first.requests, first.likely_usd, first.counted) == (300, None, "estimated here")
    assert first.most_usd is not None
    assert first.most_usd >= 300 * 25 * D("0.0001")
    annotate(corpus, limit=30, **given)
    asked = len(provider.asked)
    second = annotate(corpus, dry_run=True, **given).estimate
    assert second is not None
    assert len(provider.asked) == asked
    assert (second.requests, second.counted) == (270, "traces of this teacher")
    assert second.likely_usd == 270 * D("0.0025"), "measured token counts give the exact cost here"


@pytest.mark.parametrize(
    ("teacher", "variable"), [("openai:m", "OPENAI_API_KEY"), ("anthropic:m", "ANTHROPIC_API_KEY")]
)
def test_a_dry_run_needs_no_key(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch, teacher: str, variable: str
) -> None:
    monkeypatch.delenv(variable)
    corpus = questions(tmp_path / "corpus", 6)
    expected = annotate(corpus, teacher=teacher, dry_run=True).estimate
    assert expected is not None
    assert (expected.requests, expected.counted) == (6, "estimated here")
    assert expected.input_tokens > 6 * 20
    assert provider.asked == []
    with pytest.raises(OneThinkerError, match=variable):
        annotate(corpus, teacher=teacher)
