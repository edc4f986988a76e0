"""A difference tells every row's fate, and the sum of the parts is the whole."""

from pathlib import Path

import pyarrow as pa
import pytest

from corpus import Corpus, OneThinkerError
from corpus.maintenance import compact
from corpus.snapshots.diff import Diff, diff
from onethinker.diff_page import write
from tests.corpus.making import frozen, sample, small_corpus, trace, verdict


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Diff:
    """Of six samples: 0 and 1 stay, 2 dropped for its reward, 3 never considered, 4 answered anew, 5 scored anew."""
    root = tmp_path_factory.mktemp("diff")
    corpus = small_corpus(root)
    frozen(corpus)
    ids = [s for (s,) in corpus.sql('select sample_id from samples order by origin."row"').fetchall()]
    old = dict(corpus.sql("select sample_id, trace_id from traces").fetchall())
    extra = sample(corpus, root, 8)
    anew = {**trace({"sample_id": ids[4], "answer": "x <b>"}, 4, teacher="p:better"), "response": "new & <b>bold</b>"}
    added = trace(extra, 8)
    corpus.append("samples", [extra])
    corpus.append("traces", [anew, added])
    corpus.append("verdicts", [{**verdict(anew, 4), "reward": 0.5}, verdict(added, 8)])
    rescored = {"trace_id": old[ids[5]]}
    corpus.append("verdicts", [{**verdict(rescored, 5), "verifier": "test@2", "reward": 0.25}])
    kept = [(ids[i], old[ids[i]]) for i in (0, 1, 5)] + [
        (ids[4], anew["trace_id"]),
        (extra["sample_id"], added["trace_id"]),
    ]
    picks = pa.table({"sample_id": [s for s, _ in kept], "trace_id": [t for _, t in kept]})
    drops = pa.table(
        {"sample_id": [ids[2], ids[4]], "trace_id": [old[ids[2]], old[ids[4]]], "reason": ["low_reward", "not_best"]}
    )
    frozen(corpus, picks=picks, drops=drops)
    compact(corpus, keep_hours=0)
    return diff(corpus, "small@1", "small@2")


def test_every_row_that_differs_is_told_with_its_reason(changed: Diff) -> None:
    rows = [(r["change"], r["reason"], r["old_teacher"], r["new_teacher"]) for r in changed.changes.to_pylist()]
    assert rows == [
        ("added", None, None, "p:m"),
        ("dropped", "low_reward", "p:m", None),
        ("dropped", "not_considered", "p:m", None),
        ("re-annotated", "not_best", "p:m", "p:better"),
        ("re-scored", None, "p:m", "p:m"),
    ]
    anew = changed.changes.to_pylist()[3]
    assert (anew["old_reward"], anew["new_reward"]) == (1.0, 0.5)
    assert anew["old_response"].startswith("<think>")
    assert anew["new_response"] == "new & <b>bold</b>"
    counts = {
        c: sum(r["rows"] for r in changed.summary().to_pylist() if r["change"] == c) for c in ("added", "dropped")
    }
    assert changed.new.rows == changed.old.rows + counts["added"] - counts["dropped"]


def test_reward_shifts_are_by_task_and_on_the_samples_in_both(changed: Diff) -> None:
    shifts = {row["task"]: row for row in changed.shifts.to_pylist()}
    spatial, temporal = shifts["spatial grounding"], shifts["temporal grounding"]
    assert (spatial["old_rows"], spatial["new_rows"], spatial["common_samples"]) == (3, 3, 2)
    assert spatial["shift"] == pytest.approx((1 + 0.5 + 1) / 3 - 1)
    assert spatial["shift_on_common"] == pytest.approx(-0.25)
    assert temporal["shift_on_common"] == pytest.approx((0.25 - 1) / 2)


def test_the_page_shows_both_traces_and_escapes_them(changed: Diff, tmp_path: Path) -> None:
    write(changed, tmp_path / "diff.html", limit=5)
    page = (tmp_path / "diff.html").read_text()
    assert "new &amp; &lt;b&gt;bold&lt;/b&gt;" in page
    assert "<b>bold" not in page
    for told in ("small@1 → small@2", "low_reward", "not_considered", "p:better", "-0.250", "Re-scored: 1"):
        assert told in page, told


def test_several_traces_of_a_sample_pair_up_and_the_rest_come_and_go(tmp_path: Path) -> None:
    corpus = small_corpus(tmp_path, rows=1)
    sample_id, old = corpus.sql("select sample_id, trace_id from traces").fetchall()[0]
    more = [trace({"sample_id": sample_id, "answer": "x"}, 0, teacher=f"p:{i}") for i in range(2)]
    corpus.append("traces", more)
    corpus.append("verdicts", [verdict(t, 0) for t in more])
    frozen(corpus, picks=pa.table({"sample_id": [sample_id], "trace_id": [old]}))
    frozen(corpus, picks=pa.table({"sample_id": [sample_id] * 3, "trace_id": [old, *(t["trace_id"] for t in more)]}))
    assert diff(corpus, "small@1", "small@2").changes["change"].to_pylist() == ["trace added"] * 2
    back = diff(corpus, "small@2", "small@1").changes
    assert back["change"].to_pylist() == ["trace dropped"] * 2
    assert len(diff(corpus, "small@1", "small@1").changes) == 0
    with pytest.raises(OneThinkerError, match="no snapshot"):
        diff(Corpus.open(corpus.root), "small@1", "small@9")
