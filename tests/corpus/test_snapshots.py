"""Snapshots: frozen once, whole or not at all, and every changed byte is named."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from datasets import load_dataset

from corpus import Corpus, OneThinkerError, UsageError
from corpus.exports import export
from corpus.snapshots import Snapshot
from tests.corpus.making import small_corpus, trace


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return small_corpus(tmp_path)


def picks(corpus: Corpus) -> pa.Table:
    return corpus.sql("select sample_id, trace_id from traces order by sample_id desc").to_arrow_table()


def freeze(corpus: Corpus, name: str = "small", **more: Any) -> Snapshot:
    with corpus.run("select", {}) as run:
        return corpus.snapshots.freeze(
            name, more.pop("picks", picks(corpus)), profile="strict", recipe="steps: []\n", run=run, **more
        )


def test_rows_are_frozen_in_the_order_given(corpus: Corpus) -> None:
    snapshot = freeze(corpus)
    assert snapshot.ref == "small@1"
    assert snapshot.counts == {"spatial grounding": 3, "temporal grounding": 3}
    rows = [row for batch in snapshot.batches() for row in batch.to_pylist()]
    assert [row["position"] for row in rows] == list(range(6))
    assert [row["trace_id"] for row in rows] == picks(corpus)["trace_id"].to_pylist()
    first = rows[0]
    assert first["teacher"] == "p:m"
    assert first["reward"] == 1.0
    assert first["media"][0]["sha256"] in {p.name for p in (corpus.root / "media").glob("*/*")}
    assert first["problem"] in first["prompt"]
    assert "<answer>" in first["prompt"]
    assert corpus.sql("select position, trace_id from snapshot_rows order by 1").fetchall() == [
        (row["position"], row["trace_id"]) for row in rows
    ]


def test_the_frozen_files_load_as_they_are(corpus: Corpus, tmp_path: Path) -> None:
    snapshot = freeze(corpus)
    files = [str(path) for path in snapshot.files]
    rows = load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert rows["trace_id"][:] == picks(corpus)["trace_id"].to_pylist()
    assert rows[0]["components"] == [{"key": "iou", "value": 1.0}]


def test_the_same_rows_again_are_the_same_version_and_other_rows_the_next(corpus: Corpus) -> None:
    first = freeze(corpus)
    assert freeze(corpus) == first
    fewer = freeze(corpus, picks=picks(corpus).slice(0, 2))
    assert (fewer.version, fewer.rows) == (2, 2)
    assert fewer.fingerprint != first.fingerprint
    assert [s.ref for s in corpus.snapshots.list()] == ["small@1", "small@2"]
    assert corpus.snapshots.get("small").version == 2
    assert corpus.snapshots.get("small@v1") == first


def test_the_fingerprint_is_over_what_rows_say(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    a, b = freeze(small_corpus(tmp_path / "a")), freeze(small_corpus(tmp_path / "b"), name="other")
    assert a.fingerprint == b.fingerprint


def test_a_changed_byte_is_named(corpus: Corpus) -> None:
    snapshot = freeze(corpus)
    assert snapshot.damage() == []
    path = snapshot.files[0]
    good = path.read_bytes()
    path.write_bytes(good[:-9] + b"x" + good[-8:])
    assert "rows-00000.parquet has changed" in snapshot.damage()[0]
    path.unlink()
    assert snapshot.damage() == ["small@1: rows-00000.parquet is missing"]


def test_drops_are_kept_with_their_reasons(corpus: Corpus) -> None:
    kept = picks(corpus)
    drops = kept.slice(4).append_column("reason", pa.array(["low_reward", "over_cap"]))
    freeze(corpus, picks=kept.slice(0, 4), drops=drops)
    assert corpus.sql("select reason, count(*) from snapshot_drops group by 1 order by 1").fetchall() == [
        ("low_reward", 1),
        ("over_cap", 1),
    ]


def test_what_cannot_be_frozen_says_why(corpus: Corpus) -> None:
    with pytest.raises(UsageError, match="cannot name a snapshot"):
        freeze(corpus, name="../up")
    with pytest.raises(OneThinkerError, match="no row was picked"):
        freeze(corpus, picks=picks(corpus).slice(0, 0))
    lost = pa.table({"sample_id": ["nowhere"], "trace_id": ["t"]})
    with pytest.raises(OneThinkerError, match="no such sample"):
        freeze(corpus, picks=lost)
    judged = picks(corpus)
    sample_id = judged["sample_id"][0].as_py()
    corpus.append("traces", [trace({"sample_id": sample_id, "answer": "x"}, 0, teacher="p:unjudged")])
    unjudged = corpus.sql("select sample_id, trace_id from traces where teacher = 'p:unjudged'").to_arrow_table()
    with pytest.raises(OneThinkerError, match="no such verdict under the profile 'strict'"):
        freeze(corpus, picks=unjudged)
    assert corpus.snapshots.list() == []
    assert list((corpus.root / "snapshots").iterdir()) == []
    with pytest.raises(OneThinkerError, match="`onethinker select` makes one"):
        corpus.snapshots.get("small")
    freeze(corpus, picks=judged)
    with pytest.raises(OneThinkerError, match="did you mean 'small@1'"):
        corpus.snapshots.get("smal@1")
    with pytest.raises(UsageError, match="a number follows the @"):
        corpus.snapshots.get("small@new")


KILLED = """
import os, signal, sys
from corpus.snapshots import versions
from corpus import Corpus
from tests.corpus.test_snapshots import freeze
moment = sys.argv[2]
if moment == "files":
    whole = versions.read_rows
    def read_rows(*args):
        for batch in whole(*args):
            yield batch
            os.kill(os.getpid(), signal.SIGKILL)
    versions.read_rows = read_rows
else:
    def register(*args):  # the folder is in place by now, the commit is not
        os.kill(os.getpid(), signal.SIGKILL)
    versions.register = register
freeze(Corpus.open(sys.argv[1]))
"""


@pytest.mark.parametrize("moment", ["files", "commit"])
def test_killed_while_freezing_there_is_no_version_and_the_next_try_is_as_if_undisturbed(
    corpus: Corpus, moment: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", KILLED, str(corpus.root), moment]
    killed = subprocess.run(command, cwd=Path(__file__).parents[2], env={**os.environ, "PYTHONPATH": "."}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert corpus.snapshots.list() == []
    snapshot = freeze(corpus)
    assert (snapshot.version, snapshot.damage()) == (1, [])
    assert [p.name for p in (corpus.root / "snapshots").iterdir()] == ["small@1"]
    assert corpus.sql("select status from runs order by started_at").fetchall() == [("done",), ("crashed",), ("done",)]


def test_open_at_a_snapshot_shows_the_corpus_as_it_stood(corpus: Corpus) -> None:
    freeze(corpus)
    sample_id = picks(corpus)["sample_id"][0].as_py()
    corpus.append("traces", [trace({"sample_id": sample_id, "answer": "x"}, 0, teacher="p:later")])
    with Corpus.open(corpus.root, at="small@1") as then:
        assert then.sql("select count(*) from traces").fetchone() == (6,)
        with pytest.raises(OneThinkerError, match="open it without `at`"):
            then.append("traces", [])
    assert corpus.sql("select count(*) from traces").fetchone() == (7,)


def test_dataset_gives_chat_messages_with_their_media(corpus: Corpus) -> None:
    snapshot = freeze(corpus)
    (made,) = (corpus.root / "cache").iterdir()
    made.unlink()  # it can be deleted at any time
    dataset = snapshot.dataset()
    assert len(dataset) == 6
    responses = dict(corpus.sql("select trace_id, response from traces").fetchall())
    for row in dataset:
        kind = row["data_type"]
        user, assistant = row["messages"]
        assert [part["type"] for part in user["content"]] == [kind, "text"]
        assert assistant["content"][0]["text"] == responses[row["trace_id"]]
        assert (len(row["images"]), len(row["videos"])) == ((1, 0) if kind == "image" else (0, 1))
    image = next(row["images"][0] for row in dataset if row["images"])
    assert image.size[1] == 30
    assert snapshot.dataset()._fingerprint == dataset._fingerprint
    assert dataset.cache_files, "the rows are in memory and not mapped"


def test_dataset_leaves_images_as_paths_where_it_is_asked_to_and_writes_nothing_for_it(corpus: Corpus) -> None:
    snapshot = freeze(corpus)
    cached = sorted((corpus.root / "cache").iterdir())
    plain = snapshot.dataset(decode=False)
    image = next(row["images"][0] for row in plain if row["images"])
    assert image["bytes"] is None
    assert Path(image["path"]).is_file()
    assert sorted((corpus.root / "cache").iterdir()) == cached
    assert plain._fingerprint != snapshot.dataset()._fingerprint  # what `map` caches for one is not for the other


def test_llamafactory_export_has_a_token_for_each_medium(corpus: Corpus, tmp_path: Path) -> None:
    out = tmp_path / "export"
    assert export(freeze(corpus), "llamafactory", out) == {"small_image.json": 3, "small_video.json": 3}
    info = json.loads((out / "dataset_info.json").read_text())
    assert sorted(info) == ["small_image", "small_video"]
    for name, entry in info.items():
        rows = json.loads((out / entry["file_name"]).read_text())
        kind = name.removeprefix("small_")
        assert entry["columns"] == {"messages": "messages", f"{kind}s": f"{kind}s"}
        for row in rows:
            assert [turn["role"] for turn in row["messages"]] == ["user", "assistant"]
            assert row["messages"][0]["content"].count(f"<{kind}>") == len(row[f"{kind}s"]) == 1
            assert (out / row[f"{kind}s"][0]).suffix == (".png" if kind == "image" else ".mp4")
            assert (out / row[f"{kind}s"][0]).stat().st_size > 0
    with pytest.raises(OneThinkerError, match="not an empty folder"):
        export(corpus.snapshots.get("small"), "llamafactory", out)
    with pytest.raises(UsageError, match="did you mean 'llamafactory'"):
        export(corpus.snapshots.get("small"), "llama-factory", tmp_path / "more")


def test_a_snapshot_says_what_is_in_it(corpus: Corpus) -> None:
    snapshot = freeze(corpus)
    assert repr(snapshot) == (
        "Snapshot('small@1': 6 rows: 3 spatial grounding, 3 temporal grounding; "
        f"fingerprint {snapshot.fingerprint[:12]}…)"
    )
    html = replace(snapshot, counts={"<i>": 6})._repr_html_()
    assert "small@1: 6 rows" in html
    assert "<td>&lt;i&gt;</td>" in html
    assert repr(corpus.snapshots) == "Snapshots(small@1: 6 rows)"
    assert "<td>spatial grounding 3, temporal grounding 3</td>" in corpus.snapshots._repr_html_()
    assert repr(corpus).endswith("6 samples, 6 traces, 6 verdicts, 1 snapshots)")
