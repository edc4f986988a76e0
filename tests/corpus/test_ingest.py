"""Ingest: every record is accounted for, whatever it is, however often and however rudely the run is stopped."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from corpus import Corpus
from corpus.errors import OneThinkerError, UsageError
from corpus.ingest import ingest
from corpus.ingest.drafts import split_of
from corpus.media import sha256_of

HERE = Path(__file__).resolve().parents[2]

RL = {
    "problem_id": 1,
    "problem": "<image>Where is the bed?",
    "data_type": "image",
    "problem_type": "spatial grounding",
    "options": [],
    "data_source": "RefCOCO",
    "answer": '<answer>{"boxes": [0, 227, 302, 656]}</answer>',
    "images": ["a.png"],
}


@pytest.fixture
def corpus(tmp_path):
    with Corpus.create(tmp_path / "corpus") as made:
        yield made


@pytest.fixture
def folder(tmp_path):
    """A media root with a good picture."""
    root = tmp_path / "root"
    root.mkdir()
    Image.new("RGB", (64, 48), (10, 20, 30)).save(root / "a.png")
    return root


def write(path: Path, *records: object) -> Path:
    path.write_bytes(orjson.dumps(list(records)))
    return path


def accounted_for(counts: Counter[str]) -> bool:
    return counts["records"] == counts["samples"] + counts["attached"] + counts["known"] + counts["rejects"]


def state(corpus: Corpus) -> dict[str, list[str]]:
    """All rows of the tables that ingest writes, but for who wrote them and when."""
    return {
        table: [
            str(row)
            for row in corpus.sql(f"select * exclude (run_id, created_at) from {table} order by all").fetchall()
        ]
        for table in ("samples", "traces", "rejects")
    }


# -- the real thing ----------------------------------------------------------------------------------------------------


def test_the_released_files_land_whole_and_only_once(corpus, shared):
    root = shared / "data" / "real"
    released = [root / "released" / name for name in ("onethinker_rl_train.json", "eval_mixed.json")]
    counts = ingest(corpus, "onethinker", released, media_root=root)
    assert counts["records"] == 228 + 58
    # The files hold one question twice: RefCOCO has the same sentence for the same box under two ids.
    assert (counts["samples"], counts["rejects"], counts["rejects: duplicate"]) == (284, 2, 2)
    sft = [root / "llamafactory_sharegpt" / name for name in ("mllm_demo.json", "mllm_video_demo.json")]
    counts = ingest(corpus, "onethinker", sft)
    assert (counts["records"], counts["samples"], counts["traces"], counts["rejects"]) == (9, 9, 9, 0)

    problem_types = corpus.sql("select count(distinct problem_type), count(distinct task) from samples").fetchall()
    assert problem_types == [(11, 10)]
    query = "select split, count(*) from samples group by 1 order by 1"
    assert corpus.sql(query).fetchall() == [("eval", 57), ("sft", 9), ("train", 227)]
    query = """select origin.file, origin."row", origin.key, media[1].width, media[1].height, media[1].duration
               from samples where problem_type = 'segmentation' and data_type = 'video'"""
    assert corpus.sql(query).fetchall() == [("released/onethinker_rl_train.json", 228, "228", 854, 480, 5.0)]
    query = "select teacher, mode, attempt, count(*) from traces group by all order by all"
    assert corpus.sql(query).fetchall() == [
        ("release:mllm_demo", "release", 1, 6),
        ("release:mllm_video_demo", "release", 1, 3),
    ]

    before = state(corpus)
    again = ingest(corpus, "onethinker", released, media_root=root) + ingest(corpus, "onethinker", sft)
    assert (again["known"], again["rejects"], again["samples"], again["rejects added"]) == (284 + 9, 2, 0, 0)
    assert state(corpus) == before


# -- every reason to set a record aside --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason", "field", "words"),
    [
        ({"problem": None}, "malformed", "problem", "`problem` is missing"),
        ({"problem_type": "spatial groundng"}, "unknown_problem_type", "problem_type", "did you mean 'spatial ground"),
        ({"problem_type": "Spatial Grounding"}, "unknown_problem_type", "problem_type", "did you mean 'spatial ground"),
        ({"data_type": "audio"}, "unknown_data_type", "data_type", "known: image, video, video-image"),
        ({"data_type": "video"}, "data_type_mismatch", "data_type", "the media are image"),
        ({"problem": "Where?"}, "media_token_mismatch", "problem", "0 <image> for 1 image(s)"),
        ({"problem": "<image><image>Where?"}, "media_token_mismatch", "problem", "2 <image> for 1 image(s)"),
        ({"problem": "<image><video>Where?"}, "media_token_mismatch", "problem", "1 <video> for 0 video(s)"),
        ({"answer": "somewhere"}, "answer_unreadable", "answer", "cannot read this answer"),
        ({"images": ["no.png"]}, "media_missing", "media", "'no.png' is not there"),
        ({"images": ["cut.png"]}, "media_unreadable", "media", "cut.png"),
        ({"images": ["/etc/hostname"]}, "media_outside_root", "media", "an absolute path"),
        ({"images": ["../secret.png"]}, "media_outside_root", "media", "leads out of the media root"),
        ({"images": ["link.png"]}, "media_outside_root", "media", "leads out of the media root"),
    ],
)
def test_a_record_that_cannot_be_used_is_set_aside_with_its_reason(corpus, folder, change, reason, field, words):
    whole = (folder / "a.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder.parent / "secret.png").write_bytes(whole)
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    counts = ingest(
        corpus,
        "onethinker",
        [write(folder / "x.json", RL, RL | change, RL | {"problem_id": 3, "problem": "<image>B?"})],
    )
    assert (counts["samples"], counts["rejects"], accounted_for(counts)) == (2, 1, True)
    [row] = corpus.sql('select reader, file, "row", field, reason, detail, raw, run_id from rejects').fetchall()
    assert row[:5] == ("onethinker", "x.json", 2, field, reason)
    assert words in row[5]
    assert json.loads(row[6]) == RL | change
    assert row[7] == corpus.sql("select any_value(run_id) from samples").fetchall()[0][0]


def test_a_broken_file_keeps_what_came_before_the_break(corpus, folder):
    path = write(folder / "x.json", RL, RL | {"problem": "<image>B?"})
    path.write_bytes(path.read_bytes()[:-40])
    counts = ingest(corpus, "onethinker", [path])
    assert (counts["samples"], counts["rejects: malformed_json"]) == (1, 1)


def test_a_duplicate_names_the_first_one_in_this_file_or_in_another(corpus, folder):
    files = [write(folder / "x.json", RL, RL | {"problem_id": 2}), write(folder / "y.json", RL)]
    for _ in range(2):
        counts = ingest(corpus, "onethinker", files)
        assert counts["rejects: duplicate"] == 2
    query = 'select file, "row", detail from rejects order by all'
    assert corpus.sql(query).fetchall() == [
        ("x.json", 2, "the same sample is row 1 of x.json"),
        ("y.json", 1, "the same sample is row 1 of x.json"),
    ]


def test_what_differs_in_options_or_type_is_not_a_duplicate(corpus, folder):
    choice = RL | {"problem_type": "multiple choice", "answer": "A", "options": ["A. bed", "B. sofa"]}
    other = choice | {"options": ["A. sofa", "B. bed"]}
    number = RL | {"answer": "3", "problem_type": "numerical"}
    records = [choice, other, number, number | {"problem_type": "regression"}]
    assert ingest(corpus, "onethinker", [write(folder / "x.json", *records)])["samples"] == 4


def test_a_medium_that_hangs_costs_its_own_record(corpus, folder, monkeypatch):
    ingest(corpus, "onethinker", [write(folder / "x.json", RL)])  # measures a.png without haste
    os.mkfifo(folder / "pipe.png")
    monkeypatch.setattr("corpus.media.pool.inside", lambda root, path: root / path)  # which refuses pipes
    path = write(folder / "y.json", RL | {"problem": "<image>Where else?"}, RL | {"images": ["pipe.png"]})
    counts = ingest(corpus, "onethinker", [path], timeout_s=1)
    assert (counts["samples"], counts["rejects: media_timeout"]) == (1, 1)


# -- traces ------------------------------------------------------------------------------------------------------------


def sft(question: str, response: str, **more: object) -> dict[str, object]:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": response}]
    return {"messages": turns, "images": ["a.png"], **more}


GOOD = '<think>Left.</think><answer>{"boxes": [0, 227, 300, 656]}</answer>'


def test_a_trace_hangs_on_the_sample_that_asks_the_same_of_the_same_media(corpus, folder):
    ingest(corpus, "onethinker", [write(folder / "rl_train.json", RL)])
    rows = [
        sft(" Where is the bed? <image>\n", GOOD),
        sft("<image>Where is the bed?\nThink first, then answer.", GOOD + " "),  # a template behind the question
        sft("<image>Where is the sofa?", GOOD),
    ]
    counts = ingest(corpus, "onethinker", [write(folder / "sft.json", *rows)], teacher="seed:1.5")
    assert (counts["attached"], counts["samples"], counts["traces"], accounted_for(counts)) == (2, 1, 3, True)
    query = """select s.split, s.truth_origin, s.problem_type, t.teacher, t.mode, t.attempt, t.thinking, t.response,
                      t.origin.file, t.origin."row"
               from traces t join samples s using (sample_id) order by t.origin."row" """
    found = corpus.sql(query).fetchall()
    assert [row[:6] for row in found] == [
        ("train", None, "spatial grounding", "seed:1.5", "release", 1),
        ("train", None, "spatial grounding", "seed:1.5", "release", 2),
        ("sft", "model", "spatial grounding", "seed:1.5", "release", 1),
    ]
    assert found[1][6:] == ("Left.", GOOD + " ", "sft.json", 2)
    before = state(corpus)
    again = ingest(corpus, "onethinker", [folder / "sft.json"], teacher="seed:1.5")
    assert (again["known"], again["traces"]) == (3, 0)
    assert state(corpus) == before


def test_of_samples_that_ask_the_same_the_one_whose_options_are_shown_is_meant(corpus, folder):
    choice = RL | {"problem_type": "multiple choice", "answer": "A", "options": ["A. bed", "B. sofa"]}
    free = RL | {"problem_type": "open-ended", "answer": "the bed"}
    ingest(corpus, "onethinker", [write(folder / "rl.json", choice, free)])
    shown = sft("<image>Where is the bed?\nOptions:\nA. bed\nB. sofa", "<think></think><answer>A</answer>")
    plain = sft("<image>Where is the bed?", "<think>Hm.</think><answer>The bed</answer>")
    ingest(corpus, "onethinker", [write(folder / "sft.json", shown, plain)])
    query = 'select s.problem_type from traces t join samples s using (sample_id) order by t.origin."row"'
    assert corpus.sql(query).fetchall() == [("multiple choice",), ("open-ended",)]


def test_the_same_response_twice_is_a_duplicate_and_another_one_a_second_attempt(corpus, folder):
    rows = [sft("<image>Where?", GOOD), sft("<image>Where?", GOOD), sft("<image>Where?", GOOD.replace("300", "301"))]
    counts = ingest(corpus, "onethinker", [write(folder / "sft.json", *rows)])
    assert (counts["samples"], counts["attached"], counts["rejects: duplicate"]) == (1, 1, 1)
    assert corpus.sql("select attempt, teacher from traces order by 1").fetchall() == [
        (1, "release:sft"),
        (2, "release:sft"),
    ]


def test_thinking_beside_an_answer_adds_a_sample_and_its_trace(corpus, folder):
    record = {name: value for name, value in RL.items() if name not in ("answer", "images")}
    record |= {"solution": RL["answer"], "path": "./a.png", "process": "<think>Left.</think>"}
    counts = ingest(corpus, "onethinker", [write(folder / "cot.json", record)])
    assert (counts["samples"], counts["traces"], counts["attached"]) == (1, 1, 0)
    assert corpus.sql("select thinking, truth_origin from traces join samples using (sample_id)").fetchall() == [
        ("Left.", None)
    ]


# -- names, limits, wrong usage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("onethinker_rl_train.json", "train"),
        ("onethinker_rl_train_unsampled.json", "train"),
        ("onethinker_sft_image.json", "sft"),
        ("eval_refcoco.json", "eval"),
        ("got10k-val.jsonl", "eval"),
        ("retrained.json", None),
    ],
)
def test_a_files_name_tells_its_split(name, split):
    assert split_of(Path(name)) == split


def test_split_limit_and_origin(corpus, folder, tmp_path):
    records = [RL | {"problem": f"<image>Where {i}?"} for i in range(5)]
    counts = ingest(
        corpus, "onethinker", [write(tmp_path / "outside_train.json", *records)], media_root=folder, limit=3
    )
    assert counts["samples"] == 3
    (folder / "sub").mkdir()
    inside = write(folder / "sub" / "x.json", RL)
    ingest(corpus, "onethinker", [inside], media_root=folder, split="eval")
    query = 'select split, origin.file, max(origin."row") from samples group by all order by all'
    assert corpus.sql(query).fetchall() == [("eval", "sub/x.json", 1), ("train", "outside_train.json", 3)]
    config = json.loads(corpus.sql("select config from runs order by started_at desc").fetchall()[0][0])
    assert config["files"][0]["path"] == str(inside.resolve())
    assert len(config["files"][0]["sha256"]) == 64


def test_wrong_usage_says_what_is_wrong_and_writes_nothing(corpus, folder):
    with pytest.raises(UsageError, match="unknown reader 'coc'"):
        ingest(corpus, "coc", [folder / "x.json"])
    with pytest.raises(UsageError, match="nothing to ingest"):
        ingest(corpus, "onethinker", [])
    with pytest.raises(UsageError, match="--limit must be at least 1"):
        ingest(corpus, "onethinker", [folder / "a.png"], limit=0)
    with pytest.raises(OneThinkerError, match="no file or folder at"):
        ingest(corpus, "onethinker", [folder / "no.json"])
    with pytest.raises(OneThinkerError, match="is not a folder"):
        ingest(corpus, "onethinker", [folder / "a.png"], media_root=folder / "a.png")
    assert corpus.sql("select count(*) from runs").fetchall() == [(0,)]


# -- round trip --------------------------------------------------------------------------------------------------------

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(str.strip)
record = st.fixed_dictionaries(
    {
        "problem_id": st.integers(0, 10**9),
        "problem": text.map(lambda t: "<image>" + t.replace("<", "")),
        "data_type": st.just("image"),
        "problem_type": st.just("open-ended"),
        "options": st.lists(text, max_size=3),
        "answer": text.map(lambda t: t.replace("<", "")).filter(str.strip).map(lambda t: f"<answer>{t}</answer>"),
        "data_source": text,
        "images": st.just(["a.png"]),
    }
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=settings.default.max_examples // 3,  # each ingests and reads back
)
@given(st.lists(record, max_size=12))
@example([RL | {"problem_type": "open-ended", "answer": "<answer>\n7 \u00bd</answer>"}])
@example([RL | {"problem_type": "open-ended", "answer": " <answer>7</answer> or so"}])
def test_every_word_of_a_record_comes_back_from_the_corpus(corpus, folder, records):
    """Or the record is a reject that holds it whole: no record is lost, none is counted twice."""
    number = len(list(folder.iterdir()))  # in every source, so that no example meets the samples of another
    records = [given_record | {"data_source": f"{number} {given_record['data_source']}"} for given_record in records]
    path = write(folder / f"{number}.json", *records)
    counts = ingest(corpus, "onethinker", [path], batch_rows=5)
    assert (counts["records"], accounted_for(counts), counts["known"]) == (len(records), True, 0)
    query = """select origin."row", origin.key, problem, options, answer, truth, source
               from samples where origin.file = ?"""
    back = {row: rest for row, *rest in corpus.sql(query, [path.name]).fetchall()}
    aside = dict(corpus.sql('select "row", raw from rejects where file = ?', [path.name]).fetchall())
    assert set(back) | set(aside) == set(range(1, len(records) + 1))
    for row, given_record in enumerate(records, 1):
        if row in aside:
            assert json.loads(aside[row]) == given_record
            continue
        key, problem, options, answer, truth, source = back[row]
        assert key == str(given_record["problem_id"])
        assert (problem, options or [], source) == tuple(given_record[k] for k in ("problem", "options", "data_source"))
        released = json.loads(truth)["as_released"] if truth else answer
        assert given_record["answer"] in (f"<answer>{released}</answer>", released)
        assert answer == released.strip() or f"<answer>{answer}</answer>" in released


# -- stopped -----------------------------------------------------------------------------------------------------------

# Ingests, and gets a signal right behind the nth append: in the middle of a transaction, with rows written.
SCRIPT = """
import os, signal, sys
from corpus import Corpus
from corpus.ingest import ingest
from corpus.lake import Transaction

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background

folder, path, stop_at, how = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
append, calls = Transaction.append, 0

def stopping(self, table, rows):
    global calls
    calls += 1
    added = append(self, table, rows)
    if calls == stop_at:
        os.kill(os.getpid(), how)
    return added

Transaction.append = stopping
with Corpus.open(folder) as corpus:
    ingest(corpus, "onethinker", [path], batch_rows=100)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_stopped_is_completed_by_the_same_command(tmp_path, folder, how):
    stop_and_complete(tmp_path, folder, how, batches=1, stops=(2,))


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_stopped_three_times_is_completed_by_the_same_command(tmp_path, folder, how):
    """In the first batch, in the fourth, and in one of traces."""
    before = stop_and_complete(tmp_path, folder, how, batches=10, stops=(2, 12, 38))
    assert before > 1000, "the runs got somewhere before they were stopped"


def stop_and_complete(tmp_path, folder, how, batches, stops):
    """Stop an ingest inside the given appends and run it to its end; returns how many rows the stopped runs left."""
    for i in range(30):
        Image.new("RGB", (300, 300), (i, 0, 0)).save(folder / f"{i}.png")
    asked = 90 * batches
    records = [
        RL | {"problem": f"<image>Where {i % asked}?", "images": [f"{i % 10}.png"]} for i in range(100 * batches)
    ]
    records += [sft(f"<image>Where {i}?", GOOD) | {"images": [f"{i % 10}.png"]} for i in range(50 * batches)]
    records += [RL | {"problem_type": "no such"}] * 10 * batches
    path = write(folder / "x.json", *records)
    with Corpus.create(tmp_path / "undisturbed") as corpus:
        ingest(corpus, "onethinker", [path], batch_rows=100)
        expected = state(corpus)
    counts = {"samples": asked, "traces": 50 * batches, "rejects": 20 * batches}
    assert {name: len(rows) for name, rows in expected.items()} == counts

    Corpus.create(tmp_path / "stopped").close()
    before = 0
    with Corpus.open(tmp_path / "stopped") as corpus:
        for stop_at in stops:
            command = [sys.executable, "-c", SCRIPT, str(tmp_path / "stopped"), str(path), str(stop_at), str(int(how))]
            assert subprocess.run(command, cwd=HERE, capture_output=True).returncode != 0
            now = state(corpus)
            assert all(set(now[table]) <= set(expected[table]) for table in expected)
            assert before <= sum(map(len, now.values())) < sum(map(len, expected.values()))
            before = sum(map(len, now.values()))
        command[-2] = "0"
        subprocess.run(command, cwd=HERE, check=True, capture_output=True)
        assert state(corpus) == expected
        statuses = Counter(status for (status,) in corpus.sql("select status from runs").fetchall())
    assert statuses == {"done": 1, "crashed" if how == signal.SIGKILL else "interrupted": len(stops)}
    media = {path.name for path in (tmp_path / "stopped" / "media").glob("??/*")}
    assert media == {sha256_of(folder / f"{i}.png") for i in range(10)}
    return before


def test_ctrl_c_inside_a_query_is_an_interruption_too(corpus):
    """DuckDB takes the signal and raises an error of its own."""
    with pytest.raises(KeyboardInterrupt), corpus.run("ingest", {}):
        raise RuntimeError("Query interrupted")
    assert corpus.sql("select status from runs").fetchall() == [("interrupted",)]
