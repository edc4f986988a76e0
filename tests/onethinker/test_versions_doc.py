"""docs/versions.md does what it says: its commands and its Python run as written."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.corpus.making import frozen, small_corpus

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as the demo leaves it, in small: a corpus with a snapshot `demo@1`, and the recipes."""
    (tmp_path / "demo").mkdir()
    corpus = small_corpus(tmp_path / "demo")
    frozen(corpus, "demo")
    corpus.close()
    shutil.copytree(ROOT / "filters" / "recipes", tmp_path / "filters" / "recipes")
    return tmp_path


@pytest.mark.timeout(900)  # a minute on a quiet machine
def test_every_block_runs_as_written(folder: Path) -> None:
    text = (ROOT / "docs" / "versions.md").read_text()
    blocks = re.findall(r"```(sh|python)\n(.*?)```", text, re.DOTALL)
    scripts = [block for kind, block in blocks if kind == "sh"]
    scripts += [
        f"python - <<'EOF'\n{block}\nEOF" for kind, block in blocks if kind == "python" and "load_dataset" not in block
    ]
    assert len(scripts) == 8
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        ["bash", "-ec", "\n".join(scripts)], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (folder / "diff.html").exists()
    assert (folder / "export" / "verl" / "demo_image.parquet").exists()


def test_the_demos_card_in_the_docs_is_a_whole_one() -> None:
    card = (ROOT / "docs" / "demo_card.md").read_text()
    for section in ("Use it", "What is in it", "Sources and licences", "Who wrote the reasoning",
                    "Which traces were kept", "Rewards", "Known limits", "How it was made", "Citation"):  # fmt: skip
        assert f"\n## {section}\n" in card
    assert len(re.findall(r"^- config_name: ", card, re.MULTILINE)) == 11
