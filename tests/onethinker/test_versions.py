"""The verbs of dataset versions, as they are typed."""

import json
from pathlib import Path

import pytest

from onethinker.cli import main
from tests.corpus.making import frozen, small_corpus


@pytest.mark.slow
def test_from_a_snapshot_to_its_publication_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = small_corpus(tmp_path)
    first = frozen(corpus)
    frozen(corpus, picks=corpus.sql("select sample_id, trace_id from traces limit 2").to_arrow_table())
    with corpus.run("train", {"data": "small@1"}):
        pass
    corpus.close()
    where = ["--corpus", str(tmp_path / "corpus")]
    assert main(["snapshots", "diff", "small@1", "small", "--html", str(tmp_path / "d.html"), *where]) == 0
    assert "not_considered" in capsys.readouterr().out
    assert (tmp_path / "d.html").read_text().startswith("<!doctype html>")
    assert main(["snapshots", "diff", "small@1", "small", "--format", "jsonl", *where]) == 0
    changes = [json.loads(line)["change"] for line in capsys.readouterr().out.splitlines()]
    assert changes == ["dropped"] * 4

    out = tmp_path / "publication"
    assert main(["publish", "small@1", "user/small", "--dry-run", str(out), *where]) == 0
    assert "nothing was uploaded" in capsys.readouterr().out
    assert main(["publish", "small@1", "user/small", "--dry-run", str(out), *where]) == 1
    assert main(["pull", str(out), "--corpus", str(tmp_path / "pulled")]) == 0
    assert first.fingerprint in capsys.readouterr().out
    assert main(["snapshots", "verify", "--corpus", str(tmp_path / "pulled")]) == 0

    assert main(["compact", "--keep-hours", "0", *where]) == 0
    capsys.readouterr()
    assert main(["snapshots", "delete", "small", "--yes", *where]) == 2
    assert "give one" in capsys.readouterr().err
    assert main(["snapshots", "delete", "small@1", *where]) == 2
    printed = capsys.readouterr()
    assert "(train) used it" in printed.out
    assert "add --yes" in printed.err
    assert main(["snapshots", "verify", "small@1", *where]) == 0
    assert main(["snapshots", "delete", "small@1", "--yes", *where]) == 0
    assert main(["snapshots", "verify", "small@1", *where]) == 1
