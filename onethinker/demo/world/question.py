"""One question about one medium of the world, with its true answer."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson


@dataclass(frozen=True)
class WorldQuestion:
    """What a row of the released layout is made of.

    `answer` is the body that belongs between the answer tags; `medium` is a path below the world's folder;
    `segmentation` holds the resolution, fps and masks that the evaluation layout has for segmentation.
    """

    problem_type: str
    data_type: str
    medium: str
    text: str
    answer: str
    options: list[str] = field(default_factory=list)
    segmentation: dict[str, Any] = field(default_factory=dict)


def json_answer(**fields: object) -> str:
    """An answer of several parts as JSON with a space behind commas and colons, as the released corpus writes it."""
    inner = orjson.dumps(fields).decode()
    return inner.replace(",", ", ").replace(":", ": ")


def letter_options(rng: np.random.Generator, right: str, wrong: list[str]) -> tuple[list[str], str]:
    """Up to four options with letters in front, in random order, and the letter of the right one."""
    choices = [right, *[str(other) for other in rng.permutation(wrong)[:3]]]
    order = [choices[number] for number in rng.permutation(len(choices))]
    return [f"{chr(65 + n)}. {choice}" for n, choice in enumerate(order)], chr(65 + order.index(right))


def choose_phrase(rng: np.random.Generator, *ways: str) -> str:
    """One of several ways to say a thing."""
    return ways[rng.integers(len(ways))]
