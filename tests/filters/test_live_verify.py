"""Verifying alongside other work, which it never disturbs."""

from collections.abc import Callable

import pytest

from corpus import Corpus
from corpus.errors import OneThinkerError
from filters import LiveVerifier, live_verify, verify

Add = Callable[..., str]


@pytest.fixture
def traces(sample: Add, trace: Add) -> list[str]:
    """Right, wrong, unreadable, and one whose truth nobody can read."""
    right, wrong = trace(sample("a")), trace(sample("b"), answer="5")
    return [right, wrong, trace(sample("c"), response="4"), trace(sample("d", answer="??"))]


def test_traces_get_the_verdicts_that_verify_would_give(corpus: Corpus, traces: list[str]) -> None:
    with LiveVerifier(corpus) as verifier:
        verifier.take(traces[:2])
        verifier.take(traces[2:])
    assert (verifier.verified, verifier.kept) == (4, 1)
    assert verify(corpus).traces == 0, "verify finds nothing left to do"
    assert corpus.sql("select status from runs where kind = 'verify'").fetchall() == [("done",)] * 2
    accuracy = dict(corpus.sql("select trace_id, accuracy from verdicts where profile = 'strict'").fetchall())
    assert [accuracy[trace_id] for trace_id in traces] == [1.0, 0.0, 0.0, None]
    assert verifier.reasons["ok"] == 2


def test_what_fails_is_told_and_disturbs_nothing(
    corpus: Corpus, traces: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> None:
        raise OneThinkerError("the database connection is lost")

    monkeypatch.setattr(live_verify, "commit", lost)
    with LiveVerifier(corpus) as verifier:
        verifier.take(traces)
    assert verifier.error == "the database connection is lost"
    assert verifier.verified == 0


def test_a_fault_of_the_program_is_raised_when_the_work_is_done(
    corpus: Corpus, traces: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_verify, "commit", lambda *_: None / 1)
    work = []
    with pytest.raises(TypeError), LiveVerifier(corpus) as verifier:  # noqa: PT012
        verifier.take(traces)
        work.append("done")
    assert work == ["done"]


def test_without_traces_it_writes_nothing(corpus: Corpus) -> None:
    with LiveVerifier(corpus):
        pass
    assert corpus.sql("select count(*) from runs").fetchone() == (0,)


def test_left_by_an_exception_it_drops_what_waits(corpus: Corpus, traces: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt), LiveVerifier(corpus) as verifier:  # noqa: PT012
        with verifier._changed:  # so that the thread cannot have begun
            verifier._waiting += traces
            verifier._dropping = True
        raise KeyboardInterrupt
    assert corpus.sql("select count(*) from verdicts").fetchone() == (0,)
