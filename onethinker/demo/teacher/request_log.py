"""The log of answered requests, as a provider would bill them."""

import threading
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class AnsweredRequest:
    """One answered request: API, model, Idempotency-Key and token counts.

    `wrong` says whether the answer was made wrong on purpose, `delivered` whether the client received it.
    """

    api: str
    model: str
    key: str | None
    input_tokens: int
    output_tokens: int
    wrong: bool
    delivered: bool


class RequestLog:
    """Answered requests in order; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: list[AnsweredRequest] = []

    def add(self, billed: AnsweredRequest) -> int:
        """Append one answer and return its index."""
        with self._lock:
            self._answers.append(billed)
            return len(self._answers) - 1

    def mark_undelivered(self, place: int) -> None:
        """Record that the client disconnected before its answer was sent."""
        with self._lock:
            self._answers[place] = replace(self._answers[place], delivered=False)

    @property
    def answers(self) -> list[AnsweredRequest]:
        """All answers so far."""
        with self._lock:
            return list(self._answers)

    @property
    def count(self) -> int:
        """The number of answers."""
        return len(self.answers)

    @property
    def keys(self) -> list[str]:
        """The Idempotency-Keys of the answers, in order; repeated if one was answered twice."""
        return [billed.key for billed in self.answers if billed.key is not None]

    def as_json(self) -> dict[str, Any]:
        """Count, keys and answers as JSON, for other processes."""
        return {"count": self.count, "keys": self.keys, "answers": [asdict(billed) for billed in self.answers]}
