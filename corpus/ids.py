"""Deterministic ids: the same content has the same id on every machine, so writing it twice adds nothing."""

import hashlib
from typing import Any

import orjson


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no white space: one text for one value.

    Raises TypeError for values that JSON cannot represent. NaN and infinities become null, as orjson writes them.
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def digest(*parts: Any) -> str:
    """32 hex digits of SHA-256 over the canonical JSON of the parts.

    128 bits: two of a billion rows collide with probability 1.5e-21.
    """
    return hashlib.sha256(canonical_json(parts)).hexdigest()[:32]
