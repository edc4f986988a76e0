"""Selection: every trace is kept or has a reason, the same way every time."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from corpus import Corpus
from corpus.errors import OneThinkerError
from filters.select import Selection, select

Add = Callable[..., str]
Write = Callable[[str], Path]


def reasons(corpus: Corpus, done: Selection) -> dict[str | None, str]:
    """Why each trace (or sample without one) was dropped."""
    rows = corpus.sql("select coalesce(trace_id, sample_id), reason from snapshot_drops where name = 'v'").fetchall()
    assert len(rows) == len({key for key, _ in rows})
    return dict(rows)


def kept(corpus: Corpus) -> list[str]:
    rows = corpus.sql("select trace_id from snapshot_rows where name = 'v' order by version, position").fetchall()
    return [trace_id for (trace_id,) in rows]


def test_what_was_never_scored_says_so(corpus: Corpus, sample: Add, trace: Add, recipe: Write) -> None:
    good = trace(sample("good"), reward=1.5)
    unverified = trace(sample("unverified"))
    unscored = trace(sample("unscored"))
    corpus.append(
        "verdicts", [{"trace_id": unscored, "profile": "strict", "verifier": "test", "reason": "unreadable_truth"}]
    )
    paper = trace(sample("paper"))
    corpus.append("verdicts", [{"trace_id": paper, "profile": "paper", "verifier": "test", "reward": 1.5}])
    sample("alone")
    done = select(corpus, recipe("steps: []"), "v")
    assert kept(corpus) == [good]
    assert reasons(corpus, done) == {
        unverified: "unverified",
        unscored: "unscored",
        paper: "unverified",
        "alone": "no_trace",
    }
    assert done.considered == 5
    assert done.dropped["slice"] == {"unverified": 2, "unscored": 1, "no_trace": 1}


def test_thresholds_best_and_caps_each_leave_their_reason(
    corpus: Corpus, sample: Add, trace: Add, recipe: Write
) -> None:
    best = trace(sample("a"), reward=1.5, attempt=0)
    second = trace("a", reward=1.2, attempt=1)
    wrong = trace("a", accuracy=0.0, attempt=2)
    fair = trace(sample("b", problem_type="tracking", task="tracking"), accuracy=0.45)
    untidy = trace(sample("c"), reward=1.4, format=0.0)
    many = [trace(sample(f"m{i}", source="many"), reward=1.5) for i in range(5)]
    done = select(
        corpus,
        recipe(
            """
            seed: 7
            steps:
              - well_formed
              - accuracy: {min: 0.6, by_problem_type: {tracking: 0.4}}
              - best_of: {n: 1}
              - cap: {by: source, rows: 10, rows_for: {many: 2}}
            """
        ),
        "v",
    )
    dropped = reasons(corpus, done)
    assert dropped.pop(second) == "not_best"
    assert dropped.pop(wrong) == "accuracy_below_min"
    assert dropped.pop(untidy) == "not_well_formed"
    assert Counter(dropped.values()) == {"over_cap": 3}
    assert set(kept(corpus)) == {best, fair, *many} - set(dropped)


def test_the_first_reason_stays(corpus: Corpus, sample: Add, trace: Add, recipe: Write) -> None:
    both = trace(sample("both"), accuracy=0.0, format=0.0)
    trace(sample("good"), reward=1.5)
    done = select(corpus, recipe("steps: [well_formed, accuracy: {min: 0.5}]"), "v")
    assert reasons(corpus, done) == {both: "not_well_formed"}


def test_the_same_recipe_gives_the_same_rows_and_no_new_version(
    corpus: Corpus, sample: Add, trace: Add, recipe: Write
) -> None:
    for i in range(40):
        trace(sample(f"s{i}"), reward=1.5)
    path = recipe("seed: 3\nsteps: [cap: {by: task, rows: 20}]")
    first, again = (select(corpus, path, "v").snapshot for _ in range(2))
    assert (first.ref, first.fingerprint) == (again.ref, again.fingerprint)
    rows = kept(corpus)
    other = select(corpus, recipe("seed: 4\nsteps: [cap: {by: task, rows: 20}]"), "v").snapshot
    assert other.ref == "v@2"
    assert sorted(kept(corpus)[20:]) != sorted(rows), "another seed draws others"


def test_the_slice_bounds_what_is_considered(corpus: Corpus, sample: Add, trace: Add, recipe: Write) -> None:
    inside = trace(sample("in", source="a"), reward=1.5)
    trace(sample("out", source="b"), reward=1.5)
    trace("in", reward=1.5, attempt=1, teacher="other:one")
    done = select(corpus, recipe("where: source = 'a' and teacher = 'local:eye'\nsteps: []"), "v")
    assert kept(corpus) == [inside]
    assert done.considered == 1


def test_a_judges_reply_is_no_trace_to_train_on(corpus: Corpus, sample: Add, trace: Add, recipe: Write) -> None:
    good = trace(sample("a"), reward=1.5)
    trace("a", mode="judge", attempt=9)
    assert select(corpus, recipe("steps: []"), "v").considered == 1
    assert kept(corpus) == [good]


def test_nothing_kept_says_where_all_went(corpus: Corpus, sample: Add, trace: Add, recipe: Write) -> None:
    trace(sample("a"), accuracy=0.0)
    with pytest.raises(OneThinkerError, match=r"the recipe keeps none of 1 traces \(accuracy_below_min 1\)"):
        select(corpus, recipe("steps: [accuracy: {min: 0.5}]"), "v")
    with pytest.raises(OneThinkerError, match=r"keeps none of 0 traces \(the slice is empty\)"):
        select(corpus, recipe("where: source = 'nowhere'\nsteps: []"), "v")


def test_an_unknown_column_is_named_with_near_ones(corpus: Corpus, sample: Add, trace: Add, recipe: Write) -> None:
    trace(sample("a"), reward=1.5)
    with pytest.raises(OneThinkerError, match=r"step 'cap': candidates have no column 'sorce'; did you mean 'source'"):
        select(corpus, recipe("steps: [cap: {by: sorce, rows: 1}]"), "v")
    with pytest.raises(OneThinkerError, match="sorce"):
        select(corpus, recipe("where: sorce = 'a'\nsteps: []"), "v")
