"""Odd replies: what is kept of them and the word that they are flagged with."""

import pytest

from annotators.flags import parse_response
from annotators.messages import Reply

GOOD = "<think>so</think><answer>B</answer>"


def reply(text: str, thinking: str | None = None, finish: str = "stop") -> Reply:
    return Reply(text=text, thinking=thinking, finish_reason=finish)


@pytest.mark.parametrize(
    ("given", "flag", "answer"),
    [
        (reply(GOOD), None, "B"),
        (reply("The answer is B."), "no_tags", None),
        (reply("<answer>B</answer>"), "no_thinking", "B"),
        (reply("<think>a</think><answer>A</answer><answer>B</answer>"), "two_answers", None),
        (reply(GOOD + " I hope this helps!"), "text_after_answer", None),
        (reply("<think>so</think><answer></answer>"), "empty_answer", None),
        (reply("<think>so, and then", finish="length"), "truncated", None),
        (reply(GOOD, finish="length"), None, "B"),
        (reply(""), "empty", None),
        (reply("   "), "empty", None),
        (reply("I cannot help with that.", finish="refusal"), "refused", None),
        (reply("", finish="content_filter"), "refused", None),
        (reply("", finish="tool_calls"), "tool_call", None),
        (reply("<think>我看到一只猫,所以选择第二个</think><answer>B</answer>"), "other_language", "B"),
        (reply("<think>It says «café», π ≈ 3</think><answer>B</answer>"), None, "B"),
    ],
    ids=lambda value: value.text[:24] if isinstance(value, Reply) else None,
)
def test_what_is_odd_has_a_word(given: Reply, flag: str | None, answer: str | None) -> None:
    seen = parse_response(given, "Which animal is it?")
    assert (seen.flag, seen.answer) == (flag, answer)


def test_an_answer_in_the_question_s_language_is_not_odd() -> None:
    assert parse_response(reply("<think>我看到一只猫</think><answer>B</answer>"), "这是什么动物?").flag is None


@pytest.mark.parametrize(
    ("text", "thinking", "response"),
    [
        ("<answer>B</answer>", "apart", "<think>apart</think>\n<answer>B</answer>"),
        (GOOD, "apart", GOOD),
        ("in the template</think>\n<answer>B</answer>", None, "<think>in the template</think>\n<answer>B</answer>"),
        ("", "thought and never said", "<think>thought and never said</think>"),
    ],
)
def test_thinking_apart_and_thinking_in_tags_end_alike(text: str, thinking: str | None, response: str) -> None:
    assert parse_response(reply(text, thinking), "?").response == response
