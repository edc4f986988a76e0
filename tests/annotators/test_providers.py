"""What each provider is sent, what is read of its replies, and what its errors mean."""

from typing import Any

import pytest

from annotators.http import retry_after, status_failure
from annotators.messages import ImagePart, PayloadError, Reply, Request, TextPart, VideoPart
from annotators.payload import clean
from annotators.providers import connect
from annotators.settings import Settings
from corpus.discovery import names
from corpus.errors import OneThinkerError, UsageError
from tests.annotators.serving import anthropic_reply, openai_reply

PARTS = (TextPart("before"), ImagePart("image/png", "QUJD", 10, 10), TextPart("after"))


def teacher(name: str, **given: Any) -> Any:
    return connect(Settings(teacher=f"{name}:m", **given))


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI", "ANTHROPIC", "GEMINI", "ARK", "OPENROUTER"):
        monkeypatch.setenv(f"{variable}_API_KEY", "k")
        monkeypatch.delenv(f"{variable}_BASE_URL", raising=False)


@pytest.mark.parametrize("key", ["…", "sk-abc def", "sk-a\u00a0b", "sk-a\nX-Header: 1"])
def test_a_key_that_no_header_can_carry_is_refused_by_its_variable(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(OneThinkerError, match="OPENAI_API_KEY is no API key: it holds"):
        teacher("openai")


@pytest.mark.parametrize(
    "name", [name for name in names("annotators.providers") if name not in ("vllm", "openai_responses")]
)
def test_every_provider_builds_a_body_of_the_parts_in_order(name: str) -> None:
    body = teacher(name).body(Request(parts=PARTS, max_tokens=7, system="be brief"))
    content = body["messages"][-1]["content"]
    assert [part["type"] in ("image", "image_url") for part in content] == [False, True, False]
    assert "QUJD" in str(content[1])
    assert 7 in (body.get("max_tokens"), body.get("max_completion_tokens"))
    assert "be brief" in str(body)


def test_openai_takes_a_seed_and_a_plain_string_for_words_alone() -> None:
    body = teacher("openai").body(Request(parts=(TextPart("hello"),), max_tokens=7, seed=3, temperature=0.5))
    assert body["messages"] == [{"role": "user", "content": "hello"}]
    assert (body["seed"], body["temperature"], body["max_completion_tokens"]) == (3, 0.5, 7)


def test_other_servers_are_asked_in_the_older_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")
    of = teacher("openai")
    assert of.body(Request(parts=(TextPart("x"),), max_tokens=7))["max_tokens"] == 7
    assert of.address == "http://127.0.0.1:8000/v1"


def test_anthropic_thinks_within_a_budget_of_its_own_and_caches_for_many_traces() -> None:
    body = teacher("anthropic", n=4).body(Request(parts=PARTS, max_tokens=100, thinking_tokens=2000, temperature=0.5))
    assert body["max_tokens"] == 2100
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 2000}
    assert "temperature" not in body
    assert body["messages"][0]["content"][-1]["cache_control"] == {"type": "ephemeral"}
    once = teacher("anthropic").body(Request(parts=PARTS, max_tokens=100))
    assert "cache_control" not in once["messages"][0]["content"][-1]


def test_videos_go_whole_where_the_api_takes_them() -> None:
    clip = Request(parts=(VideoPart("video/mp4", "QUJD", 3.0), TextPart("what?")), max_tokens=7)
    part = teacher("openai", native_video=True).body(clip)["messages"][0]["content"][0]
    assert part == {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,QUJD"}}
    with pytest.raises(UsageError, match="--native-video"):
        teacher("anthropic", native_video=True)


def test_usage_is_read_with_its_parts() -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 60}, "completion_tokens_details": {"reasoning_tokens": 9}}
    reply: Reply = teacher("openai").read(openai_reply("m", 100, 20, text="x", usage=details))
    assert (reply.input_tokens, reply.cached_tokens, reply.output_tokens, reply.reasoning_tokens) == (100, 60, 20, 9)
    usage = {"cache_read_input_tokens": 60, "cache_creation_input_tokens": 40}
    reply = teacher("anthropic").read(anthropic_reply("m", 100, 20, text="x", usage=usage))
    assert (reply.input_tokens, reply.cached_tokens, reply.cache_write_tokens) == (200, 60, 40)


@pytest.mark.parametrize(("name", "wire"), [("openai", openai_reply), ("anthropic", anthropic_reply)])
@pytest.mark.parametrize(
    ("said", "finish", "thinking"),
    [
        ({"text": "x", "thinking": "hm"}, "stop", "hm"),
        ({"text": "x", "finish": "length"}, "length", None),
        ({"text": None, "tool": True}, "tool_calls", None),
        ({"text": None, "refusal": "no"}, "refusal", None),
    ],
)
def test_replies_are_read_alike(name: str, wire: Any, said: dict[str, Any], finish: str, thinking: str | None) -> None:
    reply: Reply = teacher(name).read(wire("m", 1, 1, **said))
    assert (reply.finish_reason, reply.thinking) == (finish, thinking)


@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_a_payload_that_is_no_reply_is_unreadable(name: str) -> None:
    with pytest.raises(PayloadError):
        teacher(name).read({"type": "error", "choices": [], "error": {}})


@pytest.mark.parametrize(
    ("status", "detail", "reason", "again", "overload", "fatal"),
    [
        (429, "slow down", "rate_limited", True, True, False),
        (429, "You exceeded your current quota, check your billing details", "rate_limited", True, True, False),
        (429, "insufficient_quota", "no_credit", False, False, True),
        (400, "Your credit balance is too low", "no_credit", False, False, True),
        (529, "overloaded_error", "overloaded", True, True, False),
        (503, "", "overloaded", True, True, False),
        (500, "", "server_error", True, False, False),
        (408, "", "server_error", True, False, False),
        (401, "", "refused_key", False, False, True),
        (403, "", "refused_key", False, False, True),
        (404, "", "unknown_model", False, False, True),
        (400, "image too large", "bad_request", False, False, False),
    ],
)
def test_each_status_has_its_meaning(
    status: int, detail: str, reason: str, again: bool, overload: bool, fatal: bool
) -> None:
    failure = status_failure(status, detail)
    assert (failure.reason, failure.retryable, failure.overload, failure.fatal) == (reason, again, overload, fatal)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "1e999"}, 3600.0),
        ({"retry-after": "99999999"}, 3600.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_keys_are_blanked_out_of_what_is_told() -> None:
    key = "sk-ant-4Qz81hKw20xVb7Lm"
    text = f"bad key {key}, its end 4Qz81hKw20xVb7Lm, another's sk-abcdefgh12345678, header Bearer xyz12345"
    assert clean(text, key) == "bad key [key], its end [key], another's [key], header [key]"


def test_the_responses_api_tells_the_thinking() -> None:
    of = teacher("openai_responses")
    body = of.body(Request(parts=PARTS, max_tokens=7, system="be brief", effort="low", seed=3))
    assert [part["type"] for part in body["input"][0]["content"]] == ["input_text", "input_image", "input_text"]
    assert (body["max_output_tokens"], body["instructions"], body["store"]) == (7, "be brief", False)
    assert body["reasoning"] == {"effort": "low", "summary": "auto"}
    payload = {
        "id": "resp_1",
        "status": "completed",
        "output": [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "I see."}]},
            {"type": "message", "content": [{"type": "output_text", "text": "<answer>B</answer>"}]},
        ],
        "usage": {
            "input_tokens": 10,
            "output_tokens": 5,
            "input_tokens_details": {"cached_tokens": 4},
            "output_tokens_details": {"reasoning_tokens": 3},
        },
    }
    reply = of.read(payload)
    assert (reply.text, reply.thinking, reply.finish_reason) == ("<answer>B</answer>", "I see.", "stop")
    assert (reply.input_tokens, reply.cached_tokens, reply.output_tokens, reply.reasoning_tokens) == (10, 4, 5, 3)
    cut = payload | {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    assert of.read(cut).finish_reason == "length"
    with pytest.raises(PayloadError):
        of.read({"error": {}})


def test_vllm_in_process_generates_together_and_finds_the_bad_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM itself needs a GPU: this stands in for its `LLM.chat`, with the fields that its outputs have."""
    import asyncio
    import sys
    from types import ModuleType, SimpleNamespace

    from annotators.messages import Failure

    calls: list[int] = []

    class LLM:
        def __init__(self, **given: Any) -> None:
            assert given["model"] == "m"

        def chat(self, conversations: list[Any], sampling_params: list[Any], use_tqdm: bool) -> list[Any]:
            calls.append(len(conversations))
            if any("too long" in str(messages) for messages in conversations):
                raise ValueError("the prompt is too long")
            assert [p.max_tokens for p in sampling_params] == [9] * len(conversations)
            said = SimpleNamespace(text="<answer>B</answer>", finish_reason="stop", token_ids=[1, 2])
            return [
                SimpleNamespace(outputs=[said], prompt_token_ids=[1, 2, 3], request_id=str(i))
                for i in range(len(conversations))
            ]

    fake = ModuleType("vllm")
    fake.LLM = LLM  # type: ignore[attr-defined]
    fake.SamplingParams = lambda **given: SimpleNamespace(**given)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", fake)

    async def main() -> list[Any]:
        import orjson

        of = teacher("vllm")
        bodies = [
            orjson.dumps(of.body(Request((TextPart(text),), max_tokens=9))) for text in ("a", "b", "too long", "c")
        ]
        return await asyncio.gather(*(of.send(body, "k") for body in bodies), return_exceptions=True)

    a, b, bad, c = asyncio.run(main())
    assert isinstance(bad, Failure)
    assert "too long" in bad.detail
    assert [(r.text, r.input_tokens, r.output_tokens) for r in (a, b, c)] == [("<answer>B</answer>", 3, 2)] * 3
    assert calls == [4, 1, 1, 1, 1]


def test_without_vllm_it_says_how_to_get_it() -> None:
    from corpus import OneThinkerError

    with pytest.raises(OneThinkerError, match=r"pip install 'onethinker\[vllm\]'"):
        teacher("vllm")
