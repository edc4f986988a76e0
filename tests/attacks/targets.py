"""What must hold of any bytes that come from outside: a function of bytes for each parser that stands at a border.

`tests.attacks.fuzz` calls them with inputs that it searches for, `test_targets.py` with the seeds.
"""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import fsspec
import pyarrow as pa

from annotators.messages import Failure, Reply
from annotators.payload import parse_reply
from annotators.settings import Settings
from corpus import json_stream, response, scoring
from corpus.task import format_answer
from corpus.tasks import tasks

KEY = "sk-fuzzed-9f3aQ7Lz0123456789"


def check_response(data: bytes) -> None:
    """Both readings of a response take any text, and a strict answer is a part of it, bare of tags."""
    text = data.decode("utf-8", "replace")
    form, body = response.split_released(text)
    assert form in (0.0, 1.0)
    assert isinstance(body, str)
    found = response.split(text)
    if found.answer is None:
        assert found.reason
        assert not found.well_formed
    else:
        assert found.answer in text
        assert response.ANSWER not in found.answer
        assert not found.well_formed or found.thinking is not None


def check_json(data: bytes) -> None:
    """Whatever a file holds, its rows come out numbered in order; of a sound list, each with its value."""
    system = fsspec.filesystem("memory")
    system.pipe("/fuzzed.json", data)
    outcomes = list(json_stream.rows("memory:///fuzzed.json"))
    assert [one.row for one in outcomes] == sorted({one.row for one in outcomes})
    try:
        values = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return
    if isinstance(values, list):
        assert len(outcomes) == len(values), "each item of a list is a row or a named reject"


def check_answer(data: bytes) -> None:
    """Every task scores any text under both profiles, in range; its first byte chooses the task."""
    names = sorted(tasks())
    task = tasks()[names[data[0] % len(names)]] if data else tasks()[names[0]]
    example = task.examples[0]
    table = pa.table(
        {
            "response": [response.wrap("", data[1:].decode("utf-8", "replace"))],
            "ground_truth": [format_answer(example.truth)],
            "problem_type": [task.name],
            "data_type": [example.data_type],
            "options": pa.array([example.options], pa.list_(pa.string())),
        }
    )
    for profile in scoring.PROFILES:
        row = scoring.score(table, profile).to_pylist()[0]
        assert row["accuracy"] is not None, (profile, row)
        assert 0 <= row["accuracy"] <= 1, (profile, row)
        assert 0 <= row["reward"] <= 1.5 + 1e-9, (profile, row)


def check_reply(data: bytes) -> None:
    """A provider's body of any bytes becomes a reply that Arrow takes, or a named failure."""
    for teacher in _teachers():
        try:
            reply = parse_reply(data, KEY, teacher.read)
        except Failure:
            continue
        _check_fields(reply)


def _check_fields(reply: Reply) -> None:
    texts = (reply.text, reply.thinking, reply.finish_reason, reply.request_id)
    assert pa.array(texts, pa.string())
    counts = (reply.input_tokens, reply.output_tokens, reply.cached_tokens, reply.reasoning_tokens)
    assert pa.array(counts, pa.int64())
    assert all(count is None or count >= 0 for count in counts)


@cache
def _teachers() -> list[Any]:
    from annotators.providers import anthropic, openai, openai_responses

    settings = Settings(teacher="openai:fuzzed", dry_run=True)
    return [module.connect("fuzzed", settings) for module in (openai, openai_responses, anthropic)]


TARGETS: dict[str, Callable[[bytes], None]] = {
    "response": check_response,
    "json": check_json,
    "answer": check_answer,
    "reply": check_reply,
}
