"""A row as the chat that trainers read: one user turn with the media in place, one assistant turn with the response."""

import re
from collections.abc import Sequence
from typing import Any

TOKEN = {"image": "<image>", "video": "<video>"}
_TOKENS = re.compile("|".join(map(re.escape, TOKEN.values())))


def placed(text: str, kinds: Sequence[str]) -> str:
    """`text` with one `<image>` or `<video>` token for each medium; where it has none (evaluation files), they lead."""
    if not _TOKENS.search(text):
        return "".join(TOKEN[kind] for kind in kinds) + text
    return text


def messages(prompt: str, response: str | None, kinds: Sequence[str]) -> list[dict[str, Any]]:
    """Chat messages with content parts, the form that transformers' chat templates and TRL read.

    The media tokens of the prompt become `{"type": "image"}` and `{"type": "video"}` parts in their places. Every
    part has both keys, as Arrow wants of a list of structs. Without a response there is only the user turn.
    """
    parts: list[dict[str, Any]] = []
    text = placed(prompt, kinds)
    start = 0
    for found in _TOKENS.finditer(text):
        if found.start() > start:
            parts.append({"type": "text", "text": text[start : found.start()]})
        parts.append({"type": found[0][1:-1], "text": None})
        start = found.end()
    if text[start:]:
        parts.append({"type": "text", "text": text[start:]})
    turns = [{"role": "user", "content": parts}]
    if response is not None:
        turns.append({"role": "assistant", "content": [{"type": "text", "text": response}]})
    return turns
