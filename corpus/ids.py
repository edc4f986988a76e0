"""Deterministic ids: the same content has the same id on every machine, so writing it twice adds nothing."""

import hashlib
from collections.abc import Mapping
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


def sample_id_of(row: Mapping[str, Any]) -> str:
    """The id that a row of `samples` has to have: what is asked, about which bytes, with which answer, by whom.

    `answer` may be null; then the truth is what was answered.
    """
    answer = row["answer"] if row["answer"] is not None else row["truth"]
    sha256s = [medium["sha256"] for medium in row["media"] or []]
    asked = (row["problem"], row["options"], row["problem_type"], row["data_type"])
    return digest("sample", row["source"], *asked, answer, sha256s)


def trace_id_of(row: Mapping[str, Any]) -> str:
    """The id that a row of `traces` has to have: the request that it answers, and which attempt it is."""
    key = (row["sample_id"], row["teacher"], row["mode"], row["prompt_id"], row["params"], row["attempt"])
    return digest("trace", *key)
