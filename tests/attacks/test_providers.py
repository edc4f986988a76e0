"""A provider that answers whatever it likes: no answer stops a run, costs another sample its answer, or shows the key.

Every case is the answer to one sample of one run for each API, so that each has all the others, and honest ones, for
neighbours.
"""

import asyncio
import gzip
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from annotators import annotate
from annotators.http_guard import MAX_RESPONSE_BYTES
from corpus import Corpus, OneThinkerError
from filters import verify
from tests.annotators.making import questions
from tests.annotators.serving import RIGHT, Provider, anthropic_reply, openai_reply

KEY = "sk-ant-4Qz81hKw20xVb7LmR3tY"
BARE_KEY = KEY.removeprefix("sk-ant-")
Mutation = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class Case:
    """An answer: what it changes in a right one, or its whole bytes; and what becomes of it: a reason, or `kept`."""

    name: str
    outcome: str
    change: Mutation | None = None
    body: bytes | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    detail: str = ""  # a part of the reject's detail
    unknown_usage: bool = False
    no_words: bool = False  # neither a request id nor why it ended is kept


def put(path: str, value: Any) -> Mutation:
    """Replace what stands at a path of keys and positions; `...` removes it."""

    def change(reply: dict[str, Any]) -> None:
        at: Any = reply
        *way, last = [int(step) if step.isdigit() else step for step in path.split("/")]
        for step in way:
            at = at[step]
        if value is ...:
            del at[last]
        else:
            at[last] = value

    return change


WRONG_TEXTS = {"number": 7, "float": 0.5, "true": True, "list": [1], "object": {"a": 1}}
WRONG_COUNTS = {
    "text": "10",
    "negative": -10,
    "float": 1.5,
    "huge": 10**30,
    "absurd": 10**9,
    "list": [1],
    "true": True,
    "object": {},
}
BODIES = [
    Case("empty", "broken_body", body=b""),
    Case("html", "broken_body", body=b"<html>502</html>"),
    Case("cut off", "broken_body", body=b'{"id": "c", "choices": [{"mess'),
    Case("not UTF-8", "broken_body", body=b'{"id": "\xff"}'),
    Case("half a surrogate pair", "broken_body", body=b'{"id": "\\ud800"}'),
    Case("NaN", "broken_body", body=b'{"id": NaN}'),
    Case("nested deeply", "broken_body", body=b"[" * 100_000 + b"]" * 100_000),
    Case("a list", "unexpected_body", body=b"[]"),
    Case("a text", "unexpected_body", body=b'"hello"'),
    Case("a number", "unexpected_body", body=b"7"),
    Case("null", "unexpected_body", body=b"null"),
    Case("an error in a success", "unexpected_body", body=b'{"error": {"message": "no"}}', detail="is missing"),
    Case("17 MiB", "response_too_large", body=b" " * (17 << 20)),
    Case(
        "a gzip bomb",
        "response_too_large",
        body=gzip.compress(b" " * (64 << 20)),
        headers={"content-encoding": "gzip"},
        detail=f"{MAX_RESPONSE_BYTES:,}",
    ),
    Case("no gzip", "broken_body", body=b"{}", headers={"content-encoding": "gzip"}),
    *(
        Case(f"status 400: {name}", "bad_request", body=body, status=400)
        for name, body in {
            "nothing": b"",
            "a number for an error": b'{"error": 5}',
            "a list for a message": b'{"error": {"message": [1], "type": {}}}',
            "a list": b"[1]",
            "no UTF-8": b"\xff\xfe",
            "the key": json.dumps({"error": {"message": f"bad key {KEY} ({BARE_KEY})"}}).encode(),
        }.items()
    ),
]
OPENAI = [
    *(Case(f"id: {n}", "kept", put("id", v), no_words=True) for n, v in WRONG_TEXTS.items()),
    Case("id: long", "kept", put("id", "x" * 5000), no_words=True),
    Case("id: lines", "kept", put("id", "a\nb"), no_words=True),
    Case("id: the key", "kept", put("id", KEY), no_words=True),
    Case("id: the bare key", "kept", put("id", f"req/{BARE_KEY}"), no_words=True),
    *(Case(f"finish_reason: {n}", "kept", put("choices/0/finish_reason", v)) for n, v in WRONG_TEXTS.items()),
    *(
        Case(f"prompt_tokens: {n}", "kept", put("usage/prompt_tokens", v), unknown_usage=True)
        for n, v in WRONG_COUNTS.items()
    ),
    *(
        Case(f"completion_tokens: {n}", "kept", put("usage/completion_tokens", v), unknown_usage=True)
        for n, v in WRONG_COUNTS.items()
    ),
    *(
        Case(f"usage: {n}", "kept", put("usage", v), unknown_usage=True)
        for n, v in WRONG_TEXTS.items()
        if n != "object"
    ),
    Case("no usage", "kept", put("usage", ...), unknown_usage=True),
    Case(
        "more cached than all", "kept", put("usage/prompt_tokens_details", {"cached_tokens": 101}), unknown_usage=True
    ),
    Case("cached: text", "kept", put("usage/prompt_tokens_details", {"cached_tokens": "1"}), unknown_usage=True),
    Case(
        "reasoning: more than all",
        "kept",
        put("usage/completion_tokens_details", {"reasoning_tokens": 21}),
        unknown_usage=True,
    ),
    *(
        Case(f"content: {n}", "unexpected_body", put("choices/0/message/content", v), detail="content")
        for n, v in WRONG_TEXTS.items()
    ),
    Case(
        "content: parts of numbers",
        "unexpected_body",
        put("choices/0/message/content", [{"text": 7}]),
        detail="content",
    ),
    *(
        Case(f"{name}: {n}", "unexpected_body", put(f"choices/0/message/{name}", v), detail=name)
        for name in ("reasoning", "reasoning_content", "refusal")
        for n, v in WRONG_TEXTS.items()
    ),
    Case("no choices", "unexpected_body", put("choices", ...), detail="choices: is missing"),
    *(Case(f"choices: {n}", "unexpected_body", put("choices", v), detail="choices") for n, v in WRONG_TEXTS.items()),
    Case("choices: none", "unexpected_body", put("choices", []), detail="choices"),
    Case("no message", "unexpected_body", put("choices/0/message", ...), detail="message: is missing"),
    Case("message: text", "unexpected_body", put("choices/0/message", "hello"), detail="message"),
    Case("tool_calls: text", "unexpected_body", put("choices/0/message/tool_calls", "f"), detail="tool_calls"),
]
ANTHROPIC = [
    *(Case(f"id: {n}", "kept", put("id", v), no_words=True) for n, v in WRONG_TEXTS.items()),
    Case("id: the key", "kept", put("id", KEY), no_words=True),
    *(Case(f"stop_reason: {n}", "kept", put("stop_reason", v)) for n, v in WRONG_TEXTS.items()),
    *(
        Case(f"input_tokens: {n}", "kept", put("usage/input_tokens", v), unknown_usage=True)
        for n, v in WRONG_COUNTS.items()
    ),
    *(
        Case(f"cache_read: {n}", "kept", put("usage/cache_read_input_tokens", v), unknown_usage=True)
        for n, v in WRONG_COUNTS.items()
    ),
    Case("no usage", "kept", put("usage", ...), unknown_usage=True),
    *(Case(f"content: {n}", "unexpected_body", put("content", v), detail="content") for n, v in WRONG_TEXTS.items()),
    Case("content: text", "unexpected_body", put("content", "hello"), detail="content"),
    *(Case(f"text: {n}", "unexpected_body", put("content/0/text", v), detail="text") for n, v in WRONG_TEXTS.items()),
    Case("thinking: number", "unexpected_body", put("content/0/thinking", 7), detail="thinking"),
    Case("no type", "unexpected_body", put("content/0/type", ...), detail="type: is missing"),
    Case("no content", "unexpected_body", put("content", ...), detail="content: is missing"),
]
CASES = {"openai": [*BODIES, *OPENAI], "anthropic": [*BODIES, *ANTHROPIC]}
WIRES = {"openai": openai_reply, "anthropic": anthropic_reply}
HONEST = 10
EVERY = [(api, number) for api, cases in CASES.items() for number in range(len(cases))]


def answers(api: str) -> Callable[[dict[str, Any]], Any]:
    """The answer to each question: case i to question i, and honest ones to those behind."""

    def say(body: dict[str, Any]) -> Any:
        found = re.search(r"Question (\d+):", json.dumps(body))
        assert found
        number = int(found[1])
        if number >= len(CASES[api]):
            return {"text": RIGHT}
        case = CASES[api][number]
        content = case.body
        if content is None:
            reply = WIRES[api]("m", 100, 20, text=RIGHT)
            assert case.change
            case.change(reply)
            content = json.dumps(reply).encode()
        return web.Response(body=content, status=case.status, headers=case.headers, content_type="application/json")

    return say


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Corpus]]:
    """For each API a corpus whose every sample was asked about once."""
    made = {}
    for api, cases in CASES.items():
        with pytest.MonkeyPatch.context() as patch, Provider(say=answers(api), keep_bodies=False) as provider:
            patch.setenv(f"{api.upper()}_API_KEY", KEY)
            patch.setenv(f"{api.upper()}_BASE_URL", getattr(provider, f"{api}_url"))
            corpus = questions(tmp_path_factory.mktemp(api) / "corpus", len(cases) + HONEST)
            report = annotate(corpus, teacher=f"{api}:m", tries=1, odd_retries=0)
            assert report.stopped is None
            made[api] = corpus
    yield made
    for corpus in made.values():
        corpus.close()


def row(corpus: Corpus, table: str, number: int) -> dict[str, Any] | None:
    """The trace, or the reject, of question `number`."""
    sample = f"select sample_id from samples where problem like '%Question {number}:%'"
    where = f"sample_id = ({sample})" if table == "traces" else f"raw like '%' || ({sample}) || '%'"
    rows = corpus.sql(f"from {table} where {where}").to_arrow_table().to_pylist()
    assert len(rows) <= 1
    return rows[0] if rows else None


@pytest.mark.parametrize(("api", "number"), EVERY, ids=[f"{api}-{CASES[api][n].name}" for api, n in EVERY])
def test_an_answer_is_kept_as_far_as_it_can_be_or_named(api: str, number: int, outcomes: dict[str, Corpus]) -> None:
    case, corpus = CASES[api][number], outcomes[api]
    trace, reject = row(corpus, "traces", number), row(corpus, "rejects", number)
    if case.outcome != "kept":
        assert trace is None
        assert reject is not None
        assert reject["reason"] == case.outcome, reject
        assert case.detail in reject["detail"]
        return
    assert reject is None
    assert trace is not None
    assert trace["response"] == RIGHT
    assert (trace["input_tokens"] is None) == case.unknown_usage
    if case.no_words:
        assert trace["request_id"] is None


@pytest.mark.parametrize("api", CASES)
def test_no_neighbour_is_lost_and_no_key_is_kept(api: str, outcomes: dict[str, Corpus]) -> None:
    corpus, total = outcomes[api], len(CASES[api]) + HONEST
    counted = corpus.sql("select (select count(*) from traces) + (select count(*) from rejects)").fetchone()
    assert counted == (total,)
    for number in range(len(CASES[api]), total):
        trace = row(corpus, "traces", number)
        assert trace is not None
        assert (trace["response"], trace["input_tokens"]) == (RIGHT, 100)
    for path in corpus.root.rglob("*"):
        if path.is_file():
            assert BARE_KEY.encode() not in path.read_bytes(), path
    for table in ("traces", "rejects", "runs"):
        assert BARE_KEY not in str(corpus.sql(f"from {table}").fetchall())


@pytest.mark.parametrize("api", CASES)
def test_the_next_honest_commands_work_on_the_same_corpus(
    api: str, outcomes: dict[str, Corpus], monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = outcomes[api]
    with Provider() as provider:
        monkeypatch.setenv(f"{api.upper()}_BASE_URL", getattr(provider, f"{api}_url"))
        before = corpus.sql("select count(*) from traces").fetchall()[0][0]
        asked = len(CASES[api]) + HONEST
        assert annotate(corpus, teacher=f"{api}:honest").traces == asked
        assert corpus.sql("select count(*) from traces").fetchall()[0][0] == before + asked
    assert verify(corpus).traces == before + asked


PRICES = '["openai:m"]\ninput = 1000.0\noutput = 1000.0\n'


@pytest.mark.parametrize("count", [-10_000, -1, 10**9, "5", None])
def test_no_usage_that_a_provider_invents_lifts_the_budget(
    count: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer costs at least what it can cost at most where its tokens are unknown."""
    usage = {"prompt_tokens": count, "completion_tokens": count}
    prices = tmp_path / "prices.toml"
    prices.write_text(PRICES)
    with Provider(say=lambda body: {"text": RIGHT, "usage": usage}) as provider:
        monkeypatch.setenv("OPENAI_BASE_URL", provider.openai_url)
        corpus = questions(tmp_path / "corpus", 30)
        report = annotate(
            corpus, teacher="openai:m", budget_usd=Decimal("5"), prices=prices, max_tokens=100, concurrency=1
        )
        assert report.stopped == "budget"
        assert 0 < len(provider.asked) < 30
        assert report.cost_usd >= 0
        assert report.cost_usd + report.unsure_usd <= 5


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("api", CASES)
def test_a_redirect_to_another_host_is_not_followed(
    api: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Provider() as stranger:

        def say(body: dict[str, Any]) -> web.Response:
            where = getattr(stranger, f"{api}_url") + ("/chat/completions" if api == "openai" else "/v1/messages")
            return web.Response(status=status, headers={"location": where})

        with Provider(say=say) as provider:
            monkeypatch.setenv(f"{api.upper()}_BASE_URL", getattr(provider, f"{api}_url"))
            corpus = questions(tmp_path / "corpus", 2)
            with pytest.raises(OneThinkerError, match=r"other_host.*which was not asked"):
                annotate(corpus, teacher=f"{api}:m", tries=1)
        assert stranger.asked == []


class Endless(Provider):
    """Sends bytes for as long as the client reads."""

    sent = 0

    async def _answer(self, request: web.Request, key: str, body: Any, wire: Any) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/json"})
        await response.prepare(request)
        try:
            while True:
                await response.write(b" " * (1 << 20))
                self.sent += 1 << 20
                await asyncio.sleep(0)
        except ConnectionError:
            return response


@pytest.mark.parametrize("api", CASES)
def test_a_response_without_an_end_is_left_at_its_limit(
    api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Endless() as provider:
        monkeypatch.setenv(f"{api.upper()}_BASE_URL", getattr(provider, f"{api}_url"))
        corpus = questions(tmp_path / "corpus", 1)
        report = annotate(corpus, teacher=f"{api}:m", tries=1)
        assert report.rejects == {"response_too_large": 1}
    assert provider.sent < 4 * MAX_RESPONSE_BYTES, "what was under way is little more than the limit"
