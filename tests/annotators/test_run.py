"""Annotating end to end against a provider on loopback."""

import json
import socket
import threading
from pathlib import Path

import pytest

from annotators import Settings, annotate
from corpus import OneThinkerError, UsageError
from tests.annotators.conftest import KEY
from tests.annotators.making import questions
from tests.annotators.serving import RIGHT, Provider


@pytest.mark.parametrize("teacher", ["openai:m", "anthropic:m"])
def test_a_trace_tells_everything_about_its_making(tmp_path: Path, provider: Provider, teacher: str) -> None:
    corpus = questions(tmp_path / "corpus", 3, "tiv")
    report = annotate(corpus, teacher=teacher, temperature=0.5)
    assert (report.traces, report.rejected, report.left) == (3, 0, 0)
    rows = corpus.sql("from traces join prompts using (prompt_id)").to_arrow_table().to_pylist()
    assert len(rows) == 3
    for row in rows:
        assert (row["teacher"], row["mode"], row["attempt"]) == (teacher, "blind", 0)
        assert (row["response"], row["thinking"], row["answer"]) == (RIGHT, "I look at it.", "A")
        assert (row["finish_reason"], row["flag"]) == ("stop", None)
        assert (row["input_tokens"], row["output_tokens"]) == (100, 20)
        assert row["request_id"].startswith("req-")
        assert row["latency_s"] > 0
        assert json.loads(row["params"])["temperature"] == 0.5
        assert json.loads(row["raw"])["usage"]
        assert "{question}" in row["text"]
        assert row["run_id"] == report.run_id
    assert set(provider.answered) == {row["trace_id"] for row in rows}


def test_the_same_command_buys_nothing_twice_and_another_adds_traces(tmp_path: Path, provider: Provider) -> None:
    corpus = questions(tmp_path / "corpus", 8)
    annotate(corpus, teacher="openai:m", where="sample_id < '8'")
    first = len(provider.answered)
    assert 0 < first < 8
    annotate(corpus, teacher="openai:m")
    assert len(provider.asked) == 8
    assert annotate(corpus, teacher="openai:m").message == "nothing is left to ask"
    own = tmp_path / "prompt.txt"
    own.write_text("Say it: {question}")
    system = tmp_path / "system.txt"
    system.write_text("Be brief.")
    for given in ({"teacher": "openai:other"}, {"n": 2}, {"temperature": 1.0}, {"prompt": own}, {"system": system}):
        asked = len(provider.asked)
        annotate(corpus, **({"teacher": "openai:m"} | given))
        assert len(provider.asked) == asked + 8, given
    assert set(provider.answered.values()) == {1}
    assert corpus.sql("select count(*), count(distinct trace_id) from traces").fetchone() == (48, 48)
    texts = corpus.sql("select text from prompts").fetchall()
    assert len(texts) == 3
    assert {("Say it: {question}",), ("Be brief.",)} < set(texts)


def test_an_empty_slice_is_not_a_slice_that_is_done(tmp_path: Path, provider: Provider) -> None:
    corpus = questions(tmp_path / "corpus", 1)
    for dry_run in (True, False):
        message = annotate(corpus, teacher="openai:m", where="task = 'tracking'", dry_run=dry_run).message
        assert message == "nothing fits --where \"task = 'tracking'\" in mode blind: nothing was asked"
    annotate(corpus, teacher="openai:m")
    assert annotate(corpus, teacher="openai:m", dry_run=True).message == "nothing is left to ask"


def test_seeds_differ_between_attempts(tmp_path: Path, provider: Provider) -> None:
    annotate(questions(tmp_path / "corpus", 1), teacher="openai:m", n=3, seed=7)
    assert sorted(body["seed"] for body in provider.bodies) == [7, 8, 9]


def test_the_true_answer_is_not_in_a_blind_request(tmp_path: Path, provider: Provider) -> None:
    corpus = questions(tmp_path / "corpus", 0)
    from tests.annotators.making import sample

    corpus.append("samples", [sample(1, [], answer="SECRET-TRUTH", truth='{"mask": "SECRET-TRUTH"}')])
    annotate(corpus, teacher="openai:m")
    assert provider.bodies
    assert "SECRET-TRUTH" not in json.dumps(provider.bodies)


@pytest.mark.parametrize(
    ("teacher", "variable"), [("openai:m", "OPENAI_API_KEY"), ("anthropic:m", "ANTHROPIC_API_KEY")]
)
def test_no_key_names_the_variable(tmp_path: Path, teacher: str, variable: str) -> None:
    with pytest.raises(OneThinkerError, match=variable):
        annotate(questions(tmp_path / "corpus", 1), teacher=teacher)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"teacher": "opnai:m"}, "unknown provider 'opnai'; did you mean 'openai'"),
        ({"teacher": "openai"}, "names no model"),
        ({"teacher": "openai:m", "mode": "blnd"}, "unknown mode 'blnd'; did you mean 'blind'"),
        ({"teacher": "openai:m", "n": 0}, "--n must be at least 1"),
        ({"teacher": "openai:m", "timeout_s": 0}, "--timeout must be above 0"),
        ({"teacher": "openai:m", "budget_usd": "-1"}, "--budget must be above 0"),
        ({"teacher": "openai:m", "budget_usd": "much"}, "must be an amount of USD"),
        ({"teacher": "openai:m", "prompt": Path("/no/such")}, "--prompt: there is no file"),
    ],
)
def test_settings_that_cannot_be(given: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Settings(**given)


def test_an_unknown_column_in_where_lists_near_names(tmp_path: Path, provider: Provider) -> None:
    with pytest.raises(UsageError, match=r"(?s)--where.*problem_type"):
        annotate(questions(tmp_path / "corpus", 1), teacher="openai:m", where="problem_typ = 'OCR'")


@pytest.mark.parametrize(
    ("status", "message", "words"),
    [
        (401, "Incorrect API key provided: " + KEY, "refused_key"),
        (402, "pay", "no_credit"),
        (404, "no such model", "unknown_model"),
        (429, "insufficient_quota: top up", "no_credit"),
    ],
)
def test_key_and_money_errors_stop_the_run_at_once(
    tmp_path: Path, provider: Provider, status: int, message: str, words: str
) -> None:
    from aiohttp import web

    provider.say = lambda body: web.json_response({"error": {"message": message, "type": "x"}}, status=status)
    with pytest.raises(OneThinkerError, match=words) as error:
        annotate(questions(tmp_path / "corpus", 200), teacher="openai:m", concurrency=4)
    assert KEY not in str(error.value)
    assert len(provider.asked) <= 8


def test_requests_that_are_all_refused_stop_the_run(tmp_path: Path, provider: Provider) -> None:
    from aiohttp import web

    provider.say = lambda body: web.json_response({"error": {"message": "bad parameter"}}, status=400)
    with pytest.raises(OneThinkerError, match="all failed; the last: HTTP 400: bad parameter"):
        annotate(questions(tmp_path / "corpus", 200), teacher="openai:m", concurrency=4)
    assert len(provider.asked) < 40


def test_a_server_that_is_not_up_stops_the_run_before_the_whole_slice_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as held:  # bound and not listening: whoever connects is refused
        held.bind(("127.0.0.1", 0))
        monkeypatch.setenv("ONETHINKER_TEACHER_URL", f"http://127.0.0.1:{held.getsockname()[1]}/v1")
        corpus = questions(tmp_path / "corpus", 200)
        with pytest.raises(OneThinkerError, match=r"the first 25 requests all failed.*Is its server up"):
            annotate(corpus, teacher="local:pixels-1", concurrency=4, tries=2)
    assert corpus.sql("select count(*) from rejects").fetchall()[0][0] <= 25 + 4


def test_works_inside_a_running_event_loop(tmp_path: Path, provider: Provider) -> None:
    import asyncio

    async def notebook_cell() -> int:
        return annotate(questions(tmp_path / "corpus", 2), teacher="openai:m").traces

    assert asyncio.run(notebook_cell()) == 2


@pytest.mark.slow
def test_two_workers_at_once_buy_each_trace_once(tmp_path: Path, provider: Provider) -> None:
    from corpus import Corpus

    questions(tmp_path / "corpus", 1500).close()
    provider.delay_s = 0.05

    def work() -> None:
        with Corpus.open(tmp_path / "corpus") as corpus:
            annotate(corpus, teacher="openai:m", concurrency=16)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(provider.answered) == 1500
    assert set(provider.answered.values()) == {1}


def test_what_went_wrong_is_in_the_log_of_the_run(tmp_path: Path, provider: Provider) -> None:
    provider.faults = {"server_error": 0.3}
    provider.say = lambda body: {"text": RIGHT if "Question 1:" in str(body) else "no tags"}
    report = annotate(questions(tmp_path / "corpus", 6), teacher="openai:m")
    lines = (tmp_path / "corpus" / "logs" / f"{report.run_id}.jsonl").read_text().splitlines()
    told = [json.loads(line) for line in lines]
    assert {row["event"] for row in told} == {"fault", "odd"}
    faults = [row for row in told if row["event"] == "fault"]
    assert len(faults) == report.faults["server_error"] == provider.failed["server_error"] > 0
    assert sum(row["event"] == "odd" and row["asked_again"] for row in told) == 5
    assert {row["level"] for row in faults} == {"warning"}


def test_a_request_is_a_span_where_opentelemetry_listens(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    from contextlib import contextmanager

    from annotators import tracing

    spans: list[dict[str, object]] = []

    class Listening:
        @contextmanager
        def start_as_current_span(self, name: str, attributes: dict[str, object], record_exception: bool):  # type: ignore
            told = {"name": name, **attributes}
            spans.append(told)

            class RequestSpan:
                is_recording = staticmethod(lambda: True)
                set_attribute = staticmethod(told.__setitem__)
                set_attributes = staticmethod(told.update)

            yield RequestSpan()

    monkeypatch.setattr(tracing, "_tracer", Listening())
    annotate(questions(tmp_path / "corpus", 1), teacher="openai:m")
    [span] = spans
    assert (span["name"], span["gen_ai.request.model"], span["gen_ai.usage.output_tokens"]) == ("annotate", "m", 20)
    assert span["onethinker.trace_id"] in provider.answered
    assert KEY not in str(span)


def test_a_full_disk_stops_the_run_and_the_next_one_takes_in_what_arrived(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    corpus = questions(tmp_path / "corpus", 300)
    provider.delay_s = 0.02
    write = os.write

    def full(file: int, data: bytes) -> int:
        if data[:9] == b'["traces"' and len(provider.answered) > 40 and list(tmp_path.rglob("reserve")):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OneThinkerError, match=r"disk_full.*free some space"):
        annotate(corpus, teacher="openai:m", concurrency=8)
    monkeypatch.undo()
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", provider.openai_url)
    assert len(provider.answered) < 120
    assert annotate(corpus, teacher="openai:m").left == 0
    assert set(provider.answered.values()) == {1}
    assert corpus.sql("select count(distinct sample_id) from traces").fetchone() == (300,)


def test_a_lake_that_takes_no_commits_loses_nothing(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    from annotators import trace_writer

    corpus = questions(tmp_path / "corpus", 30)

    def lost(*_: object) -> int:
        raise OneThinkerError("the database connection is lost")

    with monkeypatch.context() as broken:
        broken.setattr(trace_writer, "write", lost)
        with pytest.raises(OneThinkerError, match="connection is lost"):
            annotate(corpus, teacher="openai:m")
    asked = len(provider.asked)
    assert asked == 30
    report = annotate(corpus, teacher="openai:m")
    assert (report.replayed, len(provider.asked)) == (30, asked), "the journal is replayed, nothing is bought again"
    assert corpus.sql("select count(*) from traces").fetchone() == (30,)


def test_quotes_in_a_name_and_a_limit_keep_their_meaning(tmp_path: Path, provider: Provider) -> None:
    corpus = questions(tmp_path / "corpus", 40)
    given = {"teacher": "openai:it's", "address": "o'clock", "n": 2}
    assert annotate(corpus, limit=7, **given).traces == 14
    first = corpus.sql("select distinct sample_id from traces order by 1").fetchall()
    assert first == corpus.sql("select sample_id from samples order by 1 limit 7").fetchall()
    assert annotate(corpus, limit=7, **given).message == "nothing is left to ask"
    assert annotate(corpus, **given).traces == 66


def test_the_jobs_of_a_plan_come_in_the_order_of_their_samples(tmp_path: Path) -> None:
    from annotators.jobs import JobPlan

    plan = JobPlan(questions(tmp_path / "corpus", 300), Settings(teacher="openai:m", n=2), "here")
    with plan.jobs() as jobs:
        for _ in range(2):
            batches = list(jobs.batches())
            told = [(job.sample["sample_id"], job.slot) for batch in batches for job in batch]
            assert told == sorted(told)
            assert len(batches) == 1, "a claim takes a transaction: few are made"
            assert len(told) == len(jobs) == 600
