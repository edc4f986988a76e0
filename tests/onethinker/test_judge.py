"""A judge from end to end: asked by the annotators, read by the filters, and what it said decides what is kept."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from annotators import annotate
from corpus import Corpus, OneThinkerError
from filters import select, verify
from tests.annotators.conftest import point_at
from tests.annotators.making import sample
from tests.annotators.serving import Provider

REFERENCE = "A heron stands in the reeds."
RECIPE = """
profile: strict
steps:
  - accuracy: {min: 0.5}
  - sound
"""


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    with Provider() as serving:
        point_at(serving, monkeypatch)
        yield serving


def says(body: dict[str, Any]) -> dict[str, Any]:
    """A teacher that answers B or in words, and a judge that dislikes what was said of question 3."""
    asked = json.dumps(body, ensure_ascii=False)
    if "Somebody answered the question above" not in asked:
        answer = "A wading bird among tall grass." if "Describe" in asked else "B"
        return {"text": f"<think>I look closely at it.</think><answer>{answer}</answer>"}
    reply: dict[str, Any] = {"reasoning": 1 if "Question 3:" in asked else "sound"}
    if "`score`" in asked:
        reply["score"] = 9
    return {"text": f"<think>I check it.</think><answer>{json.dumps(reply)}</answer>"}


def test_a_judge_decides_what_is_kept(tmp_path: Path, provider: Provider) -> None:
    provider.say = says
    described = {"problem_type": "open-ended", "options": None, "answer": REFERENCE, "task": "image captioning"}
    rows = [sample(i, []) for i in range(4)] + [sample(9, [], problem="Describe it.", **described)]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    with Corpus.create(tmp_path / "corpus") as corpus:
        corpus.append("samples", rows)
        annotate(corpus, teacher="openai:m")
        assert REFERENCE not in json.dumps(provider.bodies), "a teacher never sees the answer"
        verify(corpus)
        with pytest.raises(OneThinkerError, match="not_judged 4, accuracy_below_min 1"):
            select(corpus, recipe, "judged")

        provider.bodies.clear()
        annotate(corpus, teacher="anthropic:judge", mode="judge")
        shown = [json.dumps(body) for body in provider.bodies]
        assert [REFERENCE in body for body in shown].count(True) == 1, "only where there is no other way to tell"
        verify(corpus, open_ended="judge:anthropic:judge")
        scores = corpus.sql("select problem, accuracy, verifier from scored_traces where mode <> 'judge'").fetchall()
        by_words = {problem: accuracy for problem, accuracy, verifier in scores if "judge:anthropic:judge@" in verifier}
        assert by_words == {"Describe it.": 0.9}
        select(corpus, recipe, "judged")
        kept = corpus.sql("select problem from snapshot_rows join samples using (sample_id) order by 1").fetchall()
        assert [problem for (problem,) in kept] == ["Describe it.", *(f"Question {i}: which one?" for i in range(3))]
        judged = corpus.sql("select sound, first_unsound, score from judgements order by all nulls last").fetchall()
        assert judged == [(False, 1, None), (True, None, 0.9), *[(True, None, None)] * 3]
