"""Verifying alongside: traces are scored while others still arrive, so that a run can say what it keeps.

The verdicts are those that `verify` would write later; it finds nothing left to do then.
"""

import threading
from collections import Counter
from time import monotonic
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from corpus import Corpus
from corpus.accuracy import PASS_ACCURACY
from corpus.errors import OneThinkerError
from filters.score import INPUT
from filters.scorers import OWN, scorer
from filters.verify import UNSCORED, commit, verdicts_of, verifiers

SPARING = 5  # a round is followed by at least so many times its own length without one
ROUND_S = 2.0


class Alongside:
    """Scores the traces that it is told of into `verdicts`, in a thread of its own, as one recorded run.

    Use as a context manager: leaving it waits for what is left, or, left by an exception, for the round under way. It
    never disturbs the work beside it: where a round fails it does no more, and `error` says why.
    """

    def __init__(self, corpus: Corpus, profile: str = "strict", workers: int = 1) -> None:
        self._corpus, self._profile, self._workers = corpus, profile, workers
        self._rules = verifiers(profile)
        self._waiting: list[str] = []
        self._ending = self._dropping = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="verify alongside")
        self._fault: BaseException | None = None
        self.verified = 0
        self.kept = 0
        self.reasons: Counter[str] = Counter()
        self.error = ""

    def take(self, trace_ids: list[str]) -> None:
        """Score these traces when there is time; they must be in the lake."""
        with self._changed:
            self._waiting += trace_ids
            self._changed.notify()

    def __enter__(self) -> "Alongside":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._changed:
            self._ending, self._dropping = True, kind is not None
            self._changed.notify()
        self._thread.join()
        if self._fault is not None and kind is None:
            raise self._fault

    def _work(self) -> None:
        try:
            ids = self._next(0.0)
            if not ids:
                return
            config = {"where": None, "profile": self._profile, "open_ended": OWN, "alongside": True}
            with self._corpus.run("verify", config) as run:
                while ids:
                    started = monotonic()
                    for verdicts in verdicts_of(iter([self._rows(ids)]), self._profile, self._workers, self._words):
                        self.reasons += commit(run, verdicts)
                        self.kept += pc.sum(pc.greater_equal(verdicts["accuracy"], PASS_ACCURACY)).as_py() or 0
                        self.verified += len(verdicts)
                    ids = self._next(max(ROUND_S, SPARING * (monotonic() - started)))
        except (OneThinkerError, duckdb.Error) as error:
            self.error = str(error)
        except BaseException as error:  # a fault of the program: told when the work beside is done
            self.error, self._fault = f"{type(error).__name__}: {error}", error

    @property
    def _words(self) -> Any:
        return scorer(OWN, self._corpus)

    def _next(self, pause_s: float) -> list[str]:
        """What has come in, after a pause; nothing once the end has come."""
        with self._changed:
            self._changed.wait_for(lambda: self._ending, pause_s)
            self._changed.wait_for(lambda: self._waiting or self._ending)
            ids, self._waiting = self._waiting, []
            return [] if self._dropping else ids

    def _rows(self, trace_ids: list[str]) -> pa.Table:
        todo = UNSCORED.format(chosen="and t.trace_id in (select unnest($ids))")
        columns = "s.problem_type, s.data_type, s.options, s.truth, s.answer as ground_truth"
        rules = {"types": list(self._rules), "verifiers": list(self._rules.values()), "profile": self._profile}
        rows = self._corpus.sql(
            f"select t.trace_id, t.response, r.verifier, {columns} {todo}", rules | {"ids": trace_ids}
        ).to_arrow_table()
        return rows.select(["trace_id", "verifier", *INPUT.names])
