"""Verification: every trace gets one verdict, whatever happens on the way."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from corpus import Corpus
from corpus.errors import OneThinkerError
from filters.select import select
from filters.verify import list_verifiers, verify

Add = Callable[..., str]
VERDICTS = "select trace_id, profile, verifier, format, structure, accuracy, reward, reason from verdicts order by all"


def test_right_wrong_and_unreadable_are_counted(corpus: Corpus, sample: Add, trace: Add) -> None:
    right = trace(sample("a"))
    wrong = trace(sample("b"), answer="5")
    unread = trace(sample("c"), response="4")
    untrue = trace(sample("d", answer="??"))
    done = verify(corpus)
    assert done.traces == 4
    rows = {
        t: (accuracy, reason)
        for t, accuracy, reason in corpus.sql("select trace_id, accuracy, reason from verdicts").fetchall()
    }
    assert rows[right] == (1.0, None)
    assert rows[wrong] == (0.0, None)
    assert rows[unread][0] == 0.0
    assert rows[unread][1]
    assert rows[untrue][0] is None
    assert rows[untrue][1]
    assert done.reasons == {"ok": 2, rows[unread][1]: 1, rows[untrue][1]: 1}
    (counts,) = corpus.sql("select counts from runs where kind = 'verify'").fetchone() or ()
    assert counts == done.reasons


def test_what_has_a_verdict_is_left_alone(corpus: Corpus, sample: Add, trace: Add) -> None:
    trace(sample("a"))
    assert verify(corpus).traces == 1
    assert verify(corpus).traces == 0
    assert verify(corpus, profile="paper").traces == 1
    trace("a", attempt=1)
    assert verify(corpus).traces == 1


def test_new_rules_score_again(corpus: Corpus, sample: Add, trace: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    from corpus.tasks import task

    trace(sample("a"))
    trace(sample("b", problem_type="OCR"))
    verify(corpus)
    monkeypatch.setattr(type(task("OCR")), "version", 99)
    list_verifiers.cache_clear()
    try:
        assert verify(corpus).traces == 1
        assert corpus.sql("select count(*) from latest_verdicts").fetchone() == (2,)
    finally:
        list_verifiers.cache_clear()


def test_a_slice_is_a_condition_over_samples_and_traces(corpus: Corpus, sample: Add, trace: Add) -> None:
    trace(sample("a", source="x"))
    trace("a", teacher="other:one")
    trace(sample("b", source="y"))
    assert verify(corpus, where="source = 'x' and teacher = 'local:eye'").traces == 1
    with pytest.raises(OneThinkerError, match="sorce"):
        verify(corpus, where="sorce = 'x'")


def test_a_judges_reply_is_not_scored(corpus: Corpus, sample: Add, trace: Add) -> None:
    trace(sample("a"), mode="judge")
    assert verify(corpus).traces == 0


def test_an_unknown_profile_is_told_before_anything_is_written(corpus: Corpus) -> None:
    with pytest.raises(OneThinkerError, match="unknown profile 'lax'"):
        verify(corpus, profile="lax")
    assert corpus.sql("select count(*) from runs").fetchone() == (0,)


def test_a_problem_type_that_no_task_knows_is_named(corpus: Corpus, trace: Add) -> None:
    with corpus.transaction("as older versions let in") as tx:
        tx.append("samples", [{"sample_id": "b", "problem_type": "riddle", "data_type": "image"}])
    trace("b", verdict=False)
    with pytest.raises(OneThinkerError, match=r"1 traces of the slice have the problem_type 'riddle'"):
        verify(corpus)
    assert verify(corpus, where="problem_type <> 'riddle'").traces == 0


def _fill(url: Path, traces: int) -> None:
    with Corpus.create(url) as corpus:
        corpus.append(
            "samples",
            [
                {
                    "sample_id": f"s{i}",
                    "problem_type": t,
                    "data_type": "video",
                    "answer": a,
                    "source": "made",
                    "media": [],
                }
                | {"task": "video QA", "problem": f"Which, {i}?"}
                for i in range(traces)
                for t, a in [[("numerical", "4"), ("OCR", "a b c"), ("temporal grounding", '{"time": [1, 3]}')][i % 3]]
            ],
        )
        answers = ["4", "a b", '{"time": [1, 2]}']
        corpus.append(
            "traces",
            [
                {"trace_id": f"t{i:06}", "sample_id": f"s{i}", "teacher": "local:eye", "mode": "blind", "attempt": 0}
                | {"thinking": "so " * 20, "answer": answers[i % 3]}
                | {"response": f"<think>{'so ' * 20}</think><answer>{answers[i % 3]}</answer>"}
                for i in range(traces)
            ],
        )


# Kills its own process at the n-th append: before the commit that it is part of, or after the append's transaction.
COMMAND = """
import os, signal, sys
import filters, filters.scratch_db
from corpus.lake import Lake, Transaction
from onethinker.cli import main

filters.scratch_db.BATCH_ROWS, sys.modules["filters.verify"].COMMIT_ROWS = int(sys.argv[1]), int(sys.argv[1])
nth, moment, seen = int(sys.argv[2]), sys.argv[3], [0]
append, commit = Transaction.append, Lake.transaction

def counted(self, *arguments):
    seen[0] += 1
    found = append(self, *arguments)
    if seen[0] == nth and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    return found

class Watched:
    def __init__(self, inner):
        self.inner = inner
    def __enter__(self):
        return self.inner.__enter__()
    def __exit__(self, *error):
        done = self.inner.__exit__(*error)
        if seen[0] >= nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

Transaction.append = counted
Lake.transaction = lambda *arguments, **options: Watched(commit(*arguments, **options))
sys.exit(main(sys.argv[4:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "traces", "kills"),
    [
        ("verify", 300, [(3, "before")]),
        ("select", 300, [(4, "before")]),
        pytest.param("verify", 6000, [(1, "after"), (2, "before"), (4, "after")], marks=pytest.mark.slow),
        pytest.param("select", 6000, [(1, "after"), (2, "before"), (3, "before")], marks=pytest.mark.slow),
    ],
)
def test_killed_at_any_commit_the_same_command_ends_in_the_same_state(
    tmp_path: Path, verb: str, traces: int, kills: list[tuple[int, str]]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    cap = traces // 4
    recipe.write_text(f"seed: 5\nsteps: [accuracy: {{min: 0.4}}, repetition, cap: {{by: problem_type, rows: {cap}}}]\n")
    ends = []
    for url, planned in ((tmp_path / "undisturbed", []), (tmp_path / "killed", kills)):
        _fill(url, traces)
        command = ["verify"] if verb == "verify" else ["select", str(recipe), "--name", "v"]
        if verb == "select":
            with Corpus.open(url) as corpus:
                verify(corpus)
        for nth, moment in planned:
            kill = [sys.executable, "-c", COMMAND, str(traces // 6), str(nth), moment, *command, "--corpus", str(url)]
            assert subprocess.run(kill, capture_output=True, timeout=280, check=False).returncode == -signal.SIGKILL
        with Corpus.open(url) as corpus:
            if verb == "verify":
                verify(corpus)
            else:
                select(corpus, recipe, "v")
            verdicts = corpus.sql(VERDICTS).fetchall()
            rows = corpus.sql("select * exclude (run_id) from snapshot_rows order by all").fetchall()
            drops = corpus.sql("select * exclude (run_id) from snapshot_drops order by all").fetchall()
            versions = [(s.ref, s.rows, s.fingerprint, s.damage()) for s in corpus.snapshots.list()]
            states = {state for (state,) in corpus.sql("select status from runs").fetchall()}
        left = sorted(path.name for path in (url / "snapshots").glob("*"))
        ends.append(json.dumps([verdicts, rows, drops, versions, left]))
        assert states == ({"done", "crashed"} if planned else {"done"})
        assert len(verdicts) == traces
        assert len(versions) == (verb == "select")
    assert ends[0] == ends[1]
