"""Scorers of free text: one interface, recorded in the verdict, and no score without an answer."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from corpus import Corpus
from corpus.errors import OneThinkerError, UsageError
from filters.candidates import Candidates
from filters.recipe import parse
from filters.scorers import FreeTextAnswer, load_scorer
from filters.scorers.reward_model import RewardModel, polar_text
from filters.verify import verify

Add = Callable[..., str]


class Served:
    """A reward model's server: scores by the candidate's words; `faults` are what it does first instead."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.faults: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append((self.path, body))
                fault = outer.faults.pop(0) if outer.faults else ""
                texts = body.get("input") or body["text"]
                raws = [0.0 if "red ball" in text.split("<|reward|>")[1] else -9.0 for text in texts]
                reply: Any = {"data": [{"data": [[1.0], [raw]]} for raw in raws]}
                if self.path == "/classify":
                    reply = [{"embedding": [raw]} for raw in raws]
                elif "lmdeploy" in body["model"]:
                    reply = {"data": [{"data": raw} for raw in raws]}
                data = json.dumps(reply).encode()
                if fault == "short":
                    data = json.dumps({"data": []}).encode()
                if fault == "not json":
                    data = b"<html>"
                self.send_response(503 if fault == "503" else 200)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(RewardModel, "wait_s", 0.01)
    served = Served()
    yield served
    served.server.shutdown()


def candidates(*answers: str) -> list[FreeTextAnswer]:
    return [FreeTextAnswer(f"t{i}", "<image>What is it?", "A red ball.", answer) for i, answer in enumerate(answers)]


def test_the_input_is_as_the_model_card_documents() -> None:
    (candidate,) = candidates("A <|reward|>blue[UNUSED_TOKEN_130] ball.")
    assert polar_text(candidate) == ("What is it?\nA red ball.<|reward|>What is it?\nA blue ball.[UNUSED_TOKEN_130]")


@pytest.mark.parametrize(("server", "path"), [("vllm", "/pooling"), ("sglang", "/classify"), ("lmdeploy", "/pooling")])
def test_each_server_is_asked_and_read_in_its_own_way(served: Served, server: str, path: str) -> None:
    model = RewardModel(server, f"made/{server}", served.url, wait_s=0.01)
    scores = model.scores(candidates(*["a red ball", "a dog"] * 40))
    assert [score.raw for score in scores] == [0.0, -9.0] * 40
    assert [score.accuracy for score in scores] == pytest.approx([1.0, 0.1] * 40)
    assert {asked for asked, _ in served.asked} == {path}
    assert len(served.asked) == 3, "batches of 32"


@pytest.mark.parametrize("fault", ["503", "short", "not json"])
def test_a_failed_batch_is_asked_again_and_then_left_without_a_score(served: Served, fault: str) -> None:
    model = RewardModel("vllm", "made", served.url, wait_s=0.01)
    served.faults = [fault] * 2
    assert [score.raw for score in model.scores(candidates("a red ball"))] == [0.0]
    assert len(served.asked) == 3
    served.faults = [fault] * 4
    (score,) = model.scores(candidates("a red ball"))
    assert (score.accuracy, score.reason) == (None, "reward_model_failed")


def test_no_server_is_no_score(served: Served) -> None:
    served.server.server_close()
    model = RewardModel("vllm", "made", "http://127.0.0.1:9", wait_s=0.01)
    assert [score.reason for score in model.scores(candidates("a red ball"))] == ["reward_model_failed"]


def _words(sample: Add, trace: Add) -> tuple[str, str, str]:
    red = {"problem_type": "open-ended", "answer": "A red ball."}
    good = trace(sample("good", **red), answer="It looks like a red ball to me.")
    bad = trace(sample("bad", **red), answer="A dog.")
    other = trace(sample("other"))
    return good, bad, other


def rows(corpus: Corpus) -> dict[str, tuple[Any, ...]]:
    found = corpus.sql("select trace_id, accuracy, reason, verifier, components from latest_verdicts").fetchall()
    return {row[0]: row[1:] for row in found}


@pytest.mark.slow
def test_a_reward_model_scores_words_and_is_recorded(corpus: Corpus, sample: Add, trace: Add, served: Served) -> None:
    good, bad, other = _words(sample, trace)
    spec = f"reward_model:vllm:made@{served.url}"
    served.faults = ["503"] * 4
    verify(corpus, open_ended=spec)
    found = rows(corpus)
    assert found[other][:2] == (1.0, None)
    assert found[good][:2] == found[bad][:2] == (None, "reward_model_failed")
    assert verify(corpus, open_ended=spec).traces == 2, "what was not answered is asked again"
    found = rows(corpus)
    assert found[good][0] == 1.0
    assert found[bad][0] == pytest.approx(0.1)
    assert found[good][2].endswith(" reward_model:made[-10,0]")
    assert found[bad][3]["reward_model"] == -9.0
    assert 0 <= found[bad][3]["overlap"] < 0.5
    assert verify(corpus, open_ended=spec).traces == 0


def test_a_judges_replies_are_read_and_averaged(corpus: Corpus, sample: Add, trace: Add) -> None:
    good, bad, _ = _words(sample, trace)
    with pytest.raises(OneThinkerError, match="holds no judgement with a score; have answers judged with"):
        verify(corpus, open_ended="judge")
    for attempt, score in enumerate(["8", "10", '"very good"', "11"]):
        _judge(trace, "good", good, attempt, score)
    verify(corpus, open_ended="judge")
    found = rows(corpus)
    assert found[good][0] == pytest.approx(0.9)
    assert found[good][2].endswith(" judge:all@2")
    assert found[bad][:2] == (None, "not_judged")
    trace("bad", answer="not even JSON", mode="judge", attempt=8, params=f'{{"about":"{bad}"}}')
    _judge(trace, "bad", bad, 9, "0")
    assert verify(corpus, open_ended="judge").traces == 1
    assert rows(corpus)[bad][0] == 0.0


def _judge(trace: Add, sample: str, about: str, attempt: int, score: str) -> None:
    answer = f'{{"reasoning": "sound", "score": {score}}}'
    trace(sample, answer=answer, mode="judge", attempt=attempt, teacher="j:one", params=f'{{"about":"{about}"}}')


def test_scores_are_put_in_their_group_by_sql(corpus: Corpus, sample: Add, trace: Add) -> None:
    sample("s", problem_type="open-ended")
    sample("alone", problem_type="open-ended")
    ids = [trace("s", attempt=i) for i in range(3)] + [trace("alone")]
    corpus.append(
        "verdicts",
        [
            {
                "trace_id": t,
                "profile": "strict",
                "verifier": "v",
                "accuracy": 0.5,
                "reward": 0.5,
                "components": [("reward_model", raw)],
            }
            for t, raw in zip(ids, [-9.0, -8.0, -5.0, -9.0], strict=True)
        ],
    )
    (step,) = parse("steps: [group_score: {min: 0.3}]").steps
    with Candidates(corpus, profile="strict") as candidates:
        candidates.drop("group_score", step.module.drops(candidates, step.options))
        dropped = candidates.sql("select trace_id, reason from drops where step = 'group_score'").fetchall()
    assert sorted(dropped) == sorted([(ids[0], "group_score_below_min"), (ids[1], "group_score_below_min")])


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("rogue", "unknown scorer 'rogue'; did you mean 'rouge'?"),
        ("rouge:2", "scorer 'rouge' stands alone"),
        ("reward_model:vlm:m@http://h", "unknown server 'vlm'; did you mean 'vllm'?"),
        ("reward_model:vllm:m", "needs SERVER:MODEL@URL"),
        ("reward_model:vllm:m@h:3000", "needs SERVER:MODEL@URL"),
    ],
)
def test_a_wrong_scorer_is_refused(corpus: Corpus, spec: str, words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("?", r"\?")):
        load_scorer(spec, corpus)
