"""Live verification: scores traces while an annotation run still writes others, so that the run can show what it keeps.

The verdicts are those that `verify` would write later, which then has nothing left to do.
"""

import threading
from collections import Counter
from time import monotonic
from types import TracebackType

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from corpus import Corpus
from corpus.accuracy import PASS_ACCURACY
from corpus.errors import OneThinkerError
from filters.score import CHUNK_ROWS, INPUT
from filters.scorers import OWN
from filters.verify import commit, list_verifiers, make_verdicts

PAUSE_FACTOR = 5  # a round is followed by a pause of at least this many times its own length
MIN_PAUSE_S = 2.0


class LiveVerifier:
    """Scores traces by id into `verdicts`, in a background thread, as one recorded run.

    A context manager: leaving it waits until every trace is scored or, on an exception, until the current round ends.
    A round that fails ends the verification and not the work beside it; `error` holds the reason.
    """

    def __init__(self, corpus: Corpus, profile: str = "strict", workers: int = 1) -> None:
        self._corpus, self._profile, self._workers = corpus, profile, workers
        self._rules = list_verifiers(profile)
        self._waiting: list[str] = []
        self._ending = self._dropping = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="live verification")
        self._fault: BaseException | None = None
        self.verified = 0
        self.kept = 0
        self.reasons: Counter[str] = Counter()
        self.error = ""

    def take(self, trace_ids: list[str]) -> None:
        """Queue these traces; they must be in the lake."""
        with self._changed:
            self._waiting += trace_ids
            self._changed.notify()

    def __enter__(self) -> "LiveVerifier":
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
                    tables = (self._read(ids[i : i + CHUNK_ROWS]) for i in range(0, len(ids), CHUNK_ROWS))
                    for verdicts in make_verdicts(tables, self._profile, self._workers, None):
                        self.reasons += commit(run, verdicts)
                        self.kept += pc.sum(pc.greater_equal(verdicts["accuracy"], PASS_ACCURACY)).as_py() or 0
                        self.verified += len(verdicts)
                    ids = self._next(max(MIN_PAUSE_S, PAUSE_FACTOR * (monotonic() - started)))
        except (OneThinkerError, duckdb.Error) as error:
            self.error = str(error)
        except BaseException as error:  # a bug: raised when the work beside is done
            self.error, self._fault = f"{type(error).__name__}: {error}", error

    def _next(self, pause_s: float) -> list[str]:
        """The queued ids after a pause; none once the context is left."""
        with self._changed:
            self._changed.wait_for(lambda: self._ending, pause_s)
            self._changed.wait_for(lambda: self._waiting or self._ending)
            ids, self._waiting = self._waiting, []
            return [] if self._dropping else ids

    def _read(self, trace_ids: list[str]) -> pa.Table:
        """The `INPUT` columns, trace_id and verifier of the given traces that these rules have not scored yet."""
        ids = pa.table({"trace_id": pa.array(trace_ids, pa.string())})
        columns = "trace_id, sample_id, response"
        table = self._corpus.rows_by_id("traces", ids, columns, "where mode is distinct from 'judge'").read_all()
        columns = "sample_id, problem_type, data_type, options, truth, answer as ground_truth"
        samples = self._corpus.rows_by_id("samples", table.select(["sample_id"]), columns).read_all()
        positions = pc.index_in(table["sample_id"], value_set=samples["sample_id"])
        for name in samples.column_names[1:]:
            table = table.append_column(name, samples[name].take(positions))
        verifiers = [self._rules.get(name) for name in table["problem_type"].to_pylist()]
        table = table.append_column("verifier", pa.array(verifiers, pa.string()))
        present = self._corpus.rows_by_id(
            "verdicts", ids, "trace_id, verifier", "where profile = $profile", {"profile": self._profile}
        ).read_all()
        scored = set(zip(present["trace_id"].to_pylist(), present["verifier"].to_pylist(), strict=True))
        keys = zip(table["trace_id"].to_pylist(), verifiers, strict=True)
        table = table.filter(pa.array([key not in scored for key in keys], pa.bool_()))
        return table.select(["trace_id", "verifier", *INPUT.names])
