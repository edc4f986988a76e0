"""Every layout holds every row, with its media where its loader looks for them."""

import io
import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from corpus import Corpus
from corpus.exports import export, formats
from corpus.ingest import ingest
from corpus.snapshots import Snapshot
from tests.corpus.making import frozen, small_corpus, trace, verdict


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, Snapshot]:
    """Six samples, the first with a second trace."""
    corpus = small_corpus(tmp_path_factory.mktemp("exported"))
    sample_id, answer = corpus.sql("select sample_id, answer from samples order by 1 limit 1").fetchall()[0]
    second = trace({"sample_id": sample_id, "answer": answer}, 7, teacher="p:second")
    corpus.append("traces", [second])
    corpus.append("verdicts", [verdict(second, 7)])
    return corpus, frozen(corpus)


def json_rows(out: Path) -> dict[str, list[dict[str, Any]]]:
    found = {path.name: json.loads(path.read_text()) for path in sorted(out.glob("*.json"))}
    return found | {
        path.name: [json.loads(line) for line in path.read_text().splitlines()] for path in sorted(out.glob("*.jsonl"))
    }


@pytest.mark.parametrize("layout", formats())
def test_every_row_is_there_and_no_path_is_of_this_machine(
    layout: str, made: tuple[Corpus, Snapshot], tmp_path: Path
) -> None:
    _, snapshot = made
    counts = export(snapshot, layout, tmp_path / "out")
    assert all((tmp_path / "out" / name).exists() for name in counts)
    samples = len({i for batch in snapshot.batches(["sample_id"]) for i in batch["sample_id"].to_pylist()})
    # Reinforcement learning asks a question once, supervised learning shows every trace.
    expected = {
        "easyr1": samples,
        "verl": samples,
        "onethinker": samples + snapshot.rows,
        "trl": samples + snapshot.rows,
    }
    assert sum(counts.values()) == expected.get(layout, snapshot.rows)
    for rows in json_rows(tmp_path / "out").values():
        for row in (row for row in rows if isinstance(row, dict)):
            paths = [*row.get("images", []), *row.get("videos", []), *([row["path"]] if "path" in row else [])]
            assert all((tmp_path / "out" / path).is_file() and not Path(path).is_absolute() for path in paths)
            text = row["messages"][0]["content"] if "messages" in row else row["problem"]
            assert text.count("<image>") == len(row.get("images", []))
            assert text.count("<video>") == len(row.get("videos", []))


@pytest.mark.slow
def test_the_release_layout_ingests_back_as_the_same_samples(
    made: tuple[Corpus, Snapshot], tmp_path: Path, shared: Path
) -> None:
    with Corpus.create(tmp_path / "first") as corpus:
        released = shared / "data" / "real"
        files = [released / "released" / "onethinker_rl_train.json", released / "released" / "eval_mixed.json"]
        ingest(corpus, "onethinker", files, media_root=released)
        samples = corpus.sql("from samples order by sample_id").to_arrow_table().to_pylist()
        assert len(samples) > 200
        traces = [{**trace({**s, "answer": s["answer"] or "x"}, i), "mode": "blind"} for i, s in enumerate(samples)]
        corpus.append("traces", traces)
        corpus.append("verdicts", [verdict(t, i) for i, t in enumerate(traces)])
        counts = export(frozen(corpus, "release"), "onethinker", tmp_path / "out")
    assert sorted(counts) == [
        "release_eval.json",
        "release_rl_train.json",
        "release_sft_image.json",
        "release_sft_video.json",
    ]
    with Corpus.create(tmp_path / "again") as again:
        asked = [tmp_path / "out" / name for name in ("release_rl_train.json", "release_eval.json")]
        told = ingest(again, "onethinker", asked)
        assert (told["rejects"], told["samples"]) == (0, len(samples))
        back = again.sql("from samples order by sample_id").to_arrow_table().to_pylist()
        here = ("origin", "run_id", "created_at", "split")
        assert [{k: v for k, v in row.items() if k not in here} for row in back] == [
            {k: v for k, v in row.items() if k not in here} for row in samples
        ]
        told = ingest(again, "onethinker", [tmp_path / "out" / name for name in sorted(counts) if "_sft_" in name])
        assert (told["traces"], told["samples"]) == (len(samples), 0), "a trace did not find its sample"


def test_ms_swift_rows_have_messages_media_and_a_solution(made: tuple[Corpus, Snapshot], tmp_path: Path) -> None:
    export(made[1], "ms_swift", tmp_path / "out")
    rows = [row for rows in json_rows(tmp_path / "out").values() for row in rows]
    for row in rows:
        assert [turn["role"] for turn in row["messages"]] == ["user", "assistant"]
        assert row["solution"] in row["messages"][1]["content"]
        assert {"sample_id", "problem_type", "data_type", "task"} <= set(row), "our reward and estimator ask for these"


def test_verl_and_trl_files_load_with_their_pictures_decoded(made: tuple[Corpus, Snapshot], tmp_path: Path) -> None:
    for layout, key in (("verl", "prompt"), ("trl", "messages")):
        out = tmp_path / layout
        export(made[1], layout, out)
        name = "small_image.parquet" if layout == "verl" else "small_sft_image.parquet"
        rows = load_dataset("parquet", data_files=str(out / name), split="train", cache_dir=str(tmp_path / "cache"))
        assert all(row["images"][0].size[1] == 30 and row[key][0]["role"] == "user" for row in rows)
        assert "videos" not in rows.features
    videos = pq.read_table(tmp_path / "verl" / "small_video.parquet").to_pylist()
    assert all(Path(video["video"]).is_file() for row in videos for video in row["videos"])


def test_webdataset_tars_hold_rows_of_one_kind_and_are_the_same_every_time(
    made: tuple[Corpus, Snapshot], tmp_path: Path
) -> None:
    _, snapshot = made
    ids = {i for batch in snapshot.batches(["sample_id"]) for i in batch["sample_id"].to_pylist()}
    for out in ("a", "b"):
        counts = export(snapshot, "webdataset", tmp_path / out)
    assert sorted(counts) == ["small-mp4-000000.tar", "small-png-000000.tar"]
    for name, rows in counts.items():
        content = (tmp_path / "a" / name).read_bytes()
        assert content == (tmp_path / "b" / name).read_bytes()
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            members = tar.getnames()
        kinds = Counter(member.partition(".")[2] for member in members)
        assert set(kinds.values()) == {rows}
        loaded = load_dataset("webdataset", data_files=str(tmp_path / "a" / name), split="train", streaming=True)
        row = next(iter(loaded.decode(False)))
        assert row["json"]["response"].startswith("<think>")
        assert row["json"]["sample_id"] in ids
