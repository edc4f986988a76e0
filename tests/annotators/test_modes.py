"""Ways of asking: what each shows the teacher, whom it asks about, and what is recorded of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from annotators import annotate
from annotators.agreement import record_agreement
from corpus import Corpus
from tests.annotators.making import questions
from tests.annotators.serving import Provider


def verdicts(corpus: Corpus, solved: set[str]) -> None:
    """A strict verdict for every trace: right for the samples in `solved`."""
    rows = corpus.sql("select trace_id, sample_id from traces").fetchall()
    corpus.append(
        "verdicts",
        [{"trace_id": t, "profile": "strict", "verifier": "test@1", "accuracy": float(s in solved)} for t, s in rows],
    )


def asked(provider: Provider) -> str:
    return json.dumps(provider.bodies)


def test_hinted_shows_the_answer_and_its_traces_say_so(tmp_path: Path, provider: Provider) -> None:
    corpus = questions(tmp_path / "corpus", 2)
    annotate(corpus, teacher="openai:m", mode="hinted")
    assert "The correct answer is known to be: B" in asked(provider)
    assert corpus.sql("select distinct mode from traces").fetchall() == [("hinted",)]
    annotate(corpus, teacher="openai:m")
    assert corpus.sql("select mode, count(*) from traces group by 1 order by 1").fetchall() == [
        ("blind", 2),
        ("hinted", 2),
    ]


def test_braces_in_a_question_are_not_places_to_fill(tmp_path: Path, provider: Provider) -> None:
    from tests.annotators.making import sample

    corpus = questions(tmp_path / "corpus", 0)
    corpus.append("samples", [sample(1, [], problem="What is {answer} in {x: {question}}?", answer="SECRET")])
    annotate(corpus, teacher="openai:m")
    assert "What is {answer} in {x: {question}}?" in asked(provider)
    assert "SECRET" not in asked(provider)


def test_retry_asks_again_only_about_what_failed(tmp_path: Path, provider: Provider) -> None:
    corpus = questions(tmp_path / "corpus", 6)
    annotate(corpus, teacher="openai:m", limit=4)
    known = [row[0] for row in corpus.sql("select sample_id from traces order by 1").fetchall()]
    verdicts(corpus, set(known[:1]))
    report = annotate(corpus, teacher="openai:m", mode="retry", temperature=1.0)
    assert report.traces == 3
    again = [row[0] for row in corpus.sql("select sample_id from traces where mode = 'retry' order by 1").fetchall()]
    assert again == known[1:]


def test_a_judge_sees_each_trace_once(tmp_path: Path, provider: Provider) -> None:
    corpus = questions(tmp_path / "corpus", 3)
    annotate(corpus, teacher="openai:m", n=2)
    provider.bodies.clear()
    provider.say = lambda body: {"text": "<think>It holds.</think><answer>sound</answer>"}
    report = annotate(corpus, teacher="anthropic:m", mode="judge")
    assert report.traces == 6
    assert asked(provider).count("I look at it.") == 6
    about = corpus.sql("select params->>'about', answer from traces where mode = 'judge'").fetchall()
    judged = corpus.sql("select trace_id from traces where mode = 'blind'").fetchall()
    assert sorted(about) == sorted((trace_id, "sound") for (trace_id,) in judged)
    assert annotate(corpus, teacher="anthropic:m", mode="judge").message == "nothing is left to ask"


def test_an_ensemble_s_agreement_is_recorded(tmp_path: Path, provider: Provider) -> None:
    corpus = questions(tmp_path / "corpus", 4)

    def answers(letter: str) -> Any:
        return lambda body: {"text": f"<think>hm</think><answer>{letter}</answer>"}

    for teacher, letter in (("openai:one", "A"), ("openai:two", "A"), ("anthropic:three", "B")):
        provider.say = answers(letter)
        annotate(corpus, teacher=teacher, mode="ensemble")
    query = """select teacher, avg(accuracy), avg(components['teachers'])
               from latest_verdicts join traces using (trace_id) where profile = 'ensemble' group by 1 order by 1"""
    rows = corpus.sql(query).fetchall()
    assert rows == [("anthropic:three", 0.0, 3.0), ("openai:one", 0.5, 3.0), ("openai:two", 0.5, 3.0)]
    assert record_agreement(corpus) == 0
    provider.say = answers("B")
    annotate(corpus, teacher="openai:four", mode="ensemble")
    assert corpus.sql(query).fetchall()[0] == ("anthropic:three", pytest.approx(1 / 3), 4.0)


def test_escalation_asks_the_dearer_teacher_only_about_what_is_left(
    tmp_path: Path, provider: Provider, capsys: pytest.CaptureFixture[str]
) -> None:
    from onethinker.cli import main

    questions(tmp_path / "corpus", 12).close()
    prices = tmp_path / "prices.toml"
    prices.write_text('["openai:cheap"]\ninput = 1\noutput = 5\n["openai:dear"]\ninput = 5\noutput = 100\n')

    def say(body: dict[str, Any]) -> dict[str, Any]:
        number = int(body["messages"][0]["content"].split("Question ")[1].split(":")[0])
        right = body["model"] == "dear" or number % 3 == 0
        return {"text": f"<think>hm</think><answer>{'B' if right else 'A'}</answer>"}

    provider.say = say
    command = ["escalate", "--teacher", "openai:cheap", "--teacher", "openai:dear", "--prices", str(prices)]
    assert main([*command, "--format", "json", "--corpus", str(tmp_path / "corpus")]) == 0
    stages = json.loads(capsys.readouterr().out)
    assert [(s["teacher"], s["unsolved"], s["traces"], s["solved"]) for s in stages] == [
        ("openai:cheap", 12, 12, 4),
        ("openai:dear", 8, 8, 8),
    ]
    assert stages[0]["usd_per_solved"] == pytest.approx(12 * 0.0002 / 4)
    assert stages[1]["usd_per_solved"] == pytest.approx(0.0025)
