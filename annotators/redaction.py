"""API keys out of text: the run's own key wherever it stands as a whole token, and anything shaped like a key.

A dummy key ("local", "EMPTY") is no secret and may be an ordinary word, so it is left alone: `is_secret` decides by
length and entropy. A key is found without its `sk-` too, since servers like to show it that way.
"""

import re
from collections import Counter
from functools import cache
from math import log2

SHORTEST_KEY = 12  # characters
SHORTEST_WORD = 20  # characters that a key of letters alone needs: shorter ones may be words
LEAST_BITS = 2.5  # of entropy a character: "xxxxxxxxxxxx" has 0, hexadecimal digits have up to 4
MARK = "[key]"

# Each needs a digit or a mask (`sk-…****cdef`): "key_not_found_error" and "Bearer authentication" are words.
_SHAPES = re.compile(
    r"\b(?:(?:sk|pk|ak|key|hf|gsk|xai)[-_](?=[A-Za-z_\-]*[\d*])[A-Za-z0-9_\-*]{8,}|AIza[A-Za-z0-9_\-]{20,})"
    r"|\bBearer\s+(?=\S*\d)\S{8,}",
    re.IGNORECASE,
)
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}")


def is_secret(key: str) -> bool:
    """Whether `key` is long and varied enough to be a real API key."""
    if len(key) < (SHORTEST_WORD if key.isalpha() else SHORTEST_KEY):
        return False
    shares = (n / len(key) for n in Counter(key).values())
    return -sum(share * log2(share) for share in shares) >= LEAST_BITS


@cache
def _forms(key: str) -> tuple[str, ...]:
    """The key, then what is left of it without `sk-`, `sk-ant-` and so on, as long as that is a secret itself."""
    if not is_secret(key):
        return ()
    forms = [key]
    while (rest := re.sub(r"^[A-Za-z0-9]*[-_]", "", forms[-1], count=1)) != forms[-1] and is_secret(rest):
        forms.append(rest)
    return tuple(forms)


@cache
def _pattern(key: str) -> re.Pattern[str]:
    return re.compile(r"(?<![A-Za-z0-9])(?:" + "|".join(map(re.escape, _forms(key))) + r")(?![A-Za-z0-9])")


@cache
def _shortest_form(key: str) -> bytes:
    return _forms(key)[-1].encode() if _forms(key) else b""


def holds_key(data: bytes, key: str) -> bool:
    """Whether the key, with or without its prefix, occurs anywhere in `data`."""
    core = _shortest_form(key)
    return bool(core) and core in data


def redact_key(text: str, key: str) -> str:
    """`text` with `[key]` for each whole token that is the key."""
    return _pattern(key).sub(MARK, text) if holds_key(text.encode("utf-8", "replace"), key) else text


def redact(text: str, key: str) -> str:
    """`text` with `[key]` for the key and for whatever else is shaped like one."""
    return _SHAPES.sub(MARK, redact_key(text, key))


def safe_id(value: object, key: str) -> str | None:
    """An id from outside as it may be kept: up to 128 letters, digits and `._:/+=@-`, and no key; else None."""
    if not isinstance(value, str) or not _SAFE_ID.fullmatch(value):
        return None
    return None if holds_key(value.encode(), key) or _SHAPES.search(value) else value
