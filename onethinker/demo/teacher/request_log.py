"""The list of all answers given, as a provider would bill them."""

import threading
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class AnsweredRequest:
    """One complete answer: by which API and model, for which Idempotency-Key, and for how many tokens.

    `delivered` says whether it could be handed to the client's connection; `wrong` whether it was made wrong.
    """

    api: str
    model: str
    key: str | None
    input_tokens: int
    output_tokens: int
    wrong: bool
    delivered: bool


class RequestLog:
    """Complete answers in the order in which they were given; safe to read from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: list[AnsweredRequest] = []

    def add(self, billed: AnsweredRequest) -> int:
        """Write down one answer and return its place in the list."""
        with self._lock:
            self._answers.append(billed)
            return len(self._answers) - 1

    def mark_undelivered(self, place: int) -> None:
        """Note that the client had left before its answer could be sent."""
        with self._lock:
            self._answers[place] = replace(self._answers[place], delivered=False)

    @property
    def answers(self) -> list[AnsweredRequest]:
        """All answers so far."""
        with self._lock:
            return list(self._answers)

    @property
    def count(self) -> int:
        """How many answers were given."""
        return len(self.answers)

    @property
    def keys(self) -> list[str]:
        """The Idempotency-Keys of the answers that had one, repeated where one was answered twice."""
        return [billed.key for billed in self.answers if billed.key is not None]

    def as_json(self) -> dict[str, Any]:
        """Count, keys and answers, for those who look from another process."""
        return {"count": self.count, "keys": self.keys, "answers": [asdict(billed) for billed in self.answers]}
