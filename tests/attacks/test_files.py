"""Hostile annotation files and media: each bad record is named, its neighbours arrive, the next honest run works."""

import bz2
import gzip
import json
import lzma
import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from corpus import Corpus
from corpus.errors import OneThinkerError, UsageError
from corpus.ingest import ingest
from corpus.ingest.drafts import in_batches, printable
from corpus.json_split import split_list
from corpus.json_stream import Broken, Row, rows
from corpus.media import MediaError, probe
from corpus.sources import Draft, Reject
from corpus.sources.onethinker import read
from onethinker.cli import main

ROOT = Path(__file__).resolve().parents[2]
QUESTION: dict[str, Any] = {
    "problem_id": 1,
    "problem": "<image>Where is the bed?",
    "data_type": "image",
    "problem_type": "open-ended",
    "options": [],
    "data_source": "made",
    "answer": "<answer>there</answer>",
    "images": ["a.png"],
}
TURNS = [{"role": "user", "content": "<image>Who?"}, {"role": "assistant", "content": "A dog."}]
CHAT: dict[str, Any] = {"messages": TURNS, "images": ["a.png"]}
EVALUATION: dict[str, Any] = {**QUESTION, "path": "a.png", "problem": "Where is the bed?"}
RLE = {"size": [4, 4], "counts": "04"}


def honest(name: str, row: int) -> dict[str, Any]:
    return {**QUESTION, "problem": f"<image>Question {row} of {name}?"}


def question(**change: Any) -> str:
    return json.dumps({**QUESTION, **change})


def deep(levels: int, bracket: str = "[") -> str:
    return "[" * levels + "]" * levels if bracket == "[" else '{"a":' * levels + "1" + "}" * levels


# What stands in the place of a record: (what is hostile, its text, the reason, the field if it can be named).
RECORDS: list[tuple[str, str | bytes, str, str | None]] = [
    ("100,000 lists in lists", deep(100_000), "too_deep", None),
    ("100,000 opened and never closed", '{"a": ' + "[" * 100_000 + "}", "too_deep", None),
    ("100,000 objects in objects", deep(100_000, "{"), "too_deep", None),
    ("900 lists in a field", '{"problem": ' + deep(900) + "}", "too_deep", None),
    ("65 levels", deep(65), "too_deep", None),
    ("64 levels that are no object", deep(64), "not_an_object", None),
    ("17 MiB of text", json.dumps({"problem": "x" * (17 << 20)}), "too_large", None),
    ("a million empty lists", '{"problem": [' + "[]," * 1_000_001 + "1]}", "too_large", None),
    ("an integer of 65 bits", '{"problem_id": 36893488147419103232}', "number_out_of_range", "problem_id"),
    ("a negative integer of 65 bits", '{"problem_id": -9223372036854775809}', "number_out_of_range", "problem_id"),
    ("an integer of 400 digits", '{"fps": ' + "9" * 400 + "}", "number_out_of_range", "fps"),
    ("an integer of 5,000 digits", '{"fps": ' + "9" * 5000 + "}", "number_out_of_range", "fps"),
    ("a large integer deep inside", '{"a": [{"b": 99999999999999999999}]}', "number_out_of_range", "a"),
    ("1e99999", '{"fps": 1e99999}', "number_out_of_range", "fps"),
    ("-1e400", '{"fps": -1e400}', "number_out_of_range", "fps"),
    ("NaN", '{"fps": NaN}', "number_out_of_range", "fps"),
    ("Infinity", '{"fps": Infinity}', "number_out_of_range", "fps"),
    ("-Infinity", '{"fps": [-Infinity]}', "number_out_of_range", "fps"),
    ("half a surrogate pair, the first", '{"answer": "a\\ud800"}', "lone_surrogate", "answer"),
    ("half a surrogate pair, the second", '{"answer": "\\udc00b"}', "lone_surrogate", "answer"),
    ("a surrogate pair in the wrong order", '{"answer": "\\udc00\\ud800"}', "lone_surrogate", "answer"),
    ("half a surrogate pair in a key", '{"\\ud83d": 1}', "lone_surrogate", None),
    ("half a surrogate pair in options", '{"options": ["A", "\\ud83d"]}', "lone_surrogate", "options"),
    ("an escape cut short", '{"answer": "\\u12"}', "malformed_json", None),
    ("an unknown escape", '{"answer": "\\x41"}', "malformed_json", None),
    ("a raw control character", '{"answer": "a\x01b"}', "malformed_json", None),
    ("a raw NUL", '{"answer": "a\x00b"}', "malformed_json", None),
    ("a raw tab", '{"answer": "a\tb"}', "malformed_json", None),
    ("a comma too many in an object", '{"a": 1,}', "malformed_json", None),
    ("a comma too many in a list", '{"a": [1,]}', "malformed_json", None),
    ("single quotes", "{'a': 1}", "malformed_json", None),
    ("a comment", '{"a": 1 /* one */}', "malformed_json", None),
    ("no colon", '{"a" 1}', "malformed_json", None),
    ("no comma", '{"a": 1 "b": 2}', "malformed_json", None),
    ("a key without quotes", "{a: 1}", "malformed_json", None),
    ("a bare word", '{"a": yes}', "malformed_json", None),
    ("Python's None", '{"a": None}', "malformed_json", None),
    ("a hexadecimal number", '{"a": 0x10}', "malformed_json", None),
    ("a leading plus", '{"a": +1}', "malformed_json", None),
    ("a leading zero", '{"a": 01}', "malformed_json", None),
    ("a point without digits", '{"a": 1.}', "malformed_json", None),
    ("brackets that do not match", '{"a": [1}', "malformed_json", None),
    ("a bracket too many", '{"a": 1]}', "malformed_json", None),
    ("a brace too many", '{"a": 1}}', "malformed_json", None),
    ("two objects without a comma", '{"a": 1} {"b": 2}', "malformed_json", None),
    ("text behind the object", '{"a": 1} and more', "malformed_json", None),
    ("a string", '"text"', "not_an_object", None),
    ("a number", "3", "not_an_object", None),
    ("null", "null", "not_an_object", None),
    ("true", "true", "not_an_object", None),
    ("a list", "[1]", "not_an_object", None),
    ("bytes of Latin-1", b'{"a": "caf\xe9"}', "invalid_utf8", None),
    ("an overlong NUL", b'{"a": "\xc0\x80"}', "invalid_utf8", None),
    ("a surrogate encoded as UTF-8", b'{"a": "\xed\xa0\x80"}', "invalid_utf8", None),
    ("a character beyond Unicode", b'{"a": "\xf4\x90\x80\x80"}', "invalid_utf8", None),
    ("an empty object", "{}", "malformed", "data_type"),
    ("a role that is an object", json.dumps({**CHAT, "messages": [{"role": {}}]}), "malformed", "messages"),
    ("a role that is a list", json.dumps({**CHAT, "messages": [{"role": []}]}), "malformed", "messages"),
    ("a content that is an object", json.dumps({**CHAT, "messages": [{"role": "user", "content": {}}]}), "malformed",
     "messages"),
    ("turns that are an object", json.dumps({**CHAT, "messages": {"role": "user"}}), "malformed", "messages"),
    ("turns that are null", json.dumps({**CHAT, "messages": None}), "malformed", "messages"),
    ("a turn that is text", json.dumps({**CHAT, "messages": ["user: who?"]}), "malformed", "messages"),
    ("a problem that is an object", question(problem={"text": "x"}), "malformed", "problem"),
    ("a problem type that is a list", question(problem_type=["math"]), "malformed", "problem_type"),
    ("a problem type of a megabyte", question(problem_type="x" * (1 << 20)), "unknown_problem_type", "problem_type"),
    ("a data type that is an object", question(data_type={}), "malformed", "data_type"),
    ("a data type of a megabyte", question(data_type="x" * (1 << 20)), "unknown_data_type", "data_type"),
    ("an id that is an object", question(problem_id={"a": 1}), "malformed", "problem_id"),
    ("an id that is a list", question(problem_id=[1]), "malformed", "problem_id"),
    ("a source that is a number", question(data_source=5), "malformed", "data_source"),
    ("options that are an object", question(options={"A": "x"}), "malformed", "options"),
    ("options in lists", question(options=[["A"]]), "malformed", "options"),
    ("an answer that is a list", question(answer=["there"]), "malformed", "answer"),
    ("an answer that is true", question(answer=True), "malformed", "answer"),
    ("images in lists", question(images=[["a.png"]]), "malformed", "images"),
    ("an image that is null", question(images=[None]), "malformed", "images"),
    ("a path that is a list", json.dumps({**EVALUATION, "path": ["a.png"]}), "malformed", "path"),
    ("masks that are a list", json.dumps({**EVALUATION, "segmentation_output": [1]}), "malformed",
     "segmentation_output"),
    ("masks of no size", json.dumps({**EVALUATION, "segmentation_output": {"counts": "0", "size": []}}), "malformed",
     "segmentation_output"),
    ("masks at no rate", json.dumps({**EVALUATION, "segmentation_output": {"0": RLE}, "fps": 0}), "malformed", "fps"),
    ("masks at a rate in words", json.dumps({**EVALUATION, "segmentation_output": {"0": RLE}, "fps": "30"}),
     "malformed", "fps"),
    ("an answer 900 deep", question(problem_type="spatial grounding", answer='{"boxes": ' + deep(900) + "}"),
     "answer_unreadable", "answer"),
    ("an answer 100,000 deep", question(problem_type="tracking", answer='{"boxes": ' + deep(100_000) + "}"),
     "answer_unreadable", "answer"),
    ("an answer of NaN", question(problem_type="temporal grounding", answer='{"time": [NaN, NaN]}'),
     "answer_unreadable", "answer"),
    ("an answer of 1e999", question(problem_type="temporal grounding", answer='{"time": [0, 1e999]}'),
     "answer_unreadable", "answer"),
    ("a path to the root", question(images=["/etc/passwd"]), "media_outside_root", "media"),
    ("a path upwards", question(images=["../../../../etc/passwd"]), "media_outside_root", "media"),
    ("a path home", question(images=["~/.ssh/id_rsa"]), "media_outside_root", "media"),
    ("an address", question(images=["http://169.254.169.254/latest"]), "media_missing", "media"),
    ("a file address", question(images=["file:///etc/passwd"]), "media_missing", "media"),
    ("a path with a NUL", question(images=["a.png\0.jpg"]), "media_missing", "media"),
    ("a path of a megabyte", question(images=["a/" * (1 << 19)]), "media_missing", "media"),
    ("a pipe as a picture", question(images=["pipe"]), "media_missing", "media"),
    ("a loop of links", question(images=["loop"]), "media_missing", "media"),
    ("a link to /dev/zero", question(images=["zero"]), "media_outside_root", "media"),
    ("no placeholder", question(problem="Where?"), "media_token_mismatch", "problem"),
    ("a million placeholders", question(problem="<image>" * 1_000_000), "media_token_mismatch", "problem"),
]  # fmt: skip
LAYOUTS = ("json", "jsonl")


def file_name(number: int, layout: str) -> str:
    return f"{number:03}.{layout}"


def file_text(number: int, layout: str) -> bytes:
    name, hostile = file_name(number, layout), RECORDS[number][1]
    parts = [json.dumps(honest(name, 1)).encode(), hostile, json.dumps(honest(name, 3)).encode()]
    whole = [part.encode() if isinstance(part, str) else part for part in parts]
    return b"[" + b",\n".join(whole) + b"]" if layout == "json" else b"\n".join(whole)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A media root with a good picture, and a file for each of RECORDS in each layout, honest records around it."""
    root = tmp_path_factory.mktemp("root")
    Image.new("RGB", (64, 48), (10, 20, 30)).save(root / "a.png")
    os.mkfifo(root / "pipe")
    (root / "loop").symlink_to(root / "loop")
    (root / "zero").symlink_to("/dev/zero")
    for number in range(len(RECORDS)):
        for layout in LAYOUTS:
            (root / file_name(number, layout)).write_bytes(file_text(number, layout))
    return root


@pytest.fixture(scope="module")
def attacked(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A corpus into which all of RECORDS were read, each with its neighbours, in one run."""
    corpus = Corpus.create(tmp_path_factory.mktemp("corpora") / "corpus")
    names = [file_name(number, layout) for number in range(len(RECORDS)) for layout in LAYOUTS]
    ingest(corpus, "onethinker", [folder / name for name in names], media_root=folder, batch_rows=200)
    return corpus


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("number", range(len(RECORDS)), ids=[record[0] for record in RECORDS])
def test_a_hostile_record_is_named_and_its_neighbours_arrive(attacked: Corpus, number: int, layout: str) -> None:
    _, _, reason, field = RECORDS[number]
    name = file_name(number, layout)
    found = attacked.sql('select "row", field, reason, detail, raw from rejects where file = ?', [name]).fetchall()
    assert [row[:3] for row in found] == [(2, field, reason)]
    assert found[0][3]
    assert len(found[0][3]) <= 2000
    assert len(found[0][4]) <= 1 << 20
    query = 'select origin."row" from samples where origin.file = ? order by 1'
    assert attacked.sql(query, [name]).fetchall() == [(1,), (3,)]


def test_after_all_of_them_an_honest_file_goes_in_and_goes_in_once(attacked: Corpus, folder: Path) -> None:
    path = folder / "honest.json"
    path.write_text(json.dumps([honest("honest.json", row) for row in range(5)]))
    assert ingest(attacked, "onethinker", [path])["samples"] == 5
    assert ingest(attacked, "onethinker", [path])["known"] == 5
    again = ingest(attacked, "onethinker", [folder / file_name(0, "json")])
    assert (again["known"], again["rejects"], again["rejects added"]) == (2, 1, 0)


# -- whole files -------------------------------------------------------------------------------------------------------

GOOD = json.dumps([honest("whole", 1)]).encode()
# (what is hostile, the file's name, its bytes, records read before the fault, the words that name it)
FILES: list[tuple[str, str, bytes, int, str]] = [
    ("nothing", "x.json", b"", 0, "no text"),
    ("white space", "x.json", b" \n\t ", 0, "no text"),
    ("a list that only begins", "x.json", b"[", 0, "ends within the list"),
    ("a list that ends within a record", "x.json", GOOD[:-20], 0, "ends within the list"),
    ("a list that ends within a string", "x.json", GOOD[:-1] + b', {"a": "b', 1, "ends within the list"),
    ("a list that ends within an escape", "x.json", GOOD[:-1] + b', {"a": "b\\', 1, "ends within the list"),
    ("a list that ends behind a comma", "x.json", GOOD[:-1] + b",", 1, "ends within the list"),
    ("a list without its end", "x.json", GOOD[:-1], 1, "ends within the list"),
    ("two lists", "x.json", GOOD + GOOD, 1, "behind the end of the list"),
    ("an empty element", "x.json", GOOD[:-1] + b",,1]", 1, "empty"),
    ("a picture", "x.json", b"\x89PNG\r\n\x1a\n" + bytes(100), 0, "neither a JSON list nor JSON lines"),
    ("UTF-16", "x.json", GOOD.decode().encode("utf-16"), 0, "neither a JSON list nor JSON lines"),
    ("a page of HTML", "x.json", b"<!doctype html><title>404</title>", 0, "neither a JSON list nor JSON lines"),
    ("a pickle", "x.json", b"\x80\x04cos\nsystem\n(S'id'\ntR.", 0, "neither a JSON list nor JSON lines"),
    ("plain JSON named .gz", "x.json.gz", GOOD, 0, "its name says gzip"),
    ("plain JSON named .bz2", "x.json.bz2", GOOD, 0, "its name says bz2"),
    ("plain JSON named .xz", "x.json.xz", GOOD, 0, "its name says xz"),
    ("plain JSON named .zip", "x.json.zip", GOOD, 0, "its name says zip"),
    ("an empty .bz2", "x.json.bz2", b"", 0, ""),
    ("gzip cut short", "x.json.gz", gzip.compress(GOOD * 50, mtime=0)[:-9], 1, ""),
    ("gzip with garbage behind", "x.json.gz", gzip.compress(GOOD, mtime=0) + b"garbage", 1, "its name says gzip"),
    (
        "gzip with a flipped checksum",
        "x.json.gz",
        gzip.compress(GOOD, mtime=0)[:-8] + bytes(8),
        1,
        "its name says gzip",
    ),
    ("bzip2 cut short", "x.json.bz2", bz2.compress(GOOD)[:-5], 1, "breaks off"),
    ("xz cut short", "x.json.xz", lzma.compress(GOOD)[:-5], 1, "breaks off"),
    ("xz named .gz", "x.json.gz", lzma.compress(GOOD), 0, "its name says gzip"),
    ("a bomb in one string", "x.jsonl.gz", gzip.compress(b'"' + bytes(64 << 20), mtime=0), 0, "bytes of text"),
    (
        "a bomb in a list",
        "x.json.gz",
        gzip.compress(b'[{"a": "' + b"x" * (64 << 20), mtime=0),
        0,
        "ends within the list",
    ),
    ("a bomb of brackets", "x.json.gz", gzip.compress(b"[" * (2 << 20), mtime=0), 0, "ends within the list"),
]


@pytest.mark.parametrize(("name", "content", "before", "words"), [f[1:] for f in FILES], ids=[f[0] for f in FILES])
def test_a_hostile_file_gives_what_it_holds_and_says_what_is_wrong(
    tmp_path: Path, name: str, content: bytes, before: int, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    found = list(rows(str(tmp_path / name)))
    assert sum(isinstance(row, Row) for row in found) == before
    broken = [row for row in found if isinstance(row, Broken)]
    assert broken
    assert any(words in row.detail for row in broken)
    assert all(len(row.raw) < 5000 for row in broken)


NAMES: list[tuple[str, bytes]] = [
    ("bytes that are not UTF-8", b"\xff\xfe.json"),
    ("a line end", b"a\nb.json"),
    ("quotes", b"a'\"b.json"),
    ("SQL", b"'; drop table samples; --.json"),
    ("a terminal's escape", b"\x1b[2J.json"),
    ("255 bytes", b"x" * 250 + b".json"),
    ("a dot first", b".json"),
    ("right to left", "\u202e.json".encode()),
]


def test_a_file_may_have_any_name(attacked: Corpus, folder: Path) -> None:
    paths = [Path(os.fsdecode(os.fsencode(folder) + b"/" + name)) for _, name in NAMES]
    for number, path in enumerate(paths):
        path.write_text(json.dumps([honest(f"name {number}", 1), 5]))
    counts = ingest(attacked, "onethinker", paths, media_root=folder)
    assert (counts["samples"], counts["rejects"]) == (len(NAMES), len(NAMES))
    kept = {file for (file,) in attacked.sql("select distinct file from rejects").fetchall()}
    assert kept >= {printable(path.name) for path in paths}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (".", "is a folder, and this reader takes files: name them, such as"),
        ("pipe", "neither a file nor a folder"),
        ("zero", "neither a file nor a folder"),
        ("loop", "no file or folder"),
        ("nowhere.json", "no file or folder"),
        ("", "is a folder"),
    ],
)
def test_what_is_no_file_is_refused_before_anything_is_written(
    attacked: Corpus, folder: Path, path: str, words: str
) -> None:
    before = attacked.sql("select count(*) from run_events").fetchall()
    with pytest.raises(OneThinkerError, match=re.escape(words)):
        ingest(attacked, "onethinker", [folder / path])
    assert attacked.sql("select count(*) from run_events").fetchall() == before


@pytest.mark.parametrize("split", ["foo", "", "Train", "train "])
def test_an_unknown_split_is_refused(attacked: Corpus, folder: Path, split: str) -> None:
    with pytest.raises(UsageError, match="unknown split"):
        ingest(attacked, "onethinker", [folder / file_name(0, "json")], split=split)


def test_a_file_of_rejects_alone_is_a_failure_and_says_where_to_look(
    attacked: Corpus, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "none.json").write_text("[1, 2]")
    assert main(["ingest", "onethinker", str(folder / "none.json"), "--corpus", str(attacked.root)]) == 1
    assert "all 2 records were rejected" in capsys.readouterr().err
    assert main(["ingest", "onethinker", str(folder), "--corpus", str(attacked.root)]) == 2
    assert "is a folder" in capsys.readouterr().err


# -- memory ------------------------------------------------------------------------------------------------------------


def test_large_records_make_small_batches() -> None:
    draft = Reject(row=1, reason="x", detail="x", raw="", size=16 << 20)
    stream = [(None, draft)] * 5
    assert [len(batch) for batch in in_batches(stream, 10_000)] == [2, 2, 1]  # type: ignore[arg-type]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(JSON_VALUES, max_size=6), st.integers(1, 40), st.sampled_from([None, 1]))
def test_a_list_is_cut_into_its_records_wherever_the_chunks_end(values: list[Any], step: int, indent: int) -> None:
    text = json.dumps(values, indent=indent).encode()
    chunks = [text[at : at + step] for at in range(0, len(text), step)]
    found = list(split_list(chunks))
    assert [record.text.strip() for record in found] == [
        re.sub(rb"(?m)^ ", b"", json.dumps(value, indent=indent).encode()) if indent is None else record.text.strip()
        for value, record in zip(values, found, strict=True)
    ]
    assert [json.loads(record.text) for record in found if b"NaN" not in record.text] == [
        value for value, record in zip(values, found, strict=True) if b"NaN" not in record.text
    ]


FIELDS = sorted({*QUESTION, *CHAT, *EVALUATION, "solution", "videos", "segmentation_output", "fps", "process", "role"})


@given(st.sampled_from([QUESTION, CHAT, EVALUATION]), st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES, max_size=4))
def test_any_value_in_any_field_gives_a_draft_or_a_reject(
    tmp_path_factory: pytest.TempPathFactory, record: dict[str, Any], change: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_text(json.dumps(record | change))
    [found] = read(str(path))
    assert isinstance(found, Draft) or found.reason


@given(st.binary(max_size=200))
def test_any_bytes_give_rows_or_named_faults(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    for name in ("any.json", "any.jsonl", "any.json.gz"):
        path = tmp_path_factory.getbasetemp() / name
        path.write_bytes(content)
        assert all(isinstance(row, Row) or row.detail for row in rows(str(path)))


# -- media -------------------------------------------------------------------------------------------------------------

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n%s\n#EXT-X-ENDLIST\n"
MEDIA: list[tuple[str, str, bytes, str]] = [
    ("PostScript named .png", "image", POSTSCRIPT, "no picture of a known format"),
    ("PostScript in a DOS wrapper", "image", b"\xc5\xd0\xd3\xc6" + bytes(26) + POSTSCRIPT, "no picture"),
    ("PDF", "image", b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n", "no picture"),
    ("a Windows metafile", "image", b"\xd7\xcd\xc6\x9a\x00\x00" + bytes(40), "no picture"),
    ("Photoshop", "image", b"8BPS\x00\x01" + bytes(40), "no picture"),
    ("FITS", "image", b"SIMPLE  =                    T" + b" " * 50, "no picture"),
    ("HDF5", "image", b"\x89HDF\r\n\x1a\n" + bytes(40), "no picture"),
    ("an icon", "image", b"\x00\x00\x01\x00\x01\x00" + bytes(40), "no picture"),
    ("JPEG 2000", "image", b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(40), "no picture"),
    ("XPM", "image", b"/* XPM */\nstatic char *x[] = {\n", "no picture"),
    ("SVG", "image", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', "no picture"),
    ("a PNG of 2 gigapixels", "image", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xc3\x50\0\0\xc3\x50\x08\2\0\0\0\x8c", ""),
    ("a playlist of a local file", "video", PLAYLIST % b"file:///etc/passwd", ""),
    ("a playlist of an address", "video", PLAYLIST % b"http://127.0.0.1:9/x.ts", ""),
    ("a list of files to join", "video", b"ffconcat version 1.0\nfile /etc/passwd\n", ""),
    ("a session description", "video", b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 9 RTP/AVP 96\n", ""),
    ("a DASH manifest", "video", b'<?xml version="1.0"?><MPD><BaseURL>file:///etc/</BaseURL></MPD>', ""),
    ("a subtitle", "video", b"1\n00:00:00,000 --> 00:00:01,000\nhello\n", ""),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "content", "words"), [m[1:] for m in MEDIA], ids=[m[0] for m in MEDIA])
def test_a_hostile_medium_is_refused_and_starts_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, content: bytes, words: str
) -> None:
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None, raising=False)
    path = tmp_path / ("x.png" if kind == "image" else "x.mp4")
    path.write_bytes(content)
    for asked in (kind, None):
        with pytest.raises(MediaError, match="media_unreadable"):
            probe(path, asked)
    with pytest.raises(MediaError, match=words):
        probe(path, kind)
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "bmp", "tiff", "ppm", "avif"])
def test_the_usual_formats_of_pictures_are_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    Image.new("RGB", (20, 10), (200, 10, 10)).save(path)
    assert (probe(path, "image").width, probe(path).kind) == (20, "image")


def test_pictures_are_opened_in_one_place_only() -> None:
    sources = [path for name in ("corpus", "annotators", "filters", "onethinker", "trainers", "evaluators")
               for path in (ROOT / name).rglob("*.py")]  # fmt: skip
    opening = [path.relative_to(ROOT).as_posix() for path in sources if "Image.open(" in path.read_text()]
    assert opening == ["corpus/media/image.py"]


# -- rows from Python --------------------------------------------------------------------------------------------------

NEW: dict[str, Any] = {
    "problem": "<image>How many beds?",
    "problem_type": "numerical",
    "answer": "2",
    "images": ["a.png"],
    "source": "python",
}
ROWS: list[tuple[str, Any, str, str | None]] = [
    ("no dict", 5, "not_an_object", None),
    ("None", None, "not_an_object", None),
    ("an empty dict", {}, "malformed", "problem"),
    ("an unknown field", {**NEW, "sample_id": "zz"}, "malformed", "sample_id"),
    ("a problem that is bytes", {**NEW, "problem": b"<image>?"}, "malformed", "problem"),
    ("half a surrogate pair", {**NEW, "answer": "\ud800"}, "malformed", "answer"),
    ("an answer that is a number", {**NEW, "answer": 2}, "malformed", "answer"),
    ("an unknown type", {**NEW, "problem_type": "nonsense"}, "unknown_problem_type", "problem_type"),
    ("no media", {**NEW, "images": []}, "malformed", "images"),
    ("images that are one text", {**NEW, "images": "a.png"}, "malformed", "images"),
    ("an image upwards", {**NEW, "images": ["../a.png"]}, "media_outside_root", "media"),
    ("an image that is not there", {**NEW, "images": ["b.png"]}, "media_missing", "media"),
    ("an unknown split", {**NEW, "split": "foo"}, "malformed", "split"),
    ("a truth that is no JSON", {**NEW, "truth": {"a": object()}}, "malformed", "truth"),
    ("a truth of 100 digits", {**NEW, "truth": {"a": 10**100}}, "malformed", "truth"),
    ("a truth that holds itself", {**NEW, "truth": (lambda d: d.update(d=d) or d)({})}, "malformed", "truth"),
    ("no answer and no truth", {**NEW, "answer": None}, "answer_missing", "answer"),
    ("an answer that no number is", {**NEW, "answer": "beds"}, "answer_unreadable", "answer"),
    ("no placeholder", {**NEW, "problem": "How many?"}, "media_token_mismatch", "problem"),
]


@pytest.mark.parametrize(("row", "reason", "field"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS])
def test_a_bad_row_from_python_comes_back_with_its_reason_and_its_neighbours_go_in(
    attacked: Corpus, folder: Path, row: Any, reason: str, field: str | None, request: pytest.FixtureRequest
) -> None:
    good = [{**NEW, "problem": f"<image>{part} {request.node.callspec.id}?"} for part in ("before", "behind")]
    done = attacked.add_samples([good[0], row, good[1]], media_root=folder)
    assert (done.samples, done.known) == (2, 0)
    assert [(bad.row, bad.reason, bad.field) for bad in done.rejects] == [(2, reason, field)]
    last = attacked.sql("from rejects where reader = 'add_samples' order by created_at desc limit 1").fetchall()
    assert (last[0][3], last[0][5]) == (2, reason)
    again = attacked.add_samples(good[::-1], media_root=folder)
    assert (again.samples, again.known, again.rejects) == (0, 2, [])


def test_an_odd_row_of_samples_is_refused_at_append_and_stops_no_command_where_it_is(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Corpus.create(tmp_path / "corpus") as corpus:
        odd = {"sample_id": "zz", "problem_type": "nonsense"}
        with pytest.raises(OneThinkerError, match=r"row 1 for samples \('zz'\): unknown problem_type 'nonsense'"):
            corpus.append("samples", [odd])
        with corpus.transaction("as an older version let it in") as tx:
            tx.append("samples", [odd, {"sample_id": "yy"}])
        path = folder / "beside.json"
        path.write_text(json.dumps([honest("beside", 1)]))
        assert ingest(corpus, "onethinker", [path])["samples"] == 1
        chat = folder / "chat.json"
        chat.write_text(json.dumps([CHAT]))
        assert ingest(corpus, "onethinker", [chat])["traces"] == 1
    url = str(tmp_path / "corpus")
    assert main(["check", "--corpus", url, "--format", "csv"]) == 1
    assert "odd_sample" in capsys.readouterr().out
    assert main(["annotate", "--teacher", "local:pixels-1", "--dry-run", "--corpus", url]) == 0
    assert "skipped: samples of unknown types, 'nonsense' of None, None of None" in capsys.readouterr().err
    assert main(["verify", "--corpus", url]) == 0
    assert main(["select", "demo", "--name", "d", "--corpus", url]) in (0, 1)
    assert "Traceback" not in capsys.readouterr().err
