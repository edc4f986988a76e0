"""Check: gold answers that lose marks and media that do not open are found before anybody pays for them."""

import json

import pytest
from PIL import Image

from corpus import Corpus
from corpus.check import check_corpus, check_files
from corpus.errors import OneThinkerError
from corpus.ingest import ingest
from corpus.media import sha256_of
from onethinker.cli import main

BOX = {
    "problem": "<image>Where is it?",
    "data_type": "image",
    "problem_type": "spatial grounding",
    "data_source": "made",
    "answer": '<answer>{"boxes": [0, 227, 302, 656]}</answer>',
    "images": ["a.png"],
}
WORD = BOX | {"problem": "<image>What is it?", "problem_type": "open-ended", "answer": "<answer>bag</answer>"}


@pytest.fixture
def file(tmp_path):
    """A good annotation file and its picture."""
    Image.new("RGB", (64, 48), (1, 2, 3)).save(tmp_path / "a.png")
    (tmp_path / "x.json").write_text(json.dumps([BOX, WORD]))
    return tmp_path / "x.json"


@pytest.fixture
def corpus(tmp_path, file):
    with Corpus.create(tmp_path / "corpus") as made:
        ingest(made, "onethinker", [file])
        yield made


def failures(report):
    return sorted((check, reason, count) for (check, _, reason), count in report.failures.items())


def test_all_is_well(corpus, file):
    for report in (check_corpus(corpus), check_files("onethinker", [file])):
        assert (report.samples, report.media, failures(report)) == (2, 1, [])
        assert report.table().num_rows == 0


def test_a_gold_answer_that_its_reward_does_not_honour(corpus, file):
    """One word has no bigrams, so the released reward gives an open-ended answer of one word two thirds."""
    for report in (
        check_corpus(corpus, profiles=["strict", "paper"]),
        check_files("onethinker", [file], profiles=["strict", "paper"]),
    ):
        assert failures(report) == [("gold answer, paper", "accuracy_below_full", 1)]
        [row] = report.table().to_pylist()
        assert row["detail"] == "accuracy 0.6666666666666666 for its own answer: bag"
        assert row["problem_type"] == "open-ended"
    assert row["first"] == "row 2 of x.json"


def test_a_slice_is_checked_alone(corpus):
    report = check_corpus(corpus, where="problem_type = 'spatial grounding'", profiles=["paper"])
    assert (report.samples, report.media, failures(report)) == (1, 1, [])
    with pytest.raises(OneThinkerError, match="problem_typ"):
        check_corpus(corpus, where="problem_typ = 'x'")


def test_a_medium_that_is_gone_broken_or_changed(corpus, tmp_path):
    path = corpus.media.path(sha256_of(tmp_path / "a.png"))
    whole = path.read_bytes()
    Image.new("RGB", (9, 9)).save(path, format="png")
    assert failures(check_corpus(corpus)) == [("medium", "media_changed", 1)]
    path.write_bytes(whole[:-30])
    assert failures(check_corpus(corpus)) == [("medium", "media_unreadable", 1)]
    path.unlink()
    assert failures(check_corpus(corpus)) == [("medium", "media_missing", 1)]


def test_a_files_records_are_judged_as_ingest_would(file):
    records = [BOX, BOX | {"images": ["no.png"]}, BOX | {"problem_type": "x"}, BOX | {"answer": "here"}, 3]
    file.write_text(json.dumps(records))
    report = check_files("onethinker", [file])
    assert (report.samples, report.media) == (5, 1)
    assert [reason for _, reason, _ in failures(report)] == [
        "answer_unreadable",
        "media_missing",
        "not_an_object",
        "unknown_problem_type",
    ]


def test_the_command_tells_by_its_exit_code(file, tmp_path, capsys):
    assert main(["check", str(file)]) == 0
    assert "2 samples and 1 media files checked: no failures" in capsys.readouterr().err
    file.write_text(json.dumps([BOX | {"images": ["no.png"]}]))
    assert main(["check", str(file), "--format", "jsonl"]) == 1
    out = capsys.readouterr()
    assert json.loads(out.out)["reason"] == "media_missing"
    assert "1 samples and 0 media files checked: 1 failures" in out.err
    assert main(["check", str(file), "--reader", "coc"]) == 2
    assert main(["check", str(tmp_path / "no.json")]) == 1


def test_ingest_and_check_from_the_command_line(file, tmp_path, capsys):
    url = str(tmp_path / "made")
    assert main(["init", "--corpus", url]) == 0
    capsys.readouterr()
    assert main(["ingest", "onethinker", str(file), "--corpus", url, "--format", "json"]) == 0
    counts = {row["of"]: row["count"] for row in json.loads(capsys.readouterr().out)}
    assert counts == {"records": 2, "samples": 2, "attached": 0, "known": 0, "rejects": 0, "traces": 0}
    assert main(["check", "--corpus", url]) == 0


def test_the_released_files_are_fit(shared):
    root = shared / "data" / "real"
    files = [root / "released" / name for name in ("onethinker_rl_train.json", "eval_mixed.json")]
    report = check_files("onethinker", files, media_root=root)
    assert (report.samples, failures(report)) == (228 + 58, [])
