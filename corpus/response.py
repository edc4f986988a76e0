"""Parsing of a response into its `<think>` and `<answer>` parts, strictly and as the released reward does.

A well-formed response is `<think>…</think><answer>…</answer>`, white space allowed between and around the blocks.
"""

import re
from dataclasses import dataclass

THINK, END_THINK, ANSWER, END_ANSWER = "<think>", "</think>", "<answer>", "</answer>"
_TAG = re.compile(r"</?(?:think|answer)>")
_SEPARATOR = re.compile(r"([<>/])")
# Tags as the released reward finds them: it first takes away all white space round `<`, `>` and `/`.
_LOOSE_THINK = re.compile(r"\s*<\s*think\s*>")
_LOOSE_MIDDLE = re.compile(r"<\s*/\s*think\s*>\s*<\s*answer\s*>")
_LOOSE_ANSWER = re.compile(r"<\s*answer\s*>")
_LOOSE_END = re.compile(r"<\s*/\s*answer\s*>\s*")


@dataclass(frozen=True, slots=True)
class Response:
    """A parsed response. `answer` is None if there is no readable block; `reason` then says why in one word."""

    thinking: str | None
    answer: str | None
    well_formed: bool
    reason: str | None = None


def split(text: str | None) -> Response:
    """The strict reading: the one final answer block, right at the end, and the thinking before it.

    Tags are taken as written (`< answer >` is not a tag). All of a `<think>` block is thinking, answer tags included,
    so that a draft cannot be graded as the answer. Reasons: `no_response`, `no_answer_block`,
    `answer_not_closed`, `text_after_answer`, `several_answers`, `tags_in_answer`, `empty_answer`. A response that
    has a final answer block but no proper thinking before it is read, and is not well formed.
    """
    form, answer, reason = final_answer(text or "")
    head, closed, _ = (text or "").strip().rpartition(END_THINK)
    thinking = head.removeprefix(THINK).strip() if closed else None
    return Response(thinking, answer, bool(form), reason)


def final_answer(text: str) -> tuple[float, str | None, str | None]:
    """(format, answer, reason) as in `split`, without copying the thinking."""
    closed = text.rfind(END_THINK)
    after_thinking = closed + len(END_THINK) if closed >= 0 else 0
    start = text.find(ANSWER, after_thinking)
    if start < 0:
        return 0.0, None, "no_answer_block" if text and not text.isspace() else "no_response"
    tail = text[start + len(ANSWER) :].rstrip()
    if not tail.endswith(END_ANSWER):
        return 0.0, None, "text_after_answer" if END_ANSWER in tail else "answer_not_closed"
    body = tail[: -len(END_ANSWER)].strip()
    if not body:
        return 0.0, None, "empty_answer"
    if "<" in body and (found := _TAG.search(body)):
        return 0.0, None, "several_answers" if found[0] in (ANSWER, END_ANSWER) else "tags_in_answer"
    opened = text.find(THINK)
    well_formed = (
        0 <= opened < closed
        and not text[:opened].strip()
        and not text[after_thinking:start].strip()
        and not _holds_think_tags(text, opened + len(THINK), closed)
    )
    return float(well_formed), body, None


def _holds_think_tags(text: str, start: int, end: int) -> bool:
    if text.find(">", start, end) < 0:  # one character is found many times faster than a word
        return False
    return text.find(THINK, start, end) >= 0 or text.find(END_THINK, start, end) >= 0


def split_released(text: str) -> tuple[float, str]:
    """The released reading: (format, text to grade), as the published reward takes a response apart.

    White space around every `<`, `>` and `/` is removed first, in the answer too. The first answer block counts,
    wherever it is; if it is empty or absent, the whole response is graded.
    """
    first, last = _LOOSE_THINK.match(text), _LOOSE_END.fullmatch(text, max(0, text.rfind("<")))
    well_formed = first and last and _LOOSE_MIDDLE.search(text, first.end(), last.start())
    opened = _LOOSE_ANSWER.search(text)
    closed = _LOOSE_END.search(text, opened.end()) if opened else None
    body = _strip_around_tags(text[opened.end() : closed.start()]) if opened and closed else ""
    return float(bool(well_formed)), body or _strip_around_tags(text)


def _strip_around_tags(text: str) -> str:
    """A text without the white space around it and around every `<`, `>` and `/`."""
    if "<" in text or "/" in text or ">" in text:
        text = "".join(map(str.strip, _SEPARATOR.split(text)))
    return text.strip()


def block(text: str) -> str:
    """The body of the first `<answer>…</answer>` of a text, stripped; empty if there is none."""
    start = text.find(ANSWER)
    if start < 0:
        return ""
    start += len(ANSWER)
    end = text.find(END_ANSWER, start)
    return text[start:end].strip() if end >= 0 else ""


def wrap(thinking: str, answer: str) -> str:
    """A well-formed response of two parts."""
    return f"{THINK}{thinking}{END_THINK}\n{ANSWER}{answer}{END_ANSWER}"
