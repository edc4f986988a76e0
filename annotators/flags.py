"""Replies as responses of the corpus: thinking and answer in tags, and one word for what is odd about them."""

import unicodedata
from collections import Counter
from dataclasses import dataclass

from annotators.messages import Reply
from corpus.response import END_THINK, THINK, split

# What `corpus.response.split` says of an answer that it cannot read, in the words that traces are flagged with.
_UNREAD = {
    "no_response": "empty",
    "no_answer_block": "no_tags",
    "answer_not_closed": "no_tags",
    "several_answers": "two_answers",
    "text_after_answer": "text_after_answer",
    "tags_in_answer": "tags_in_answer",
    "empty_answer": "empty_answer",
}
RETRIED = ("truncated", "tool_call", *dict.fromkeys(_UNREAD.values()))
"""Flags whose response has no answer to read, so that asking once more may be worth its price. A refusal is not: the
model said no, and would again."""


@dataclass(frozen=True, slots=True)
class ParsedResponse:
    """A reply as a trace keeps it; `flag` is None for a well-formed response in the question's language."""

    response: str
    thinking: str | None
    answer: str | None
    flag: str | None


def parse_response(reply: Reply, question: str) -> ParsedResponse:
    """The reply's response and its parts; the first flag that applies, the gravest first.

    refused, tool_call, empty, truncated, then what is odd about the tags, `no_thinking`, `other_language`.
    """
    response = response_text(reply)
    parts = split(response)
    flag = None
    if reply.finish_reason in ("refusal", "content_filter"):
        flag = "refused"
    elif reply.finish_reason == "tool_calls":
        flag = "tool_call"
    elif parts.answer is None:
        empty = not reply.text.strip()
        cut = reply.finish_reason == "length"
        flag = "truncated" if cut else "empty" if empty else _UNREAD.get(parts.reason or "", "no_tags")
    elif not parts.well_formed:
        flag = "no_thinking"
    elif not response.isascii() and _script(parts.thinking or "") not in ("LATIN", _script(question)):
        flag = "other_language"
    return ParsedResponse(response, parts.thinking, parts.answer, flag)


def response_text(reply: Reply) -> str:
    """The reply's text with its thinking in front, in tags, however the provider split the two.

    Thinking in a field of its own goes in front, unless the text has a `<think>` block too: then the text is the
    response as asked for, and the other thinking stays in the raw reply. A text that only closes `</think>` comes
    from a chat template that opened it in the prompt.
    """
    text = reply.text.strip()
    if THINK not in text and END_THINK in text:
        return THINK + text
    if reply.thinking and not text.startswith(THINK):
        return f"{THINK}{reply.thinking.strip().replace(END_THINK, '')}{END_THINK}\n{text}".rstrip()
    return text


def _script(text: str) -> str:
    """The script that most of the text's letters are of: LATIN, CJK, CYRILLIC …; LATIN where it has no letters."""
    letters = Counter(unicodedata.name(c, "LATIN").split(" ", 1)[0] for c in text if c.isalpha())
    return letters.most_common(1)[0][0] if letters else "LATIN"
