"""Other projects' own loaders read our exports; `make loaders` installs them, each in an environment of its own."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from corpus.exports import export
from corpus.snapshots import Snapshot
from tests.corpus.making import frozen, small_corpus

ENVIRONMENTS = os.environ.get("ONETHINKER_LOADERS")
SCRIPTS = Path(__file__).parent / "loaders"


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return frozen(small_corpus(tmp_path_factory.mktemp("loaded")))


def read_by(project: str, *arguments: str, home: Path) -> list[dict[str, Any]]:
    """What the project's own code makes of an export; skips where its environment was not made."""
    python = Path(ENVIRONMENTS or "nowhere") / project / "bin" / "python"
    if not python.exists():
        pytest.skip(f"{project} is not installed: `make loaders` installs it and runs this test")
    env = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    ran = subprocess.run(
        [str(python.absolute()), str(SCRIPTS / f"read_with_{project}.py"), *arguments],
        capture_output=True,
        text=True,
        env=env,
        cwd=home,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    return [json.loads(line.removeprefix("ROW ")) for line in ran.stdout.splitlines() if line.startswith("ROW ")]


def sizes_of(snapshot: Snapshot, kind: str) -> list[Any]:
    media = [row["media"] for batch in snapshot.batches(["media"]) for row in batch.to_pylist()]
    return [[m["width"], m["height"]] for row in media for m in row if m["kind"] == kind]


def test_llamafactory_reads_its_layout(snapshot: Snapshot, tmp_path: Path) -> None:
    export(snapshot, "llamafactory", tmp_path / "out")
    rows = read_by("llamafactory", str(tmp_path / "out"), "small_image", "small_video", home=tmp_path)
    frozen_rows = {row["response"]: row for batch in snapshot.batches() for row in batch.to_pylist()}
    assert len(rows) == snapshot.rows
    for row in rows:
        (answered,) = row["response"]
        assert row["prompt"][0]["content"] == frozen_rows[answered["content"]]["prompt"]
        kind = frozen_rows[answered["content"]]["data_type"]
        (path,) = row[f"{kind}s"]
        assert Path(path).is_file()
        assert row["videos" if kind == "image" else "images"] is None


def test_verl_reads_its_layout(snapshot: Snapshot, tmp_path: Path) -> None:
    files = [str(tmp_path / "out" / name) for name in export(snapshot, "verl", tmp_path / "out")]
    rows = read_by("verl", str(tmp_path / "cache"), *sorted(files), home=tmp_path)
    assert len(rows) == snapshot.rows
    assert [part["image"] for row in rows for part in row["parts"] if "image" in part] == sizes_of(snapshot, "image")
    assert sum("video" in part and part["video"] > 0 for row in rows for part in row["parts"]) == 3
    for row in rows:
        truth = json.loads(row["reward_model"]["ground_truth"])
        assert truth["problem_type"] == row["extra_info"]["problem_type"]
        assert row["index"] == row["extra_info"]["index"]


def test_trl_reads_its_layout(snapshot: Snapshot, tmp_path: Path) -> None:
    files = [str(tmp_path / "out" / name) for name in export(snapshot, "trl", tmp_path / "out")]
    rows = read_by("trl", *sorted(files), home=tmp_path)
    for kind in ("image", "video"):
        sft = [row for row in rows if row["file"].endswith(f"_sft_{kind}.parquet")]
        assert [row["turns"] for row in sft] == [[["user", [kind, "text"]], ["assistant", ["text"]]]] * 3
        grpo = [row for row in rows if row["file"].endswith(f"_grpo_{kind}.parquet")]
        assert [row["turns"] for row in grpo] == [[["user", [kind, "text"]]]] * 3
        assert {"answer", "problem_type", "prompt", f"{kind}s"} <= set(grpo[0]["columns"])
    assert [size for row in rows if "_sft_image" in row["file"] for size in row["sizes"]] == sizes_of(snapshot, "image")
