"""A row as a chat for trainers: one user turn with the media in place, one assistant turn with the response."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

TOKEN = {"image": "<image>", "video": "<video>"}
_TOKENS = re.compile("|".join(map(re.escape, TOKEN.values())))
_CUT = "\x1e"  # no prompt holds a record separator
PART = pa.struct([("type", pa.string()), ("text", pa.string())])
MESSAGE = pa.struct([("role", pa.string()), ("content", pa.list_(PART))])


def place_media_tokens(text: str, kinds: Sequence[str]) -> str:
    """`text` with one `<image>` or `<video>` token per medium, put in front if it has none (evaluation files)."""
    if not _TOKENS.search(text):
        return "".join(TOKEN[kind] for kind in kinds) + text
    return text


def messages(prompt: str, response: str | None, kinds: Sequence[str]) -> list[dict[str, Any]]:
    """Chat messages with content parts, the form that transformers' chat templates and TRL read.

    The media tokens of the prompt become `{"type": "image"}` and `{"type": "video"}` parts in their places. Every
    part has both keys, as Arrow structs require. Without a response there is only the user turn.
    """
    parts: list[dict[str, Any]] = []
    text = place_media_tokens(prompt, kinds)
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


def message_column(prompts: pa.StringArray, responses: pa.StringArray) -> pa.ListArray:
    """`messages` for many rows at once: prompts with their media tokens in place, responses or null, as Arrow."""
    rows = len(prompts)
    marked = pc.replace_substring_regex(prompts, f"({_TOKENS.pattern})", f"{_CUT}\\1{_CUT}")
    pieces = pc.split_pattern(marked, _CUT)
    texts, row_of = pieces.flatten(), pc.list_parent_indices(pieces)
    filled = pc.not_equal(texts, "")
    texts, row_of = texts.filter(filled), row_of.filter(filled).to_numpy()
    kinds = pa.scalar("text")
    for kind, token in TOKEN.items():
        is_token = pc.equal(texts, token)
        kinds = pc.if_else(is_token, kind, kinds)
    texts = pc.if_else(pc.equal(kinds, "text"), texts, pa.scalar(None, pa.string()))
    answered = responses.drop_null()
    # Each row's user parts, then its one assistant part: indices into both lists joined.
    has_response = pc.is_valid(responses).to_numpy(zero_copy_only=False)
    user_parts = np.bincount(row_of, minlength=rows)
    order = np.argsort(
        np.concatenate([row_of, np.flatnonzero(has_response)]), kind="stable"
    )  # stable: users' parts come first in the joined list
    joined = pa.StructArray.from_arrays(
        [
            pa.concat_arrays([kinds, pa.array(["text"] * len(answered), pa.string())]).take(pa.array(order)),
            pa.concat_arrays([texts, answered]).take(pa.array(order)),
        ],
        fields=list(PART),
    )
    turns = 1 + has_response
    first_turn = np.concatenate([[0], np.cumsum(turns)])
    parts_of_turn = np.ones(first_turn[-1], np.int64)
    parts_of_turn[first_turn[:-1]] = user_parts
    content = pa.ListArray.from_arrays(_offsets(parts_of_turn), joined)
    roles = np.full(len(content), "assistant", object)
    roles[first_turn[:-1]] = "user"
    messages = pa.StructArray.from_arrays([pa.array(roles, pa.string()), content], fields=list(MESSAGE))
    return pa.ListArray.from_arrays(pa.array(first_turn, pa.int32()), messages)


def _offsets(counts: "np.typing.NDArray[np.int64]") -> pa.Int32Array:
    return pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
