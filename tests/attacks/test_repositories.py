"""Hostile repositories and secrets: what a pull refuses, and leaves untouched, and what a publication may not show."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from corpus import Corpus, OneThinkerError
from corpus.hub import publish, pull
from corpus.hub.card import escape_text, fence, quote_code
from corpus.hub.manifest import parse_manifest
from corpus.hub.scan import scan
from corpus.ids import digest, sample_id_of, trace_id_of
from tests.corpus.making import frozen, small_corpus, trace, verdict
from tests.corpus.test_hub import hub  # noqa: F401  (a fixture)
from tests.hub_double import HubDouble, Repo

SHARD = "data/spatial_grounding/train/made-00000-of-00001.parquet"
RUNS, PROMPTS, VERDICTS, DROPS = (f"provenance/{n}.parquet" for n in ("runs", "prompts", "verdicts", "drops"))
PROMPT = "Find it."
Publication = Path


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Publication:
    """A publication with two tasks, a prompt, drops and a second verdict."""
    root = tmp_path_factory.mktemp("honest")
    with small_corpus(root, rows=4) as corpus:
        first = corpus.sql("select sample_id, answer from samples order by 1 limit 1").to_arrow_table().to_pylist()[0]
        with corpus.run("annotate", {}) as run, run.transaction("more") as tx:
            more = {**trace(first, 9, teacher="p:other"), "prompt_id": digest(PROMPT)}
            more["trace_id"] = trace_id_of({"params": None, **more})
            tx.append("traces", [more])
            tx.append("prompts", [{"prompt_id": digest(PROMPT), "text": PROMPT, "mode": "blind"}])
            tx.append("verdicts", [verdict(more, 9), verdict(more, 9, profile="paper")])
        drops = corpus.sql("select sample_id, trace_id, 'low_reward' as reason from traces limit 1").to_arrow_table()
        frozen(corpus, drops=drops)
        publish(corpus, "small", "user/small", dry_run=root / "out")
    return root / "out"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    """The victim: a corpus with rows and a snapshot of its own, shared by all cases, none of which may change it."""
    root = tmp_path_factory.mktemp("victim")
    with small_corpus(root, rows=2) as made:
        frozen(made, "demo")
        (root / "neighbour").mkdir()
        (root / "neighbour" / "file").write_text("mine")
        yield made


@pytest.fixture(scope="module")
def untouched(corpus: Corpus) -> dict[str, Any]:
    """The victim before any case."""
    return state(corpus)


def state(corpus: Corpus) -> dict[str, Any]:
    """Every row and every file of a corpus and of the folder around it, without the catalog's own bookkeeping."""
    tables = ("samples", "traces", "verdicts", "prompts", "run_events", "snapshots", "snapshot_rows", "snapshot_drops")
    root = corpus.root.parent
    files = {str(p.relative_to(root)) for p in root.rglob("*") if "catalog" not in p.name}
    return {t: corpus.sql(f"select * from {t} order by all").fetchall() for t in tables} | {"files": files}


# -- how a publication is bent, with its hashes made to fit ------------------------------------------------------------


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "snapshot.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def sign(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    entry = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    edit_manifest(folder, lambda m: m["files"].update({name: entry}))


def field(name: str, value: Any) -> Callable[[Path], None]:
    """snapshot.json with another value in a field."""
    return lambda folder: edit_manifest(folder, lambda m: m.update({name: value}))


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: edit_manifest(folder, lambda m: m.pop(name))


def raw(content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / "snapshot.json").write_bytes(content) and None


def entry(name: str) -> Callable[[Path], None]:
    """snapshot.json that names one more file."""
    return lambda folder: edit_manifest(folder, lambda m: m["files"].update({name: {"sha256": "0" * 64, "bytes": 1}}))


def cells(name: str, **values: Any) -> Callable[[Path], None]:
    """A Parquet file whose first row has other values; the hashes fit, as an attacker would make them."""

    def change(folder: Path) -> None:
        table = pq.read_table(folder / name)
        rows = table.to_pylist()
        rows[0].update({k: v(rows[0]) if callable(v) else v for k, v in values.items()})
        pq.write_table(pa.Table.from_pylist(rows, table.schema), folder / name)
        sign(folder, name)

    return change


def more(name: str, **values: Any) -> Callable[[Path], None]:
    """A Parquet file with one more row: the first one's, with other values."""

    def change(folder: Path) -> None:
        table = pq.read_table(folder / name)
        extra = {**table.to_pylist()[0], **values}
        pq.write_table(pa.Table.from_pylist([*table.to_pylist(), extra], table.schema), folder / name)
        sign(folder, name)

    return change


def content(name: str, data: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(data)
        sign(folder, name)

    return change


def columns(name: str, change_table: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        pq.write_table(change_table(pq.read_table(folder / name)), folder / name)
        sign(folder, name)

    return change


def changed(name: str, column: str, value: Any) -> Callable[[Path], None]:
    """A sample or trace with other content and the ids that fit it, so that only the content is wrong."""

    def change(folder: Path) -> None:
        table = pq.read_table(folder / name)
        rows = table.to_pylist()
        row = rows[0]
        row[column] = value
        row["sample_id"] = sample_id_of(row)
        row["trace_id"] = trace_id_of(row)
        pq.write_table(pa.Table.from_pylist(rows, table.schema), folder / name)
        sign(folder, name)

    return change


def link_out(folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.write_bytes((folder / SHARD).read_bytes())
    (folder / SHARD).unlink()
    (folder / SHARD).symlink_to(outside)


def fifo(folder: Path) -> None:
    (folder / SHARD).unlink()
    os.mkfifo(folder / SHARD)


def dictionary_bomb(folder: Path) -> None:
    """Some kilobytes that decode to 7 GB: one long text, named by every row."""
    table = pq.read_table(folder / SHARD)
    rows = table.to_pylist()[:1] * 700
    bomb = pa.Table.from_pylist([{**row, "response": "x" * 10_000_000} for row in rows[:1]], table.schema)
    values = pa.DictionaryArray.from_arrays(pa.array([0] * 700, pa.int32()), bomb["response"].combine_chunks())
    repeated = pa.Table.from_pylist(rows, table.schema)
    place = table.schema.get_field_index("response")
    bombed = repeated.set_column(place, "response", values)
    schema = pa.schema([pa.field(f.name, f.type) for f in table.schema])
    pq.write_table(bombed, folder / SHARD, compression="zstd", store_schema=False)
    assert pq.read_schema(folder / SHARD).field("response").type == schema.field("response").type
    sign(folder, SHARD)


def not_utf8(folder: Path) -> None:
    table = pq.read_table(folder / SHARD)
    odd = pa.array([b"\xff\xfe"] * len(table), pa.binary()).view(pa.string())
    place = table.schema.get_field_index("problem")
    pq.write_table(table.set_column(place, table.schema.field("problem"), odd), folder / SHARD)
    sign(folder, SHARD)


def eps(folder: Path) -> None:
    """An image that Pillow would hand to Ghostscript."""
    program = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 30\n%%EndComments\n(id) run\n"
    sha256 = hashlib.sha256(program).hexdigest()

    def media(row: dict[str, Any]) -> list[dict[str, Any]]:
        return [{**row["media"][0], "sha256": sha256}]

    cells(SHARD, media=media, images=[{"bytes": program, "path": "x.png"}])(folder)
    table = pq.read_table(folder / SHARD)
    rows = table.to_pylist()
    rows[0]["sample_id"] = sample_id_of(rows[0])
    rows[0]["trace_id"] = trace_id_of(rows[0])
    pq.write_table(pa.Table.from_pylist(rows, table.schema), folder / SHARD)
    sign(folder, SHARD)


def unlisted(folder: Path) -> None:
    shutil.copy(folder / SHARD, folder / SHARD.replace("made", "more"))


def both(*changes: Callable[[Path], None]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for one in changes:
            one(folder)

    return change


def moved(where: str) -> Callable[[Path], None]:
    """A row whose medium lies at a path of the attacker's choice."""
    return cells(SHARD, media_at=[where])


FUTURE = datetime.now(UTC) + timedelta(days=400)
DEEP = "[" * 5_000 + "]" * 5_000
DELETE = {"run_id": "delete-20260101T000000-00000000", "event": "started", "kind": "delete"}

HOSTILE: list[tuple[str, Callable[[Path], Any], str]] = [
    # names and numbers of snapshot.json
    ("name leads out of the corpus", field("name", "./../../neighbour"), r"snapshot\.json.*name"),
    ("name is two dots", field("name", ".."), r"snapshot\.json.*name"),
    ("name is absolute", field("name", "/etc/cron.d/x"), r"snapshot\.json.*name"),
    ("name has a back slash", field("name", "a\\..\\b"), r"snapshot\.json.*name"),
    ("name holds a line break", field("name", "demo\n"), r"snapshot\.json.*name"),
    ("name is empty", field("name", ""), r"snapshot\.json.*name"),
    ("name is 10,000 characters long", field("name", "a" * 10_000), r"snapshot\.json.*name"),
    ("name is a number", field("name", 5), r"snapshot\.json.*name"),
    ("name is left out", without("name"), r"snapshot\.json.*name"),
    ("version is negative", field("version", -1), r"snapshot\.json.*version"),
    ("version is zero", field("version", 0), r"snapshot\.json.*version"),
    ("version is text that is a path", field("version", "1/../../x"), r"snapshot\.json.*version"),
    ("version is true", field("version", True), r"snapshot\.json.*version"),
    ("version does not fit 32 bits", field("version", 2**31), r"snapshot\.json.*version"),
    ("version has 5,000 digits", raw(b'{"version": ' + b"9" * 5_000 + b"}"), r"snapshot\.json"),
    ("version is one that the victim has", both(field("name", "demo")), r"has, or had, another demo@1"),
    ("layout is text", field("layout", "1"), r"snapshot\.json.*layout"),
    ("layout is of the future", field("layout", 99), r"layout 99.*upgrade"),
    ("parent is a path", field("parent", "../x@1"), r"snapshot\.json.*parent"),
    ("parent is a list", field("parent", ["a@1"]), r"snapshot\.json.*parent"),
    ("profile is a path", field("profile", "../../x"), r"snapshot\.json.*profile"),
    ("profile is another than the rows'", field("profile", "paper"), r"row 1, profile"),
    ("created_at is no time", field("created_at", "soon"), r"snapshot\.json.*created_at"),
    ("created_at has no zone", field("created_at", "2026-01-01T00:00:00"), r"snapshot\.json.*created_at"),
    ("created_at lies in the future", field("created_at", FUTURE.isoformat()), r"created_at.*future"),
    ("created_at is the year 1", field("created_at", "0001-01-01T00:00:00+00:00"), r"snapshot\.json.*created_at"),
    ("run_id is a path", field("run_id", "../../x"), r"snapshot\.json.*run_id"),
    ("fingerprint is short", field("fingerprint", "abc"), r"snapshot\.json.*fingerprint"),
    ("fingerprint is another's", field("fingerprint", "0" * 64), r"snapshot\.json: fingerprint"),
    ("rows are negative", field("rows", -5), r"snapshot\.json.*rows"),
    ("rows are one too many", both(field("rows", 6), field("counts", {"x": 6})), r"hold 5"),
    ("counts do not sum to the rows", field("counts", {"x": 1}), r"snapshot\.json: counts"),
    ("counts are a list", field("counts", []), r"snapshot\.json.*counts"),
    ("code_version is markup", field("code_version", "<script>"), r"snapshot\.json.*code_version"),
    # snapshot.json as a file
    ("snapshot.json is empty", raw(b""), r"snapshot\.json"),
    ("snapshot.json is a list", raw(b"[]"), r"snapshot\.json"),
    ("snapshot.json is nested 100,000 deep", raw(b"[" * 100_000), r"snapshot\.json"),
    ("snapshot.json is not UTF-8", raw(b'{"name": "\xff"}'), r"snapshot\.json"),
    ("snapshot.json ends early", raw(b'{"name": "a"'), r"snapshot\.json"),
    ("snapshot.json is NaN", raw(b'{"rows": NaN}'), r"snapshot\.json"),
    # its list of files
    ("files is null", field("files", None), r"snapshot\.json.*files"),
    ("files is empty", field("files", {}), r"recipe\.yaml is missing"),
    ("a file's path leads out", entry("data/../../../etc/passwd"), r"snapshot\.json.*files"),
    ("a file's path is absolute", entry("/etc/passwd"), r"snapshot\.json.*files"),
    ("a shard lies too deep", entry("data/a/b/c/d.parquet"), r"data/a/b/c/d\.parquet"),
    ("a file is listed and not there", entry("data/a/b/c.parquet"), r"data/a/b/c\.parquet is missing"),
    ("a file is there and not listed", unlisted, r"more-.* is not among the files"),
    ("a shard is a link out of the folder", link_out, r"made.*link that leads out"),
    ("a shard is a named pipe", fifo, r"made.* is missing"),
    ("a shard has changed", lambda f: (f / SHARD).write_bytes(b"x"), r"made.* has changed"),
    ("the recipe has changed", lambda f: (f / "recipe.yaml").write_text("x"), r"recipe\.yaml has changed"),
    ("the recipe is gone", lambda f: (f / "recipe.yaml").unlink(), r"recipe\.yaml is missing"),
    ("the recipe is not UTF-8", content("recipe.yaml", b"\xff\xfe"), r"recipe\.yaml: not UTF-8"),
    ("the recipe has 2 MB", content("recipe.yaml", b"x" * 2_000_000), r"recipe\.yaml: 2,000,000 bytes"),
    ("the verdicts are gone", lambda f: (f / VERDICTS).unlink(), r"verdicts\.parquet is missing"),
    # Parquet
    ("a shard is not Parquet", content(SHARD, b"PAR1 no PAR1"), r"made.*not readable as Parquet"),
    ("a shard is empty", content(SHARD, b""), r"made.*not readable as Parquet"),
    ("a shard lacks a column", columns(SHARD, lambda t: t.drop_columns("reward")), r"made.*no column reward"),
    (
        "a column is of another type",
        columns(SHARD, lambda t: t.set_column(t.schema.get_field_index("reward"), "reward", pa.array(["x"] * len(t)))),
        r"column reward is string",
    ),
    ("a column decodes to gigabytes", dictionary_bomb, r"4,096 rows decode to"),
    ("a text is not UTF-8", not_utf8, r"made.*not readable as Parquet"),
    # ids and values of rows
    ("a sample has another's id", cells(SHARD, sample_id="0" * 32), r"row 1, sample_id"),
    ("a sample's answer was changed under its id", cells(SHARD, answer="{}"), r"row 1, sample_id"),
    ("a sample's question was changed under its id", cells(SHARD, problem="<image>?"), r"row 1, sample_id"),
    ("a trace has another's id", cells(SHARD, trace_id="0" * 32), r"row 1, trace_id"),
    ("a trace's teacher was changed under its id", cells(SHARD, teacher="openai:best"), r"row 1, trace_id"),
    ("an id is null", cells(SHARD, trace_id=None), r"row 1, trace_id: it is null"),
    ("a problem type that no task knows", changed(SHARD, "problem_type", "nonsense"), r"row 1, problem_type"),
    ("an unknown data type", changed(SHARD, "data_type", "smell"), r"row 1, data_type"),
    ("a task of another family", cells(SHARD, task="tracking"), r"row 1, task"),
    ("a judge's reply as a row", changed(SHARD, "mode", "judge"), r"row 1, mode"),
    ("truth is not JSON", cells(SHARD, truth="{"), r"row 1, truth"),
    ("truth is nested 5,000 deep", cells(SHARD, truth=DEEP), r"row 1, truth"),
    ("reward is NaN", cells(SHARD, reward=float("nan")), r"row 1, reward"),
    ("reward is infinite", cells(SHARD, reward=float("inf")), r"row 1, reward"),
    ("accuracy is 7", cells(SHARD, accuracy=7.0), r"row 1, accuracy"),
    ("tokens are negative", cells(SHARD, output_tokens=-5), r"row 1, output_tokens"),
    ("cost is negative", cells(SHARD, cost_usd=-1), r"row 1, cost_usd"),
    (
        "a verdict of the year 2100",
        cells(SHARD, verdict_created_at=datetime(2100, 1, 1, tzinfo=UTC)),
        r"row 1, verdict",
    ),
    ("a run's id is a path", cells(SHARD, run_id="../../x"), r"row 1, run_id"),
    ("a source of 5,000 characters", changed(SHARD, "source", "x" * 5_000), r"row 1, source"),
    ("positions start at 5", cells(SHARD, position=500), r"column position"),
    ("a position comes twice", cells(SHARD, position=2), r"column position"),
    # media
    ("a medium's path leads out", moved("media/../../../etc/passwd"), r"row 1, media_at"),
    ("a medium's path is absolute", moved("/etc/passwd"), r"row 1, media_at"),
    ("a medium is not listed", moved(f"media/00/{'0' * 64}"), r"row 1, media_at"),
    ("a row has two places for one medium", cells(SHARD, media_at=["embedded", "embedded"]), r"row 1, media_at"),
    ("an embedded medium is missing", cells(SHARD, images=[]), r"row 1, images"),
    ("an embedded medium is another", cells(SHARD, images=[{"bytes": b"x", "path": "x"}]), r"row 1, images"),
    ("an embedded medium is too many", cells(SHARD, images=lambda r: r["images"] * 2), r"row 1, images"),
    ("a medium's name is a path", cells(SHARD, media=lambda r: [{**r["media"][0], "sha256": "../x"}]), r"row 1, media"),
    ("a medium is 0 wide", cells(SHARD, media=lambda r: [{**r["media"][0], "width": 0}]), r"row 1, media.*width"),
    ("a medium is wider than it is", cells(SHARD, media=lambda r: [{**r["media"][0], "width": 999}]), r"says 999"),
    ("a medium is a PostScript program", eps, r"row 1, media\[0\]: Pillow cannot open"),
    # provenance
    (
        "a forged delete hides the victim's snapshot",
        more(RUNS, config='{"snapshot": "demo@1"}', **DELETE),
        r"provenance/runs\.parquet, row \d+, kind.*'delete'",
    ),
    ("a forged withdraw", more(RUNS, **{**DELETE, "kind": "withdraw"}), r"runs\.parquet, row \d+, kind"),
    ("a run's event is unknown", cells(RUNS, event="deleted", kind=None), r"runs\.parquet, row 1, event"),
    ("a run's id is a path ", cells(RUNS, run_id="../../x"), r"runs\.parquet, row 1, run_id"),
    ("a run's config is not JSON", cells(RUNS, config="{"), r"runs\.parquet, row 1, config"),
    ("a run's config is a list", cells(RUNS, config="[]"), r"runs\.parquet, row 1, config"),
    ("a run costs less than nothing", cells(RUNS, cost_usd=-9), r"runs\.parquet, row 1, cost_usd"),
    ("a prompt has another's id", cells(PROMPTS, prompt_id="0" * 32), r"prompts\.parquet, row 1, prompt_id"),
    ("a prompt without a trace", more(PROMPTS, prompt_id=digest("x"), text="x"), r"prompts\.parquet, row 2"),
    ("a verdict on somebody else's trace", more(VERDICTS, trace_id="0" * 32), r"verdicts\.parquet, row \d+, trace_id"),
    ("a verdict's reward is NaN", cells(VERDICTS, reward=float("nan")), r"verdicts\.parquet, row 1, reward"),
    ("a verdict of the future", cells(VERDICTS, created_at=FUTURE), r"verdicts\.parquet, row 1, created_at"),
    ("a verdict has no profile", cells(VERDICTS, profile=None), r"verdicts\.parquet, row 1, profile"),
    ("a drop's sample is a path", cells(DROPS, sample_id="../x"), r"drops\.parquet, row 1, sample_id"),
    ("a drop has no reason", cells(DROPS, reason=None), r"drops\.parquet, row 1, reason"),
    ("the drops are not Parquet", content(DROPS, b"{}"), r"drops\.parquet: not readable"),
]


@pytest.mark.parametrize(
    ("attack", "said"),
    [  # each copies a repository and opens it: every sixth is enough for the fast tests
        pytest.param(*case[1:], id=case[0], marks=() if number % 6 == 0 else pytest.mark.slow)
        for number, case in enumerate(HOSTILE)
    ],
)
def test_a_hostile_repository_is_refused_by_name_and_leaves_nothing(
    attack: Callable[[Path], Any],
    said: str,
    honest: Publication,
    corpus: Corpus,
    untouched: dict[str, Any],
    tmp_path: Path,
) -> None:
    folder = tmp_path / "repository"
    shutil.copytree(honest, folder)
    attack(folder)
    with pytest.raises(OneThinkerError, match=said) as refused:
        pull(corpus, str(folder))
    assert len(str(refused.value)) < 1_500, "too long to read"
    assert state(corpus) == untouched


def test_after_all_of_them_the_honest_one_arrives_whole(honest: Publication, corpus: Corpus) -> None:
    """The same corpus, without repair; the last of the cases above, so it stands behind them."""
    before = state(corpus)
    pulled = pull(corpus, str(honest))
    assert (pulled.rows, pulled.damage()) == (5, [])
    after = state(corpus)
    for table, rows in before.items():
        if table == "files":
            assert rows <= after["files"]
        else:
            assert set(map(str, rows)) <= set(map(str, after[table])), f"rows of {table} changed or are gone"
    assert [s.ref for s in corpus.snapshots.list()] == ["demo@1", "small@1"]
    with Corpus.open(corpus.root, at="small@1") as past:
        missing = past.sql("select 1 from snapshot_rows where trace_id not in (select trace_id from traces)")
        assert missing.fetchall() == []
        assert past.sql("select count(*) from traces").fetchone() == (5,)


def test_a_trace_of_the_corpus_keeps_its_own_verdicts(honest: Publication, tmp_path: Path) -> None:
    folder = tmp_path / "forged"
    shutil.copytree(honest, folder)
    more(VERDICTS, verifier="zzz@9", profile="strict", reward=0.0)(folder)
    with small_corpus(tmp_path, rows=4) as own:
        query = "select trace_id, profile, reward from latest_verdicts order by all"
        before = own.sql(query).fetchall()
        pull(own, str(folder))
        assert set(before) <= set(own.sql(query).fetchall())
        assert own.sql("select count(*) from verdicts where verifier = 'zzz@9'").fetchone()[0] <= 1


def test_another_response_under_an_id_of_the_corpus_is_refused(honest: Publication, tmp_path: Path) -> None:
    with Corpus.create(tmp_path / "own") as own:
        row = pq.read_table(honest / SHARD).to_pylist()[0]
        own.append("traces", [{"trace_id": row["trace_id"], "sample_id": row["sample_id"], "response": "mine"}])
        before = own.sql("select * from traces").fetchall()
        with pytest.raises(OneThinkerError, match=f"trace {row['trace_id']}: this corpus holds another response"):
            pull(own, str(honest))
        assert own.sql("select * from traces").fetchall() == before
        assert own.sql("select count(*) from run_events").fetchone() == (0,)


def test_events_of_the_corpus_own_runs_are_not_added_to(honest: Publication, corpus: Corpus) -> None:
    listed = corpus.sql("select run_id, count(*) from run_events where event <> 'started' group by 1").fetchall()
    assert {count for _, count in listed} == {1}


def on_hub(double: HubDouble, folder: Path, tag: str = "v1") -> None:
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    double.repos["user/bad"] = Repo([("a" * 40, files)], {tag: "a" * 40})


HUB_HOSTILE: list[tuple[str, Callable[[Path], Any], str, str]] = [
    ("the tag names another version", field("version", 3), "v1", r"snapshot\.json: version: 3, but the tag is v1"),
    ("a file that is not listed", unlisted, "v1", "is not among the files"),
    ("a shard that is longer than it says", lambda f: (f / SHARD).write_bytes(b"x" * 9_999), "v1", "has changed"),
    ("no snapshot.json", lambda f: (f / "snapshot.json").unlink(), "v1", r"no readable snapshot\.json"),
    ("the name leads out", field("name", "../../x"), "v1", r"snapshot\.json.*name"),
]


@pytest.mark.parametrize(("attack", "tag", "said"), [c[1:] for c in HUB_HOSTILE], ids=[c[0] for c in HUB_HOSTILE])
def test_a_hostile_repository_on_the_hub_is_refused_before_its_rows_are_downloaded(
    attack: Callable[[Path], Any],
    tag: str,
    said: str,
    honest: Publication,
    hub: HubDouble,  # noqa: F811
    tmp_path: Path,
) -> None:
    folder = tmp_path / "repository"
    shutil.copytree(honest, folder)
    attack(folder)
    on_hub(hub, folder, tag)
    with Corpus.create(tmp_path / "corpus") as victim:
        before = state(victim)
        with pytest.raises(OneThinkerError, match=said):
            pull(victim, "user/bad@1")
        assert {f for f in state(victim)["files"] if f.startswith("corpus")} == {
            f for f in before["files"] if f.startswith("corpus")
        }
    assert hub.requests["GET object"] == 0, "rows were downloaded"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("name", "version", "fingerprint", "rows", "counts", "profile", "parent", "run_id", "created_at", "files")


@given(st.binary(max_size=200))
def test_any_bytes_as_snapshot_json_are_refused_by_name(data: bytes) -> None:
    with pytest.raises(OneThinkerError, match=r"snapshot\.json"):
        parse_manifest(data)


@given(st.sampled_from(FIELDS), JSON)
def test_any_value_in_any_field_is_read_or_refused_by_name(name: str, value: Any) -> None:
    good = {
        "layout": 1, "name": "a", "version": 1, "fingerprint": "0" * 64, "rows": 1, "counts": {"x": 1},
        "profile": "strict", "parent": None, "code_version": "1", "run_id": "r", "files": {
            name: {"sha256": "0" * 64, "bytes": 1} for name in (SHARD, "recipe.yaml", RUNS, PROMPTS, VERDICTS, DROPS)
        }, "created_at": "2026-01-01T00:00:00+00:00", name: value,
    }  # fmt: skip
    try:
        found = parse_manifest(json.dumps(good).encode())
    except OneThinkerError as error:
        assert "snapshot.json" in str(error)  # noqa: PT017 (reading it is right, too)
    else:
        assert "/" not in found.ref
        assert ".." not in found.ref


# -- secrets -----------------------------------------------------------------------------------------------------------

R = "q7Zx2mV9kLp4Wn8Tb3Yc6Hd1Fg5Js0Ra"  # 32 random letters and digits; every secret below is made up of it
SECRETS: list[tuple[str, str]] = [
    ("OpenAI, project key", f"sk-proj-{R}{R}"),
    ("OpenAI, short key in a sentence", f"I used sk-{R}, as asked."),
    ("Anthropic", f"sk-ant-api03-{R}-{R}"),
    ("OpenRouter", f"sk-or-v1-{'0a1b2c3d' * 8}"),
    ("Hugging Face", f"hf_{R}"),
    ("GitHub, classic", f"ghp_{R}abcd"),
    ("GitHub, fine-grained", f"github_pat_{R}_{R}"),
    ("GitLab", f"glpat-{R[:20]}"),
    ("AWS key id", "AKIAQ7ZX2MV3KLP4WN6T"),
    ("AWS secret", f"aws_secret_access_key = {R}Ab1+/Zz9"),
    ("Google API", f"AIza{R}abc"),
    ("Google OAuth", f"ya29.{R}"),
    ("Slack bot", f"xoxb-123456789012-{R}"),
    ("Slack webhook", f"https://hooks.slack.com/services/T00000000/B00000000/{R[:24]}"),
    ("Discord webhook", f"https://discord.com/api/webhooks/123456789012345678/{R}"),
    ("Telegram bot", f"123456789:AA{R}x"),
    ("Stripe", f"sk_live_{R}"),
    ("SendGrid", f"SG.{R[:22]}.{R}{R[:11]}"),
    ("Twilio", f"SK{'0a1b2c3d' * 4}"),
    ("PyPI", f"pypi-AgEIcHlwaS5vcmc{R}"),
    ("npm", f"npm_{R}abcd"),
    ("Groq", f"gsk_{R}{R[:20]}"),
    ("xAI", f"xai-{R}{R}"),
    ("Replicate", f"r8_{R}abcde"),
    ("Perplexity", f"pplx-{R}"),
    ("NVIDIA", f"nvapi-{R}{R}"),
    ("Databricks", f"dapi{'0a1b2c3d' * 4}"),
    ("DigitalOcean", f"dop_v1_{'0a1b2c3d' * 8}"),
    ("Vault", f"hvs.{R}"),
    ("Docker Hub", f"dckr_pat_{R[:27]}"),
    ("Azure storage", f"AccountName=a;AccountKey={R}{R}{R[:22]}==;EndpointSuffix=core.windows.net"),
    ("Azure signature", f"https://a.blob.core.windows.net/c?sv=2025&sig={R}{R[:11]}%3D"),
    ("signed S3 URL", f"https://b.s3.amazonaws.com/k?X-Amz-Signature={'0a1b2c3d' * 8}"),
    ("JSON web token", f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{R}"),
    ("bearer header", f"Authorization: Bearer {R}"),
    ("basic header", "Authorization: Basic dXNlcjpodW50ZXIyaHVudGVyMg=="),
    ("password in a database URL", f"postgresql://me:{R[:10]}@db.example.com/x"),
    ("private key, PEM", "-----BEGIN RSA PRIVATE KEY-----"),
    ("private key, OpenSSH in JSON", '{"key": "-----BEGIN OPENSSH PRIVATE KEY-----\\nb3Bl"}'),
    ("PGP key", "-----BEGIN PGP PRIVATE KEY BLOCK-----"),
    ("age key", f"AGE-SECRET-KEY-1{'QPZRY9X8GF2TVDW0S3JN' * 3}"),
    ("wandb in a shell line", f"WANDB_API_KEY={'0a1b2c3d4e' * 4} python train.py"),
    ("password in YAML", f"password: {R[:16]}"),
    ("key in JSON", f'{{"api_key": "{R}"}}'),
    ("key in JSON within JSON", f'{{"raw": "{{\\"client_secret\\": \\"{R}\\"}}"}}'),
    ("Telegram of a group", f"987654321:AA{R}x"),
    ("LangSmith", f"lsv2_pt_{R}"),
    ("private folder", "see /home/somebody/data.json"),
    ("Windows folder", r"C:\Users\me\x.png"),
    ("file URL", "file:///etc/passwd"),
]


@pytest.fixture(scope="module")
def secret_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every secret in a cell of its own, between harmless ones."""
    folder = tmp_path_factory.mktemp("secrets")
    values = [text for _, secret in SECRETS for text in ("a harmless cell", secret)]
    pq.write_table(pa.table({"response": values}), folder / "rows.parquet")
    return folder


@pytest.fixture(scope="module")
def leaked_rows(secret_folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for leak in scan(secret_folder):
        found.setdefault(leak.where, []).append(str(leak))
    return found


@pytest.mark.parametrize("i", range(len(SECRETS)), ids=[name for name, _ in SECRETS])
def test_a_secret_is_found_and_not_shown(i: int, leaked_rows: dict[str, list[str]], tmp_path: Path) -> None:
    said = leaked_rows[f"column response, row {2 * i + 2}"]
    assert R[:8] not in " ".join(said)
    assert f"column response, row {2 * i + 1}" not in leaked_rows
    (tmp_path / "README.md").write_text(f"one\n{SECRETS[i][1]}\n")
    assert {leak.where for leak in scan(tmp_path)} == {"line 2"}


@pytest.mark.parametrize("form", ["plain", "base64", "quoted"])
def test_a_value_of_the_environment_is_found(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import base64
    from urllib.parse import quote

    value = "my own/secret+value"
    monkeypatch.setenv("SERVICE_API_KEY_2", value)
    shown = {"plain": value, "base64": base64.b64encode(value.encode()).decode(), "quoted": quote(value, safe="")}[form]
    (tmp_path / "README.md").write_text(f"it is {shown}!")
    assert "the value of $SERVICE_API_KEY_2" in {leak.what for leak in scan(tmp_path)}


HARMLESS = [
    "either/or /tmp", "a/home/b", r"x:\frac{1}{2}", "task-1234567890123456789", "1/2", "The secret: look left first.",
    "token: the word before it", "key frames: 12, 34 and 56", "max_tokens: 4096", '{"max_tokens": 4096, "seed": 1}',
    "the password is not visible in the image", "risk-averse-and-long-worded-phrase", "https://example.com:8080/a@b",
    '{"boxes": [10, 20, 30, 40]}', "0a1b2c3d" * 8, "PYn0Q1e1N2O1O0001N2N1O2N101N3N1N2O2M3N2N2M4M3M2O1N3M",
]  # fmt: skip


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_is_let_through(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(text)
    assert [leak.what for leak in scan(tmp_path)] == []


ALLOWED: list[tuple[str, str, list[str], int]] = [
    ("the match itself", f"use sk-{R}", [f"sk-{R}"], 0),
    ("text around the match", f"use sk-{R} now", [f"use sk-{R} now"], 0),
    ("a word of the same cell", f"use sk-{R} now", ["now"], 1),
    ("the cell's other secret", f"sk-{R} and hf_{R}", [f"sk-{R}"], 1),
    ("the same secret elsewhere in the cell", f"sk-{R} and sk-{R}", [f"sk-{R}"], 0),
    ("a part of the match", f"use sk-{R}", ["sk-"], 1),
    ("nothing", f"use sk-{R}", [""], 1),
    ("a harmless path", "see /data/images/x.png", ["/data/images"], 0),
    ("one path of two", "see /data/images/x.png and /home/me/y", ["/data/images"], 1),
]


@pytest.mark.parametrize(("text", "allow", "leaks"), [c[1:] for c in ALLOWED], ids=[c[0] for c in ALLOWED])
def test_allow_lets_the_match_through_and_not_the_cell(text: str, allow: list[str], leaks: int, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": [text]}), tmp_path / "x.parquet")
    assert len(list(scan(tmp_path, allow=allow))) == leaks


# -- the card ----------------------------------------------------------------------------------------------------------

MARKUP = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "a | b", "[click](javascript:alert(1))",
    "![x](http://tracker/x.png)", "`</code><b>`", "a\n\n# heading", "&lt;b&gt;", "```\n<b>out of the fence</b>\n```",
    "````\n<b>out of four</b>", "\u202eegnahc", "<!-- --><details>", "\x00\x1b[31m",
]  # fmt: skip


@pytest.mark.parametrize("text", MARKUP)
def test_text_of_the_data_is_text_on_the_card(text: str) -> None:
    shown = escape_text(text)
    assert not set("<>[]`|\n\u202e\x00\x1b") & set(shown)
    code = quote_code(text)
    ticks = code[: len(code) - len(code.lstrip("`"))]
    assert code.endswith(ticks)
    assert ticks not in code[len(ticks) : -len(ticks)]
    first, *inside, last = fence(text, "text").split("\n")
    assert first == last + "text"
    assert last not in "\n".join(inside)


def test_a_published_card_holds_no_markup_of_its_rows(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    with small_corpus(tmp_path, rows=1) as made:
        path = tmp_path / "picture.png"
        Image.new("RGB", (20, 20)).save(path)
        medium = made.media.add(path).row()
        row: dict[str, Any] = {
            "task": "spatial grounding", "problem_type": "spatial grounding", "data_type": "image", "options": [],
            "problem": f"<image>````\n{evil}", "answer": '{"boxes": [1, 1, 5, 5]}', "media": [medium],
            "source": evil, "licence": evil, "split": "train", "truth": None,
        }  # fmt: skip
        row["sample_id"] = sample_id_of(row)
        spoken = trace(row, 0, teacher=f"p:{evil}")
        made.append("samples", [row])
        made.append("traces", [spoken])
        made.append("verdicts", [verdict(spoken, 0)])
        frozen(made)
        publish(made, "small", "user/small", dry_run=tmp_path / "out")
    outside, inside = [], False
    for line in (tmp_path / "out" / "README.md").read_text().split("---\n", 2)[2].splitlines():
        if line.startswith("```"):
            inside = not inside
        elif not inside:
            outside.append(line)
    text = "\n".join(outside).replace(f"`p:{evil}`", "")
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
