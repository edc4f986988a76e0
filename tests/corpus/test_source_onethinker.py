"""The reader of the released layouts: each field is read, and each fault is named with its place."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from corpus.errors import UsageError
from corpus.json_stream import Broken, Row, rows
from corpus.sources import Draft, Reject, reader, readers
from corpus.sources.onethinker import problem_type_of, read

RL = {
    "problem_id": 7,
    "problem": "<image>Where is the bed?",
    "problem_reserved_text": "Where is the bed?",
    "data_type": "image",
    "problem_type": "spatial grounding",
    "options": [],
    "data_source": "RefCOCO",
    "answer": '<answer>{"boxes": [0, 227, 302, 656]}</answer>',
    "images": ["refcoco/1.jpg"],
}
EVAL = {
    "problem_id": 7,
    "problem": "Where is the bed?",
    "data_type": "image",
    "problem_type": "spatial grounding",
    "options": None,
    "data_source": "RefCOCO",
    "solution": '<answer>{"boxes": [0, 227, 302, 656]}</answer>',
    "path": "./refcoco/1.jpg",
}
SFT = {
    "messages": [
        {"role": "user", "content": "<video>How many dogs?"},
        {"role": "assistant", "content": "<think>I see two.</think><answer>2</answer>"},
    ],
    "videos": ["a.mp4"],
}
RLE = {"size": [4, 4], "counts": "04"}


def one(tmp_path: Path, record: object) -> Draft | Reject:
    path = tmp_path / "some_file.jsonl"
    path.write_text(json.dumps(record) + "\n")
    [draft] = read(str(path))
    return draft


def test_readers_are_found_by_walking_the_folder():
    assert readers()["onethinker"].startswith("OneThinker's released JSON")
    assert reader("onethinker").read is read
    with pytest.raises(UsageError, match=r"unknown reader 'onethinkr'; did you mean 'onethinker'"):
        reader("onethinkr")


# -- layouts -----------------------------------------------------------------------------------------------------------


def test_an_rl_record(tmp_path):
    draft = one(tmp_path, RL)
    assert draft == Draft(
        row=1,
        raw=RL,
        share=1.0,
        problem="<image>Where is the bed?",
        problem_type="spatial grounding",
        data_type="image",
        answer='{"boxes": [0, 227, 302, 656]}',
        media=(("image", "refcoco/1.jpg"),),
        source="RefCOCO",
        key="7",
    )


def test_an_evaluation_record_keeps_its_problem_without_placeholders(tmp_path):
    draft = one(tmp_path, EVAL)
    assert (draft.problem, draft.placeholders) == ("Where is the bed?", False)
    assert draft.media == (("image", "./refcoco/1.jpg"),)
    assert draft.answer == '{"boxes": [0, 227, 302, 656]}'
    assert draft.options is None


def test_an_sft_record_is_a_trace_and_the_sample_that_its_answer_speaks_for(tmp_path):
    draft = one(tmp_path, SFT)
    assert (draft.problem, draft.problem_type, draft.data_type, draft.answer) == (
        "<video>How many dogs?",
        "numerical",
        "video",
        "2",
    )
    assert (draft.truth_origin, draft.answered_by_trace, draft.split, draft.source) == (
        "model",
        True,
        "sft",
        "some_file",
    )
    assert draft.trace.response == "<think>I see two.</think><answer>2</answer>"


def test_earlier_turns_become_part_of_the_problem_and_a_system_turn_a_parameter(tmp_path):
    turns = [("system", "Be brief."), ("user", "<video>Who?"), ("assistant", "A dog."), ("user", "Doing what?")]
    messages = [{"role": role, "content": text} for role, text in [*turns, ("assistant", "It runs.")]]
    draft = one(tmp_path, {**SFT, "messages": messages})
    assert draft.problem == "User: <video>Who?\n\nAssistant: A dog.\n\nUser: Doing what?"
    assert (draft.answer, draft.problem_type) == ("It runs.", "open-ended")
    assert (draft.trace.response, draft.trace.params) == ("It runs.", {"system": "Be brief."})


def test_sharegpts_older_names_of_turns(tmp_path):
    turns = [{"from": "human", "value": "<video>How many dogs?"}, {"from": "gpt", "value": "2"}]
    draft = one(tmp_path, {"conversations": turns, "videos": ["a.mp4"]})
    assert (draft.problem, draft.answer, draft.trace.response) == ("<video>How many dogs?", "2", "2")


def test_video_r1s_thinking_is_a_trace_of_a_sample_with_its_own_answer(tmp_path):
    record = {**EVAL, "process": "<think>There.</think>"}
    draft = one(tmp_path, record)
    assert draft.trace.response == "<think>There.</think>" + EVAL["solution"]
    assert (draft.answered_by_trace, draft.truth_origin) == (False, None)


def test_video_and_image_in_one_evaluation_record(tmp_path):
    record = {**EVAL, "data_type": "video-image", "path": "a.mp4", "additional_path": "b.jpg"}
    assert one(tmp_path, record).media == (("video", "a.mp4"), ("image", "b.jpg"))


def test_image_masks_become_the_truth(tmp_path):
    output = {"segmentation_output": {"segmentation_rle": RLE}, "resolution": {"width": 4, "height": 4}}
    draft = one(tmp_path, {**EVAL, "problem_type": "segmentation", "solution": "", **output})
    assert draft.truth == {"masks": {"rle": RLE}, "resolution": {"width": 4, "height": 4}}
    assert draft.answer is None
    assert one(tmp_path, {**EVAL, "segmentation_output": RLE}).truth == {"masks": {"rle": RLE}}


def test_video_masks_become_the_truth_with_their_rate(tmp_path):
    output = {"segmentation_output": {"frames": ["00000", "00001"], "segmentation_rle": {"00000": RLE}}, "fps": 6}
    assert one(tmp_path, {**EVAL, **output}).truth == {"masks": {"fps": 6.0, "frames": {"00000": RLE}}}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"data_type": " Image "}, {"data_type": "image"}),  # the released trainer strips and lowers it
        ({"problem_type": "Spatial Grounding "}, {"problem_type": "Spatial Grounding "}),  # but looks this one up
        ({"answer": "plain"}, {"answer": "plain", "truth": None}),
        ({"answer": "  plain  "}, {"answer": "plain", "truth": {"as_released": "  plain  "}}),
        ({"answer": "<answer>\na</answer>"}, {"answer": "a", "truth": {"as_released": "\na"}}),
        ({"answer": "<answer>a</answer>\n"}, {"answer": "a", "truth": {"as_released": "<answer>a</answer>\n"}}),
        (
            {"answer": "<answer>a</answer> <answer>b</answer>"},
            {"answer": "a", "truth": {"as_released": "<answer>a</answer> <answer>b</answer>"}},
        ),
        ({"options": ["A. x", "B. y"]}, {"options": ("A. x", "B. y")}),
        ({"options": None}, {"options": None}),
        ({"problem_id": None}, {"key": None}),
        ({"data_source": None}, {"source": "some_file"}),
        ({"images": "one.jpg"}, {"media": (("image", "one.jpg"),)}),
        (
            {"answer": '<answer>{"boxes": [[1, 2, 3, 4]]}</answer>'},
            {"answer": '{"boxes":[1,2,3,4]}', "truth": {"as_released": '{"boxes": [[1, 2, 3, 4]]}'}},
        ),
        (
            {"answer": '<answer>{"time": [8.6, 10.1], "boxes": [[1,2,3,4],[5,6,7,8]]}</answer>'},
            {"answer": '{"time":[8.6,10.1],"boxes":{"9":[1,2,3,4],"10":[5,6,7,8]}}'},
        ),
        (  # two boxes without a time are nobody's form: left as they are
            {"answer": '{"boxes": [[1,2,3,4],[5,6,7,8]]}'},
            {"answer": '{"boxes": [[1,2,3,4],[5,6,7,8]]}', "truth": None},
        ),
        ({"answer": "[[a]] and more"}, {"answer": "[[a]] and more"}),
    ],
)
def test_lenient_reading(tmp_path, change, expected):
    draft = one(tmp_path, RL | change)
    assert {name: getattr(draft, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("record", "field"),
    [
        ({**RL, "problem": None}, "problem"),
        ({**RL, "problem": "  "}, "problem"),
        ({**RL, "problem": ["a"]}, "problem"),
        ({**RL, "problem_type": None}, "problem_type"),
        ({**RL, "data_type": 3}, "data_type"),
        ({**RL, "options": "A"}, "options"),
        ({**RL, "options": [1, 2]}, "options"),
        ({**RL, "answer": None}, "answer"),
        ({**RL, "answer": {"boxes": [1, 2, 3, 4]}}, "answer"),
        ({**RL, "answer": "<answer></answer>"}, "answer"),
        ({**RL, "images": [1]}, "images"),
        ({**RL, "images": []}, "images"),
        ({**RL, "images": {"a": 1}}, "images"),
        ({**EVAL, "solution": ""}, "solution"),
        ({**EVAL, "path": 3}, "path"),
        ({**EVAL, "segmentation_output": "x"}, "segmentation_output"),
        ({**EVAL, "segmentation_output": {"segmentation_rle": {"0": "x"}}}, "segmentation_output"),
        ({**EVAL, "segmentation_output": {"segmentation_rle": {"0": RLE}}}, "fps"),
        ({**EVAL, "segmentation_output": {"segmentation_rle": {"0": RLE}}, "fps": True}, "fps"),
        ({**SFT, "messages": []}, "messages"),
        ({**SFT, "messages": "x"}, "messages"),
        ({**SFT, "messages": SFT["messages"][:1]}, "messages"),
        ({**SFT, "messages": SFT["messages"][::-1]}, "messages"),
        ({**SFT, "messages": [{"role": "system", "content": "x"}]}, "messages"),
        ({**SFT, "messages": [{"role": "robot", "content": "x"}]}, "messages"),
        ({**SFT, "messages": [SFT["messages"][0], {"role": "assistant", "content": " "}]}, "messages"),
        ({**SFT, "messages": [SFT["messages"][0], {"role": "assistant", "content": [1]}]}, "messages"),
        ({**SFT, "videos": None}, "images"),
        ({"hello": "world"}, "data_type"),
    ],
)
def test_a_malformed_record_names_the_field_and_keeps_the_record(tmp_path, record, field):
    draft = one(tmp_path, record)
    assert isinstance(draft, Reject)
    assert (draft.reason, draft.field, draft.row, draft.raw) == ("malformed", field, 1, record)
    assert draft.detail


@pytest.mark.parametrize(
    ("answer", "problem_type"),
    [
        ("B", "multiple choice"),
        ("b", "open-ended"),
        ("3", "numerical"),
        ("-3.5", "numerical"),
        ("1,234", "numerical"),
        (".5", "numerical"),
        ("1,2", "open-ended"),
        ("$x^2$", "math"),
        (r"\frac{3}{2}", "math"),
        ("a dog", "open-ended"),
        ("{not json", "open-ended"),
        ('{"other": 1}', "open-ended"),
        ('{"time": [1, 2]}', "temporal grounding"),
        ('{"boxes": [1, 2, 3, 4]}', "spatial grounding"),
        ('{"boxes": {"1": [1, 2, 3, 4]}}', "tracking"),
        ('{"time": [1, 2], "boxes": {"1": [1, 2, 3, 4]}}', "spatial-temporal grounding"),
        ('{"boxes": [1,2,3,4], "positive_points": [], "negative_points": []}', "segmentation"),
        ('{"time": 2, "boxes": [1,2,3,4], "positive_points": [], "negative_points": []}', "segmentation"),
    ],
)
def test_the_type_that_an_answers_shape_speaks_for(answer, problem_type):
    assert problem_type_of(answer) == problem_type


# -- files -------------------------------------------------------------------------------------------------------------

A, B = '{"a": 1.0}', '{"a": 2}'


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x.json", f"[{A}, {B}]", [(1, {"a": 1.0}), (2, {"a": 2})]),
        ("x.jsonl", f"{A}\n\n{B}", [(1, {"a": 1.0}), (3, {"a": 2})]),
        ("x.json", f"{A}\n{B}\n", [(1, {"a": 1.0}), (2, {"a": 2})]),  # JSONL by another name
        ("x.jsonl", f" \n[{A}]", [(1, {"a": 1.0})]),  # and a list by another name
        ("x.json", f"\ufeff[{A}]", [(1, {"a": 1.0})]),
        ("x.jsonl", f"\ufeff{A}\r\n{B}\r\n", [(1, {"a": 1.0}), (2, {"a": 2})]),
        ("x.json", "[]", []),
        ("x.jsonl", "", []),
        ("x.json", "", [(1, "malformed_json")]),
        ("x.json", f"[{A}, ", [(1, {"a": 1.0}), (2, "malformed_json")]),  # cut off
        ("x.json", f'[{A}, {{"a": NaN}}, {B}]', [(1, {"a": 1.0}), (2, "number_out_of_range"), (3, {"a": 2})]),
        ("x.json", f"[{A}] and more", [(1, {"a": 1.0}), (2, "malformed_json")]),
        ("x.json", '{\n "a": 1\n}\n', [(1, "malformed_json")]),  # one object over many lines is one reject
        ("x.json", f"[3, {B}, [1]]", [(1, "not_an_object"), (2, {"a": 2}), (3, "not_an_object")]),
        (
            "x.jsonl",
            f"{A}\n{{broken\n3\n{B}",
            [(1, {"a": 1.0}), (2, "malformed_json"), (3, "not_an_object"), (4, {"a": 2})],
        ),
        ("x.jsonl", f'{A}\n{{"a": 2', [(1, {"a": 1.0}), (2, "malformed_json")]),  # cut off
        ("x.json", b'[{"a": "caf\xe9"}, {"a": 2}]', [(1, "invalid_utf8"), (2, {"a": 2})]),
        ("x.jsonl", b'{"a": "caf\xe9"}\n{"a": 2}\n', [(1, "invalid_utf8"), (2, {"a": 2})]),
        ("x.json.gz", gzip.compress(f"[{A}]".encode(), mtime=0), [(1, {"a": 1.0})]),
        ("x.json.gz", gzip.compress(f"[{A}]".encode(), mtime=0)[:-9], [(1, {"a": 1.0}), (2, "malformed_json")]),
        ("x.jsonl.gz", gzip.compress(A.encode(), mtime=0)[:-9], [(1, {"a": 1.0}), (2, "malformed_json")]),
    ],
)
def test_files_in_every_state(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    found = list(rows(str(tmp_path / name)))
    assert [(r.row, r.value if isinstance(r, Row) else r.reason) for r in found] == expected
    assert all(r.detail for r in found if isinstance(r, Broken))


def test_a_compressed_file_that_breaks_off_keeps_what_came_before(tmp_path):
    lines = "\n".join(json.dumps({"a": i, "b": hash(str(i))}) for i in range(50_000)).encode()
    packed = gzip.compress(lines, mtime=0)
    (tmp_path / "x.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    *whole, last = rows(str(tmp_path / "x.jsonl.gz"))
    assert isinstance(last, Broken)
    assert [row.value["a"] for row in whole[:-1]] == list(range(len(whole) - 1))
    assert len(whole) > 10_000


def test_a_list_that_breaks_off_names_the_place(tmp_path):
    (tmp_path / "x.json").write_text(f'[{A}, {B}, {{"a": oops')
    *_, last = rows(str(tmp_path / "x.json"))
    assert "after 2 whole rows, at most 33 bytes into the file" in last.detail
    assert "oops" in last.raw


def test_text_over_the_edge_of_a_read_arrives_whole(tmp_path):
    """Reads end in the middle of characters, of escapes and of lines; 3-byte characters make every offset happen."""
    values = [{"a": "漢" * length} for length in range(21_800, 21_900, 7)]
    (tmp_path / "x.json").write_text(json.dumps(values, ensure_ascii=False))
    (tmp_path / "x.jsonl").write_text("\n".join(json.dumps(v, ensure_ascii=False) for v in values * 4))
    assert [row.value for row in rows(str(tmp_path / "x.json"))] == values
    assert [row.value for row in rows(str(tmp_path / "x.jsonl"))] == values * 4


@pytest.mark.parametrize("name", ["big.json", "big.jsonl"])
def test_memory_does_not_grow_with_the_file(tmp_path, name):
    """50,000 records, 150 MB: as Python objects in memory they would take more than that."""
    record = json.dumps({**RL, "problem": "<image>" + "why " * 700})
    with open(tmp_path / name, "w") as out:
        out.write("[" if name.endswith(".json") else "")
        for i in range(50_000):
            out.write((("," if name.endswith(".json") else "\n") if i else "") + record)
        out.write("]" if name.endswith(".json") else "")
    script = f"""
import resource
from corpus.sources.onethinker import read
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
records = sum(1 for _ in read({str(tmp_path / name)!r}))
print(records, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    root = Path(__file__).resolve().parents[2]
    ran = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    records, grown_kb = map(int, ran.stdout.split())
    assert records == 50_000
    assert (tmp_path / name).stat().st_size > 140e6
    assert grown_kb < 30_000


def test_the_released_files(shared):
    folder = shared / "data" / "real"
    names = ["released/onethinker_rl_train.json", "released/eval_mixed.json"]
    names += [f"llamafactory_sharegpt/{name}.json" for name in ("mllm_demo", "mllm_video_demo")]
    read_files = {name: list(read(str(folder / name))) for name in names}
    assert [len(drafts) for drafts in read_files.values()] == [228, 58, 6, 3]
    assert all(isinstance(draft, Draft) for drafts in read_files.values() for draft in drafts)
    assert read_files[names[2]][0].problem.startswith("User: <image>Who are they?\n\nAssistant: They're Kane")
