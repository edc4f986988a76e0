"""A small corpus to verify and select from, written straight into its tables."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from corpus import Corpus


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    with Corpus.create(tmp_path / "corpus") as opened:
        yield opened


@pytest.fixture
def sample(corpus: Corpus) -> Callable[..., str]:
    """Adds a sample and returns its id: `sample("s1", task="tracking", …)`."""

    def add(sample_id: str, **columns: Any) -> str:
        row = {
            "sample_id": sample_id,
            "task": "image QA",
            "problem_type": "numerical",
            "data_type": "image",
            "problem": f"<image>How many in {sample_id}?",
            "answer": "4",
            "source": "made",
            "media": [],
            **columns,
        }
        corpus.append("samples", [row])
        return sample_id

    return add


@pytest.fixture
def trace(corpus: Corpus) -> Callable[..., str]:
    """Adds a trace, and its verdict where a reward is given: `trace("s1", attempt=2, reward=1.5)`."""

    def add(
        sample_id: str,
        answer: str = "4",
        thinking: str = "Two and two.",
        *,
        attempt: int = 0,
        reward: float | None = None,
        accuracy: float | None = None,
        format: float = 1.0,
        verdict: bool = True,
        **columns: Any,
    ) -> str:
        row = {
            "trace_id": hashlib.sha256(f"{sample_id}/{attempt}/{columns.get('teacher')}".encode()).hexdigest()[:32],
            "sample_id": sample_id,
            "teacher": "local:eye",
            "mode": "blind",
            "params": "{}",
            "attempt": attempt,
            "thinking": thinking,
            "answer": answer,
            "response": f"<think>{thinking}</think><answer>{answer}</answer>",
            "finish_reason": "stop",
            **columns,
        }
        corpus.append("traces", [row])
        if reward is not None or accuracy is not None:
            accuracy = accuracy if accuracy is not None else min(max((reward or 0) / 1.5, 0), 1)
            corpus.append(
                "verdicts",
                [
                    {
                        "trace_id": row["trace_id"],
                        "profile": "strict",
                        "verifier": "test",
                        "format": format,
                        "structure": 0.5,
                        "accuracy": accuracy,
                        "reward": reward if reward is not None else 0.9 * accuracy + 0.1,
                    }
                ],
            )
        return str(row["trace_id"])

    return add


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a recipe file."""

    def write(text: str) -> Path:
        path = tmp_path / "recipe.yaml"
        path.write_text(text)
        return path

    return write
