"""Publishing and pulling, against a Hub on loopback: nothing lost, nothing sent twice, nothing that may not go."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from datasets import Video

from corpus import Corpus, OneThinkerError, UsageError
from corpus.hub import Policy, publish, pull
from corpus.hub.scan import scan
from corpus.ids import digest, trace_id_of
from corpus.snapshots import Snapshot
from tests.corpus.making import frozen, small_corpus, trace, verdict
from tests.hub_double import TOKEN, HubDouble

REPO = "user/small"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, Snapshot]:
    return rich_corpus(tmp_path_factory.mktemp("made"))


def rich_corpus(root: Path) -> tuple[Corpus, Snapshot]:
    """Prompts, a second profile, drops, two teachers: everything that a publication carries."""
    corpus = small_corpus(root)
    first = corpus.sql("select sample_id, answer from samples order by 1 limit 1").to_arrow_table().to_pylist()[0]
    config = {"out": "/home/somebody/out", "api_key": "sk-should-not-be-here-000000"}
    with corpus.run("annotate", config) as run, run.transaction("more") as tx:
        more = {**trace(first, 9, teacher="p:other"), "prompt_id": digest("Go | on")}
        prompt = {"prompt_id": more["prompt_id"], "text": "Go | on"}
        more["trace_id"] = trace_id_of({"params": None, **more})
        tx.append("traces", [more])
        tx.append("prompts", [{**prompt, "problem_type": "tracking", "mode": "blind"}])
        tx.append("verdicts", [verdict(more, 9), {**verdict(more, 9, profile="paper"), "reward": 0.5}])
    drops = corpus.sql("select sample_id, trace_id, 'low_reward' as reason from traces where teacher = 'p:other'")
    keep = corpus.sql("select sample_id, trace_id from traces order by trace_id").to_arrow_table()
    return corpus, frozen(corpus, picks=keep, drops=drops.to_arrow_table())


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubDouble]:
    import huggingface_hub.constants as constants
    import huggingface_hub.utils._http as http

    with HubDouble() as double:
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, double.endpoint)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", double.endpoint)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(http.time, "sleep", lambda _: None)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield double


def rows_of(corpus: Corpus, table: str) -> list[dict[str, Any]]:
    rows = corpus.sql(f"select * from {table}").to_arrow_table().to_pylist()
    return sorted(rows, key=lambda row: json.dumps(row, default=str))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_pulled_it_is_a_corpus_again_and_published_again_nothing_changes(
    made: tuple[Corpus, Snapshot], hub: HubDouble, tmp_path: Path
) -> None:
    corpus, snapshot = made
    done = publish(corpus, "small", REPO)
    assert (done.snapshot, done.tag, done.changed) == ("small@1", "v1", True)
    assert hub.repos[REPO].tags == {"v1": done.commit}
    with Corpus.create(tmp_path / "pulled") as pulled:
        again = pull(pulled, f"{REPO}@1")
        assert (again.fingerprint, again.rows, again.counts) == (snapshot.fingerprint, snapshot.rows, snapshot.counts)
        assert again.damage() == []
        assert [f["sha256"] for f in again.manifest["files"]] == [f["sha256"] for f in snapshot.manifest["files"]]
        for table in ("samples", "traces", "verdicts", "prompts", "snapshot_rows", "snapshot_drops"):
            same = [{**row, "run_id": 0} if table.startswith("snapshot") else row for row in rows_of(pulled, table)]
            assert same == [
                {**row, "run_id": 0} if table.startswith("snapshot") else row for row in rows_of(corpus, table)
            ], table
        media = {p.name for p in (corpus.root / "media").glob("??/*")}
        assert {p.name for p in (pulled.root / "media").glob("??/*")} == media
        assert [row["messages"] for row in again.dataset()] == [row["messages"] for row in snapshot.dataset()]
        assert pulled.sql("select kind, status from runs where kind in ('annotate', 'pull') order by 1").fetchall() == [
            ("annotate", "done"),
            ("pull", "done"),
        ]
        assert pull(pulled, f"{REPO}@v1") == again, "pulling twice adds nothing"
        commits = len(hub.repos[REPO].commits)
        assert publish(pulled, "small@1", REPO).changed is False
        assert len(hub.repos[REPO].commits) == commits
        publish(pulled, "small@1", REPO, dry_run=tmp_path / "out")
        there = hub.files(REPO)
        for path, content in contents(tmp_path / "out").items():
            assert there[path] == content, f"{path} differs"


@pytest.mark.slow
def test_a_broken_connection_goes_on_with_what_is_not_there_yet(made: tuple[Corpus, Snapshot], hub: HubDouble) -> None:
    corpus, _ = made
    hub.break_after(2)
    with pytest.raises(OneThinkerError, match="the same command resumes"):
        publish(corpus, "small@1", REPO)
    assert sum(hub.uploads.values()) == 2
    assert hub.repos[REPO].tags == {}
    assert len(hub.repos[REPO].commits) == 1, "a commit named files that are not there"
    hub.mend()
    done = publish(corpus, "small@1", REPO)
    assert set(hub.uploads.values()) == {1}, "a file was sent twice"
    assert len(hub.uploads) == sum(path.endswith(".parquet") for path in hub.files(REPO)) == done.files - 4
    assert list((corpus.root / "cache").glob("publish-*")) == []
    assert corpus.sql("select status from runs where kind = 'publish' order by started_at desc limit 2").fetchall() == [
        ("done",),
        ("failed",),
    ]


# Videos are handed out as their files' bytes: decoding them takes torchcodec, reading a row does not.
FEATURES = ["List(Image(mode=None, decode=True))", f"List({Video(decode=False)})"]
LOADED = """
import json, sys
from datasets import load_dataset
repo = sys.argv[1]
told = {}
plain = load_dataset(repo, "spatial_grounding", split="train")
told["plain"] = [row["images"][0].size for row in plain]
told["features"] = [str(plain.features[name]) for name in ("images", "videos")]
told["ids"] = list(plain["trace_id"])
stream = load_dataset(repo, "temporal_grounding", split="train", streaming=True)
told["stream"] = [len(row["videos"][0]["bytes"]) for row in stream]
told["all"] = load_dataset(repo, revision="v1").num_rows
told["one source"] = load_dataset(repo, data_files="data/*/*/made-*.parquet", split="train").num_rows
print(json.dumps(told))
"""


@pytest.mark.slow
def test_load_dataset_reads_it_plain_and_streaming(
    made: tuple[Corpus, Snapshot], hub: HubDouble, tmp_path: Path
) -> None:
    corpus, snapshot = made
    publish(corpus, "small", REPO)
    env = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", LOADED, REPO], env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout.splitlines()[-1])
    by_kind = {"image": [], "video": []}
    for row in (row for batch in snapshot.batches() for row in batch.to_pylist()):
        by_kind[row["data_type"]].append(row)
    assert told["features"] == FEATURES
    assert told["ids"] == [row["trace_id"] for row in by_kind["image"]]
    assert told["plain"] == [[m["width"], m["height"]] for row in by_kind["image"] for m in row["media"]]
    assert told["stream"] == [
        corpus.media.path(m["sha256"]).stat().st_size for row in by_kind["video"] for m in row["media"]
    ]
    assert told["all"] == {"train": snapshot.rows}
    assert told["one source"] == snapshot.rows


@pytest.mark.slow
def test_a_tag_never_changes_its_rows(made: tuple[Corpus, Snapshot], hub: HubDouble, tmp_path: Path) -> None:
    corpus, _ = made
    publish(corpus, "small", REPO)
    other = small_corpus(tmp_path, rows=2)
    frozen(other)
    with pytest.raises(OneThinkerError, match="a published version never changes"):
        publish(other, "small", REPO)


@pytest.mark.slow
def test_a_later_version_replaces_the_files_and_leaves_what_is_not_ours(tmp_path: Path, hub: HubDouble) -> None:
    corpus = small_corpus(tmp_path)
    frozen(corpus)
    first = publish(corpus, "small@1", REPO)
    hub.repos[REPO].commits[-1][1]["LICENSE"] = b"mine"
    frozen(corpus, picks=corpus.sql("select sample_id, trace_id from traces t join samples s using (sample_id) "
                                    "where task = 'spatial grounding'").to_arrow_table())  # fmt: skip
    second = publish(corpus, "small@2", REPO)
    assert hub.repos[REPO].tags == {"v1": first.commit, "v2": second.commit}
    assert not any("temporal" in path for path in hub.files(REPO))
    assert any("temporal" in path for path in hub.files(REPO, "v1"))
    assert hub.files(REPO)["LICENSE"] == b"mine"


def test_the_card_and_its_configs_are_the_datas(made: tuple[Corpus, Snapshot], tmp_path: Path) -> None:
    corpus, snapshot = made
    publish(corpus, "small", REPO, dry_run=tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    configs = {c["config_name"]: c["data_files"] for c in yaml.safe_load(front)["configs"]}
    assert sorted(configs) == ["default", "spatial_grounding", "temporal_grounding"]
    assert configs["spatial_grounding"] == [{"split": "train", "path": "data/spatial_grounding/train/*.parquet"}]
    assert snapshot.fingerprint in body
    for told in ("`p:m`", "`p:other`", "Go | on", "| `low_reward` | 1 |", "steps: []", "not stated", REPO):
        assert told in body, told
    assert "$0.0" not in body.split("## Which")[0].split("## Who")[1], "a cost that nobody recorded is shown"
    published = json.loads((tmp_path / "out" / "snapshot.json").read_text())
    for name, file in published["files"].items():
        assert hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == file["sha256"]


def test_croissant_is_valid(made: tuple[Corpus, Snapshot], tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    corpus, _ = made
    publish(corpus, "small", REPO, dry_run=tmp_path / "out")
    dataset = mlcroissant.Dataset(jsonld=tmp_path / "out" / "croissant.json")
    assert list(dataset.metadata.ctx.issues.errors) == []
    assert {record_set.name for record_set in dataset.metadata.record_sets} == {
        "spatial_grounding",
        "temporal_grounding",
    }


@pytest.mark.slow
def test_large_media_lie_beside_and_withheld_ones_stay_home(tmp_path: Path) -> None:
    corpus = small_corpus(tmp_path, rows=4)
    frozen(corpus)
    publish(corpus, "small", REPO, dry_run=tmp_path / "beside", policy=Policy(embed_bytes=0))
    rows = pq.read_table(tmp_path / "beside" / "data/temporal_grounding/train/made-00000-of-00001.parquet").to_pylist()
    for row in rows:
        (where,) = row["media_at"]
        assert where.endswith(".mp4")
        assert hashlib.sha256((tmp_path / "beside" / where).read_bytes()).hexdigest() == row["media"][0]["sha256"]
        assert row["videos"] == []
    with Corpus.create(tmp_path / "again") as again:
        assert pull(again, str(tmp_path / "beside")).damage() == []
        assert len(list((again.root / "media").glob("??/*"))) == 4
    unknown = Policy(withheld_licences=frozenset({"unknown"}))
    publish(corpus, "small", REPO, dry_run=tmp_path / "withheld", policy=unknown)
    assert "4 are not published" in (tmp_path / "withheld" / "README.md").read_text()
    with Corpus.create(tmp_path / "bare") as bare:
        assert pull(bare, str(tmp_path / "withheld")).fingerprint == corpus.snapshots.get("small").fingerprint
        assert list((bare.root / "media").glob("??/*")) == []
        publish(bare, "small", REPO, dry_run=tmp_path / "again2", policy=unknown)
    assert contents(tmp_path / "again2") == contents(tmp_path / "withheld")


@pytest.mark.parametrize(
    ("licence", "withheld"),
    [("CC-BY-4.0", False), (None, False), ("research only, no redistribution", True), ("Proprietary", True)],
)
def test_a_licence_can_say_that_media_stay_home(licence: str | None, withheld: bool) -> None:
    assert Policy().withholds(licence) is withheld


LEAKS = {
    "sk-abcdefghijklmnopqrstuv": "an API key",
    "hf_abcdefghijklmnopqrstuv": "an HF token",
    "Authorization: Bearer abcdefghijklmnopqrst": "a bearer token",
    "see /home/somebody/data.json": "an absolute path",
    "in (/mnt/cluster/x)": "an absolute path",
    "file:///etc/passwd": "an absolute path",
    r"C:\Users\me\x.png": "an absolute path",
    "my-own-secret-value": "the value of $MY_API_KEY",
}


@pytest.mark.parametrize(("leak", "what"), LEAKS.items(), ids=list(LEAKS))
def test_secrets_and_paths_are_found_wherever_they_are(
    leak: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", "my-own-secret-value")
    (tmp_path / "data").mkdir()
    nested = [[{"key": "fine", "value": None}], [], None, [{"key": "x", "value": None}, {"key": leak, "value": None}]]
    pq.write_table(pa.table({"text": ["a", None, leak, "b"], "nested": nested}), tmp_path / "data" / "x.parquet")
    (tmp_path / "README.md").write_text(f"fine\n{json.dumps(leak)}\n")
    found = list(scan(tmp_path))
    assert [(f.file, f.where) for f in found] == [
        ("README.md", "line 2"),
        ("data/x.parquet", "column text, row 3"),
        ("data/x.parquet", "column nested, row 4"),
    ]
    assert {f.what for f in found} == {what}
    assert not any(leak in str(f) for f in found)
    assert list(scan(tmp_path, allow=[leak, json.dumps(leak)])) == []


@pytest.mark.slow
def test_what_must_not_leave_the_house_is_refused(tmp_path: Path, hub: HubDouble) -> None:
    corpus = small_corpus(tmp_path, rows=2)
    sample_id, answer = corpus.sql("select sample_id, answer from samples").fetchall()[0]
    leak = "sk-abcdefghijklmnopqrstuv"
    bad = {**trace({"sample_id": sample_id, "answer": answer}, 0, teacher="p:leaky"), "raw": json.dumps({"x": [leak]})}
    corpus.append("traces", [bad])
    corpus.append("verdicts", [verdict(bad, 0)])
    frozen(corpus)
    with pytest.raises(OneThinkerError, match=r"column raw, row \d: an API key") as refused:
        publish(corpus, "small", REPO)
    assert leak not in str(refused.value)
    assert hub.repos == {}
    with pytest.raises(OneThinkerError, match="not published"):
        publish(corpus, "small", REPO, dry_run=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    publish(corpus, "small", REPO, dry_run=tmp_path / "out", allow=[leak])
    assert (tmp_path / "out" / "README.md").exists()


@pytest.mark.parametrize("fine", ["either/or /tmp", "a/home/b", r"x:\frac{1}{2}", "task-1234567890123456789", "1/2"])
def test_harmless_text_goes(fine: str, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(fine)
    assert list(scan(tmp_path)) == []


def test_runs_are_published_without_paths_hosts_and_keys(made: tuple[Corpus, Snapshot], tmp_path: Path) -> None:
    corpus, _ = made
    publish(corpus, "small", REPO, dry_run=tmp_path / "out")
    runs = pq.read_table(tmp_path / "out" / "provenance" / "runs.parquet").to_pylist()
    (annotate,) = [run for run in runs if run["kind"] == "annotate"]
    assert json.loads(annotate["config"]) == {"api_key": "(removed)", "out": "out"}
    assert {run["host"] for run in runs} == {None}


@pytest.mark.slow
def test_wrong_names_and_damage_say_what_is_wrong(
    made: tuple[Corpus, Snapshot], hub: HubDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, _ = made
    with pytest.raises(UsageError, match="names no owner: use user/small"):
        publish(corpus, "small", "small")
    with pytest.raises(UsageError, match="cannot name a Hub dataset"):
        publish(corpus, "small", "user/sm all")
    publish(corpus, "small", REPO, dry_run=tmp_path / "out")
    with pytest.raises(OneThinkerError, match="not an empty folder"):
        publish(corpus, "small", REPO, dry_run=tmp_path / "out")
    with Corpus.create(tmp_path / "pulled") as pulled:
        with pytest.raises(UsageError, match="is neither a Hub dataset"):
            pull(pulled, "nowhere")
        with pytest.raises(UsageError, match="use user/small@1"):
            pull(pulled, REPO)
        with pytest.raises(OneThinkerError, match="the Hub shows no dataset 'user/small'"):
            pull(pulled, f"{REPO}@1")
        publish(corpus, "small", REPO)
        with pytest.raises(OneThinkerError, match=r"has no version 'v7'; .*v1"):
            pull(pulled, f"{REPO}@7")
        shard = next((tmp_path / "out" / "data").glob("*/*/*.parquet"))
        shard.write_bytes(shard.read_bytes()[:-1] + b"x")
        with pytest.raises(OneThinkerError, match="has changed since it was published"):
            pull(pulled, str(tmp_path / "out"))
        assert pulled.sql("select count(*) from samples").fetchone() == (0,)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(OneThinkerError, match=r"refuses user/other \(401\)"):
        publish(corpus, "small", "user/other")
