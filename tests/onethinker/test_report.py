"""The page of a verification agrees with SQL and is self-contained."""

import re
import sys
from pathlib import Path

import pytest

from corpus import Corpus
from corpus.errors import OneThinkerError
from filters import verify
from onethinker.cli import main
from onethinker.report_page import write
from tests.corpus.making import clip


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    opened = Corpus.create(tmp_path / "corpus")
    for name, answer in (("right", "4"), ("wrong", "5"), ("odd", "four-ish, or <b>five</b>")):
        sample = {"sample_id": name, "task": "image QA", "problem_type": "numerical", "data_type": "image", "media": []}
        opened.append("samples", [sample | {"problem": "<image>How many?", "answer": "4", "source": f"from-{name}"}])
        trace = {"trace_id": f"t-{name}", "sample_id": name, "teacher": "local:eye", "mode": "blind", "answer": answer}
        opened.append("traces", [trace | {"thinking": "x", "response": f"<think>x</think><answer>{answer}</answer>"}])
    return opened


def test_the_page_has_rates_reasons_and_examples(corpus: Corpus, tmp_path: Path) -> None:
    run = verify(corpus).run_id
    done = write(corpus, tmp_path / "out" / "report.html", run=run)
    page = done.path.read_text()
    assert (done.traces, done.profile) == (3, "strict")
    for word in (run, "from-right", "local:eye", "image QA", "33%", "How many?", "onethinker verify --profile paper"):
        assert word in page
    assert "&lt;b&gt;five" in page, "model output is escaped"
    assert "<b>five" not in page
    assert not re.search(r"(?:src|href)=[\"'](?!data:|#)", page), "the page is not self-contained"


def test_profiles_that_disagree_are_shown(corpus: Corpus, tmp_path: Path) -> None:
    corpus.append("samples", [{"sample_id": "cm", "task": "image QA", "problem_type": "math", "data_type": "image"}
        | {"problem": "How long?", "answer": "10 m", "source": "s", "media": []}])  # fmt: skip
    response = "<think>x</think><answer>10 cm</answer>"
    corpus.append("traces", [{"trace_id": "t-cm", "sample_id": "cm", "response": response, "answer": "10 cm"}])
    verify(corpus)
    verify(corpus, profile="paper")
    page = write(corpus, tmp_path / "report.html").path.read_text()
    assert "strict 0.00 · paper 1.00" in page


def test_missing_verdicts_and_unknown_runs_are_named(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(OneThinkerError, match=r"no verdict of profile 'strict'; `onethinker verify --profile strict`"):
        write(corpus, tmp_path / "report.html")
    run = verify(corpus).run_id
    with pytest.raises(OneThinkerError, match=f"no verification run '{run}x'; did you mean '{run}'"):
        write(corpus, tmp_path / "report.html", run=run + "x")


def test_the_command_writes_the_page(corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verify(corpus)
    out = tmp_path / "report.html"
    assert main(["report", "--corpus", str(corpus.root), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: 3 traces, profile strict\n"
    assert out.read_text().endswith("</html>")


def test_an_av1_clip_is_shown_and_a_missing_medium_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "decord", None)  # as on machines that it has no wheel for
    corpus = Corpus.create(tmp_path / "corpus")
    medium = corpus.media.add(clip(tmp_path / "a.mkv", "libsvtav1")).row()
    sample = {"sample_id": "a", "task": "video QA", "problem_type": "numerical", "data_type": "video", "source": "made"}
    corpus.append("samples", [sample | {"problem": "<video>How many?", "answer": "4", "media": [medium]}])
    response = "<think>x</think><answer>4</answer>"
    corpus.append("traces", [{"trace_id": "t", "sample_id": "a", "response": response, "answer": "4"}])
    verify(corpus)
    out = tmp_path / "report.html"
    assert main(["report", "--corpus", str(corpus.root), "--out", str(out)]) == 0
    assert out.read_text().count("data:image/jpeg") == 4
    corpus.media.path(medium["sha256"]).unlink()
    assert main(["report", "--corpus", str(corpus.root), "--out", str(out)]) == 0
    page = out.read_text()
    assert "data:image/jpeg" not in page
    assert f"Not shown: media_missing: {medium['sha256']} is not in" in page
