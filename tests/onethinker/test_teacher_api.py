"""The API of the local teacher: the official SDKs work with it, and it refuses what the real APIs refuse."""

import asyncio
import base64
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import cv2
import numpy as np
import openai
import pytest

from corpus.errors import OneThinkerError, UsageError
from onethinker.demo.teacher import TeacherServer, serve
from onethinker.demo.teacher.server import TeacherApp

QUESTION = "How many shapes are there in the image?"
MODEL = "local/pixels-1"


def two_shapes() -> str:
    pixels = np.full((240, 320, 3), 150, np.uint8)
    cv2.circle(pixels, (80, 120), 40, (44, 40, 214), -1)  # BGR
    cv2.rectangle(pixels, (200, 80), (270, 150), (214, 92, 44), -1)
    return base64.b64encode(cv2.imencode(".png", pixels)[1]).decode()


PICTURE = two_shapes()
CHAT = [
    {
        "role": "user",
        "content": [
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}},
            {"type": "text", "text": QUESTION},
        ],
    }
]
MESSAGES = [
    {
        "role": "user",
        "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}},
            {"type": "text", "text": QUESTION},
        ],
    }
]


@pytest.fixture(scope="module")
def server() -> Iterator[TeacherServer]:
    with serve(error_rate=0.0) as running:
        yield running


@pytest.fixture
def chat(server: TeacherServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.openai_base_url, api_key="any", max_retries=0)


@pytest.fixture
def claude(server: TeacherServer) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=server.anthropic_base_url, api_key="any", max_retries=0)


def test_a_chat_completion_has_answer_usage_and_request_id(chat: openai.OpenAI) -> None:
    done = chat.chat.completions.create(model=MODEL, messages=CHAT)
    assert done.choices[0].message.content.endswith("<answer>2</answer>")
    assert done.choices[0].finish_reason == "stop"
    assert done.usage.prompt_tokens == 255 + (len(QUESTION) + 3) // 4 + 2 * 3  # one tile, the text, two parts
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens
    assert 0 < done.usage.completion_tokens_details.reasoning_tokens < done.usage.completion_tokens
    assert done.usage.prompt_tokens_details.cached_tokens == 0
    assert done._request_id.startswith("req_")


def test_a_long_system_prompt_counts_as_cached(chat: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    system = "Answer with care. " * 400
    done = chat.chat.completions.create(model=MODEL, messages=[{"role": "system", "content": system}, *CHAT])
    assert done.usage.prompt_tokens_details.cached_tokens == len(system) / 4
    marked = [{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}]
    said = claude.messages.create(model=MODEL, max_tokens=900, system=marked, messages=MESSAGES)
    assert said.usage.cache_read_input_tokens == len(system) / 4
    assert said.usage.input_tokens + said.usage.cache_read_input_tokens == done.usage.prompt_tokens


def test_a_streamed_completion_adds_up_to_the_whole_one(chat: openai.OpenAI) -> None:
    whole = chat.chat.completions.create(model=MODEL, messages=CHAT, extra_headers={"Idempotency-Key": "same"})
    chunks = list(
        chat.chat.completions.create(
            model=MODEL,
            messages=CHAT,
            stream=True,
            stream_options={"include_usage": True},
            extra_headers={"Idempotency-Key": "same"},
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage == whole.usage
    assert chunks[-1].choices == []
    assert chunks[0].id == whole.id


def test_several_choices_and_a_limit_of_tokens(chat: openai.OpenAI) -> None:
    done = chat.chat.completions.create(model=MODEL, messages=CHAT, n=3, max_completion_tokens=10)
    assert [choice.finish_reason for choice in done.choices] == ["length"] * 3
    assert all(len(choice.message.content) == 40 for choice in done.choices)
    assert done.usage.completion_tokens == 30


def test_the_responses_api_whole_and_streamed(chat: openai.OpenAI) -> None:
    content = [
        {"type": "input_text", "text": QUESTION},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PICTURE}"},
    ]
    done = chat.responses.create(model=MODEL, input=[{"role": "user", "content": content}])
    assert done.output_text.endswith("<answer>2</answer>")
    assert done.status == "completed"
    assert done.usage.output_tokens_details.reasoning_tokens > 0
    short = chat.responses.create(model=MODEL, input="What do you see?", max_output_tokens=4)
    assert (short.status, short.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    with chat.responses.stream(model=MODEL, input="What do you see?", instructions="Be brief.") as stream:
        deltas = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        assert stream.get_final_response().output_text == deltas != ""


def test_a_message_has_answer_usage_and_request_id(claude: anthropic.Anthropic) -> None:
    said = claude.messages.create(model=MODEL, max_tokens=500, messages=MESSAGES)
    assert said.content[0].text.endswith("<answer>2</answer>")
    assert said.stop_reason == "end_turn"
    assert said.usage.output_tokens_details.thinking_tokens > 0
    assert said._request_id.startswith("req_")
    assert claude.messages.count_tokens(model=MODEL, messages=MESSAGES).input_tokens == said.usage.input_tokens
    short = claude.messages.create(model=MODEL, max_tokens=5, messages=MESSAGES)
    assert (short.stop_reason, len(short.content[0].text)) == ("max_tokens", 20)


def test_a_streamed_message_adds_up_to_the_whole_one(claude: anthropic.Anthropic) -> None:
    same: dict[str, Any] = {
        "model": MODEL,
        "max_tokens": 500,
        "messages": MESSAGES,
        "extra_headers": {"Idempotency-Key": "same"},
    }
    whole = claude.messages.create(**same)
    with claude.messages.stream(**same) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == whole.content[0].text
    assert (final.id, final.usage, final.stop_reason) == (whole.id, whole.usage, whole.stop_reason)


def test_both_apis_list_the_models(chat: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    assert [model.id for model in chat.models.list()] == ["local/pixels-1", "local/pixels-mini"]
    assert [model.id for model in claude.models.list()] == ["local/pixels-1", "local/pixels-mini"]
    assert chat.models.retrieve("local/pixels-mini").owned_by == "onethinker"
    assert claude.models.retrieve("local/pixels-mini").display_name == "Pixels Mini"


CONTENT = "messages[0].content[0]"


def picture(url: str, kind: str = "image_url") -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": kind, kind: {"url": url}}]}]}


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"messages": []}, 400, "'messages', a non-empty array"),
        ({"messages": None}, 400, "'messages', a non-empty array"),
        ({"messages": [{"role": "nobody", "content": "x"}]}, 400, "messages[0].role"),
        ({"messages": ["x"]}, 400, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, 400, "expected a string or an array"),
        ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, 400, "Invalid value: 'smell'"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, 400, "missing 'text'"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]}, 400, "must be a string"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]}, 400, CONTENT),
        (picture("http://x/y.png"), 400, "fetches nothing"),
        (picture("data:,x"), 400, "must be base64"),
        (picture("data:;base64,*"), 400, "not base64"),
        (picture("data:;base64,QQ=="), 400, "unsupported image"),
        (picture("data:;base64,QQ==", "video_url"), 400, "video could not be read"),
        ({"max_tokens": 0}, 400, "must be at least 1"),
        ({"max_tokens": "many"}, 400, "must be an integer"),
        ({"n": 1000}, 400, "at most 128"),
        ({"model": "gpt-none"}, 404, "does not exist"),
        ({"model": "local/pixels-2"}, 404, "did you mean"),
        ({"model": 5}, 400, "model: Field required"),
    ],
)  # fmt: skip
def test_chat_refuses_bad_requests_in_openais_shape(
    server: TeacherServer, change: dict[str, Any], status: int, words: str
) -> None:
    found, body = post(server.openai_base_url + "/chat/completions", {"model": MODEL, "messages": CHAT, **change})
    assert found == status
    assert words in body["error"]["message"]
    assert set(body["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("change", "status", "kind", "words"),
    [
        ({"max_tokens": None}, 400, "invalid_request_error", "max_tokens: Field required"),
        ({"max_tokens": -1}, 400, "invalid_request_error", "max_tokens"),
        ({"messages": []}, 400, "invalid_request_error", "at least one message is required"),
        ({"messages": None}, 400, "invalid_request_error", "messages: Field required"),
        ({"messages": [{"role": "system", "content": "x"}]}, 400, "invalid_request_error", "messages.0.role"),
        ({"messages": [{"role": "user", "content": 5}]}, 400, "invalid_request_error", "valid string or list"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, 400, "invalid_request_error", "valid string"),
        ({"messages": [{"role": "user", "content": [5]}]}, 400, "invalid_request_error", "Input tag 'None'"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "x"}}]}]},
         400, "invalid_request_error", "fetches nothing"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64"}}]}]},
         400, "invalid_request_error", "media_type"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {
            "type": "base64", "media_type": "image/png", "data": "*"}}]}]}, 400, "invalid_request_error", "not base64"),
        ({"system": 5}, 400, "invalid_request_error", "system: Input should be"),
        ({"model": "claude-none"}, 404, "not_found_error", "model: claude-none"),
    ],
)  # fmt: skip
def test_messages_refuses_bad_requests_in_anthropics_shape(
    server: TeacherServer, change: dict[str, Any], status: int, kind: str, words: str
) -> None:
    request = {"model": MODEL, "max_tokens": 100, "messages": MESSAGES, **change}
    found, body = post(server.anthropic_base_url + "/v1/messages", request)
    assert (found, body["type"], body["error"]["type"]) == (status, "error", kind)
    assert words in body["error"]["message"]
    assert body["request_id"].startswith("req_")


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/messages/count_tokens"])
def test_what_is_no_json_object_is_refused(server: TeacherServer, path: str, raw: bytes) -> None:
    status, body = post(server.anthropic_base_url + path, raw)
    assert status == 400
    assert body["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens", "/v1/models"])
def test_no_key_is_401_any_key_will_do(server: TeacherServer, path: str) -> None:
    body = (
        None
        if path.endswith("models")
        else {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}
    )
    assert post(server.anthropic_base_url + path, body, key=None)[0] == 401
    assert post(server.anthropic_base_url + path, body)[0] == 200


def test_unknown_paths_and_models_are_404_and_wrong_verbs_405(server: TeacherServer) -> None:
    home = server.anthropic_base_url
    assert post(f"{home}/v1/nothing", {})[0] == 404
    assert post(f"{home}/v1/models/nothing", None)[0] == 404
    assert post(f"{home}/v1/messages", None)[0] == 405


def post(url: str, body: Any, key: str | None = "any") -> tuple[int, dict[str, Any]]:
    """Send JSON (or raw bytes; None is a GET) and return status and JSON of the reply, whatever the status."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {key}", "x-api-key": key} if key else {}
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_the_request_log_lists_answers_and_no_refusals() -> None:
    with serve(error_rate=0.0) as server:
        client = openai.OpenAI(base_url=server.openai_base_url, api_key="any", max_retries=0)
        for key in ("one", "two", "one"):
            client.chat.completions.create(model="pixels-1", messages=CHAT, extra_headers={"Idempotency-Key": key})
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="nobody", messages=CHAT, extra_headers={"Idempotency-Key": "three"})
        claude = anthropic.Anthropic(base_url=server.anthropic_base_url, api_key="any", max_retries=0)
        claude.messages.create(model="pixels-1", max_tokens=500, messages=MESSAGES)
        assert server.requests.count == 4
        assert server.requests.keys == ["one", "two", "one"]
        assert [billed.api for billed in server.requests.answers] == ["openai"] * 3 + ["anthropic"]
        assert all(billed.delivered and not billed.wrong for billed in server.requests.answers)
        assert post(server.anthropic_base_url + "/requests", None)[1]["count"] == 4


def test_many_requests_wait_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request waits until all 60 have arrived: answered one after the other, none would ever be."""
    arrived, everybody = 0, asyncio.Event()

    async def wait(_: TeacherApp) -> None:
        nonlocal arrived
        arrived += 1
        if arrived == 60:
            everybody.set()
        await everybody.wait()

    monkeypatch.setattr(TeacherApp, "wait", wait)
    with serve(error_rate=0.0) as server:
        client = openai.AsyncOpenAI(base_url=server.openai_base_url, api_key="any", max_retries=0)

        async def all_at_once() -> list[Any]:
            calls = (client.chat.completions.create(model=MODEL, messages=CHAT) for _ in range(60))
            return await asyncio.gather(*calls)

        assert len(asyncio.run(all_at_once())) == 60


def test_the_latency_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("onethinker.demo.teacher.server.sleep", sleep)
    with serve(latency_ms=1500) as server:
        client = openai.OpenAI(base_url=server.openai_base_url, api_key="any", max_retries=0)
        client.chat.completions.create(model=MODEL, messages=CHAT)
    assert waited == [1.5]


def test_replies_do_not_depend_on_how_many_are_asked_at_once() -> None:
    with serve(seed=5, error_rate=0.5) as server:
        client = openai.OpenAI(base_url=server.openai_base_url, api_key="any", max_retries=0)

        def ask(number: int) -> str:
            headers = {"Idempotency-Key": f"key-{number}"}
            done = client.chat.completions.create(model=MODEL, messages=CHAT, extra_headers=headers)
            return done.choices[0].message.content

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(ask, range(24))) == [ask(number) for number in range(24)]


def test_settings_out_of_range_and_taken_ports_are_named(server: TeacherServer) -> None:
    with pytest.raises(UsageError, match="give a number from 0 to 1"), serve(error_rate=1.5):
        pass
    with pytest.raises(UsageError, match="give 0 to 600000"), serve(latency_ms=-1):
        pass
    with pytest.raises(OneThinkerError, match="`--port 0` picks a free one"), serve(port=server.port):
        pass


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_stopped(stop: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "onethinker.cli", "teacher", "--port", "0", "--error-rate", "0"]
    folder = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, env={**os.environ}
    ) as process:
        said = dict(word.split("=", 1) for _ in range(3) for word in process.stdout.readline().split() if "=" in word)
        client = openai.OpenAI(base_url=said["OPENAI_BASE_URL"], api_key=said["OPENAI_API_KEY"], max_retries=0)
        done = client.chat.completions.create(model=MODEL, messages=CHAT)
        assert done.choices[0].message.content.endswith("<answer>2</answer>")
        assert said["ONETHINKER_TEACHER_URL"] == said["OPENAI_BASE_URL"]
        assert said["ANTHROPIC_BASE_URL"] + "/v1" == said["OPENAI_BASE_URL"]
        process.send_signal(stop)
        _, errors = process.communicate()
        assert process.returncode == 0
        assert "Traceback" not in errors
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", int(said["ANTHROPIC_BASE_URL"].rsplit(":", 1)[1]))) != 0
