"""Attacks on the command line: numbers out of range, names and paths that cannot be, missing packages.

Every one ends with its exit code and a sentence that names what is wrong; none leaves anything behind, and the honest
commands at the end of each table work on the same corpus.
"""

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from annotators.progress_view import ProgressSnapshot, Rates, format_line
from annotators.run import AnnotationReport
from annotators.settings import Settings
from corpus import Corpus
from corpus.errors import UsageError
from corpus.ranges import Range
from corpus.run_locks import lock_files, run_lock
from corpus.runs import record_crashed
from corpus.scratch import remove_abandoned
from filters import select, verify
from filters.recipe import load
from onethinker.cli import main
from tests.corpus.making import frozen, small_corpus
from tests.onethinker.test_cli import verbs
from trainers.config import load as load_config
from trainers.rl.config import RlConfig
from trainers.sft.config import SftConfig

ROOT = Path(__file__).resolve().parents[2]
HUGE = str(10**400)
TEACHER = ["--teacher", "local:pixels-1"]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """Standard error without the frames and line breaks that a terminal's width makes."""
        return " ".join(self.err.translate(str.maketrans(dict.fromkeys("│╭╮╰╯─", " "))).split())


Run = Callable[..., Ended]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus with a snapshot, shared: no attack may change it."""
    folder = tmp_path_factory.mktemp("process")
    with small_corpus(folder) as corpus:
        frozen(corpus, "small")
    return folder / "corpus"


@pytest.fixture
def run(root: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line against the shared corpus, unless it names another."""

    def run_command(*arguments: object) -> Ended:
        words = [str(argument) for argument in arguments]
        if "--corpus" not in words and words[0] not in ("demo", "reproduce", "teacher", "score", "tasks", "teachers"):
            words += ["--corpus", str(root)]
        code = main(words)
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return run_command


def tree(folder: Path) -> dict[str, int]:
    """Every file below a folder with its size; SQLite's own side files come and go."""
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith("catalog.sqlite-")
    }


@pytest.fixture
def unchanged(root: Path) -> Iterator[None]:
    before = tree(root)
    yield
    assert tree(root) == before, "the attack wrote into the corpus"


NUMBERS: list[tuple[list[str], str, list[str]]] = [
    # command, flag, values that it must refuse
    (["annotate", *TEACHER], "--temperature", ["-3", "nan", "inf", "2.5"]),
    (["annotate", *TEACHER], "--top-p", ["0", "-1", "1.5", "nan"]),
    (["annotate", *TEACHER], "--n", ["0", "-1", HUGE]),
    (["annotate", *TEACHER], "--max-tokens", ["0", HUGE]),
    (["annotate", *TEACHER], "--concurrency", ["0", "-5"]),
    (["annotate", *TEACHER], "--rpm", ["0"]),
    (["annotate", *TEACHER], "--tpm", ["-1"]),
    (["annotate", *TEACHER], "--limit", ["0", HUGE]),
    (["annotate", *TEACHER], "--budget", ["0", "-1", "nan", "inf", "sNaN"]),
    (["annotate", *TEACHER], "--tries", ["0"]),
    (["annotate", *TEACHER], "--odd-retries", ["-1"]),
    (["annotate", *TEACHER], "--timeout", ["0", "inf", "nan"]),
    (["annotate", *TEACHER], "--prepare-timeout", ["-1"]),
    (["annotate", *TEACHER], "--poll", ["0", "inf"]),
    (["annotate", *TEACHER], "--fps", ["0", "nan"]),
    (["annotate", *TEACHER], "--max-frames", ["0"]),
    (["annotate", *TEACHER], "--image-pixels", ["0"]),
    (["annotate", *TEACHER], "--frame-pixels", ["-4"]),
    (["annotate", *TEACHER], "--decoders", ["0", "100000"]),
    (["annotate", *TEACHER], "--thinking-tokens", ["0"]),
    (["annotate", *TEACHER], "--seed", [HUGE]),
    (["escalate", *TEACHER], "--keep", ["5", "0", "-1", "nan"]),
    (["escalate", *TEACHER], "--n", ["0"]),
    (["escalate", *TEACHER], "--budget", ["0", "-1", "nan"]),
    (["escalate", *TEACHER], "--concurrency", ["0"]),
    (["verify"], "--workers", ["0", "-1", "99999"]),
    (["select", "demo", "--name", "demo"], "--workers", ["0", "-1"]),
    (["score", "-"], "--workers", ["0", "-2"]),
    (["ingest", "onethinker", "x.json"], "--limit", ["0", "-1"]),
    (["snapshots", "diff", "small@1", "small@1"], "--limit", ["0", "-1"]),
    (["compact"], "--keep-hours", ["-1", "nan", "inf", "1e300"]),
    (["publish", "small@1", "me/small"], "--embed-mb", ["-1", "nan", "inf"]),
    (["demo"], "--per-family", ["0", "-1", HUGE]),
    (["demo"], "--seed", ["-1", HUGE]),
    (["reproduce"], "--seeds", ["0"]),
    (["reproduce"], "--sft-steps", ["0"]),
    (["reproduce"], "--rl-steps", ["-1"]),
    (["reproduce"], "--per-family", ["0"]),
    (["reproduce"], "--processes", ["0"]),
    (["teacher"], "--port", ["-1", "65536"]),
    (["teacher"], "--error-rate", ["-0.1", "1.1", "nan"]),
    (["teacher"], "--latency-ms", ["-1", "inf"]),
    (["teacher"], "--seed", ["-1"]),
]
NUMBER_CASES = [
    pytest.param(command, flag, value, id=f"{command[0]} {flag} {value[:8]}")
    for command, flag, values in NUMBERS
    for value in values
]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(("command", "flag", "value"), NUMBER_CASES)
def test_a_number_out_of_range_is_wrong_usage(command: list[str], flag: str, value: str, run: Run) -> None:
    ended = run(*command, f"{flag}={value}")
    assert ended.code == 2, ended.err
    assert flag in ended.words
    assert "ust be" in ended.words or "a finite number" in ended.words, "it says what is allowed"
    assert not ended.out


def test_the_ends_of_a_range_are_named_and_none_is_no_number() -> None:
    assert Range(0, 2).problem(-3) == "must be at least 0 and at most 2, not -3"
    assert Range(1).problem(0) == "must be at least 1, not 0"
    assert Range(0, above=True).problem(0) == "must be above 0, not 0"
    assert [Range(0, 1).problem(value) for value in (None, 0, 0.5, 1)] == [None] * 4


RECIPES = [
    ("profile: nope\nsteps: []", "unknown profile 'nope'", "an unknown profile"),
    ("profile: 5\nsteps: []", "profile", "a profile that is a number"),
    ("steps: [{accuracy: {min: 5}}]", "'min' must be at least 0 and at most 1", "an accuracy over 1"),
    ("steps: [{accuracy: {min: .nan}}]", "finite", "NaN as a threshold"),
    ("steps: [{accuracy: {min: 0.5, by_task: {tracking: -1}}}]", "'tracking' must be", "a threshold below 0"),
    ("steps: [{reward: {min: 1.6}}]", "at most 1.5", "more than the highest reward"),
    ("steps: [{best_of: {n: 0}}]", "n", "none of each sample"),
    ("steps: [{best_of: {n: 99999999999999999999}}]", "n", "more than a 64-bit integer"),
    ("steps: [{cap: {by: task, rows: -1}}]", "rows", "a negative cap"),
    ("steps: [{cap: {by: task, rows: 5, rows_for: {tracking: -1}}}]", "rows_for", "a negative cap for one value"),
    ("steps: [{balance: {by: task, rows: 0}}]", "rows", "a balance of nothing"),
    ("steps: [{balance: {by: task, rows: 9, shares: {a: -1}}}]", "shares", "a negative share"),
    ("steps: [{pass_rate: {min: 0.9, max: 0.1}}]", "min 0.9 is above max 0.1", "a band upside down"),
    ("steps: [{length: {min: 9, max: 1}}]", "min 9 is above max 1", "lengths upside down"),
    ("steps: [{repetition: {times: 1}}]", "times", "repeated once"),
    ("steps: [{repetition: {length: 99999999}}]", "length", "an endless stretch"),
    ("steps: [{language: {share: 1}}]", "share", "any script"),
    ("steps: [{near_duplicate_media: {distance: 65}}]", "distance", "more bits than a hash has"),
    ("steps: [{near_duplicate_problems: {threshold: 0}}]", "threshold", "all texts alike"),
    ("seed: many\nsteps: []", "seed", "a seed that is a word"),
]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(("text", "word"), [pytest.param(t, w, id=i) for t, w, i in RECIPES])
def test_a_recipe_is_checked_before_any_step(text: str, word: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    ended = run("select", path, "--name", "fine")
    assert ended.code == 2, ended.err
    assert "recipe.yaml" in ended.words
    assert word in ended.words


NAMES = ["a b/c", "../up", "", "a@1", ".hidden", "a/b", "x" * 97, "naïve", "a\nb", "-x y"]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_a_snapshot_s_name_is_checked_before_any_step(
    name: str, run: Run, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    monkeypatch.setattr(sys.modules["filters.select"], "Candidates", None)  # the steps cannot run
    ended = run("select", "demo", f"--name={name}")
    assert ended.code == 2, ended.err
    assert "cannot name a snapshot" in ended.words
    with Corpus.open(root) as corpus, pytest.raises(UsageError, match="cannot name a snapshot"):
        select(corpus, "demo", name)


UNKNOWN_NAMES = [
    (["verify", "--profile", "papr"], "did you mean 'paper'"),
    (["report", "--profile", "nope"], "unknown profile 'nope'"),
    (["score", __file__, "--profile", "nope"], "unknown profile 'nope'"),
    (["verify", "--open-ended", "nope"], "unknown scorer 'nope'"),
    (["annotate", "--teacher", "opnai:gpt-5"], "did you mean 'openai'"),
    (["annotate", "--teacher", "openai"], "names no model"),
    (["annotate", *TEACHER, "--mode", "blnd"], "did you mean 'blind'"),
    (["escalate", *TEACHER, "--teacher", "nope:x"], "unknown provider 'nope'"),
    (["snapshots", "show", "small@x"], "a number follows the @"),
]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(("command", "words"), UNKNOWN_NAMES, ids=lambda value: " ".join(value)[-40:])
def test_an_unknown_name_is_wrong_usage_with_near_ones(command: list[str], words: str, run: Run) -> None:
    ended = run(*command)
    assert ended.code == 2, ended.err
    assert words in ended.words


@pytest.mark.usefixtures("unchanged")
def test_every_stage_s_price_is_known_before_the_first_is_paid(run: Run) -> None:
    ended = run("escalate", *TEACHER, "--teacher", "openai:unheard-of", "--budget", "1")
    assert ended.code == 1
    assert "no price is known for openai:unheard-of" in ended.words


PATHS: list[tuple[list[str], str, str]] = [
    # command, what the path is, the words of the outcome
    (["report", "--out"], "folder", "is a folder; name a file"),
    (["report", "--out"], "below a file", "is not a folder"),
    (["snapshots", "diff", "small@1", "small@1", "--html"], "folder", "is a folder; name a file"),
    (["snapshots", "diff", "small@1", "small@1", "--html"], "below a file", "is not a folder"),
    (["train", "compare", "a", "b", "--plots"], "folder", "is a folder; name a file"),
    (["demo", "--out"], "file", "is a file; name a folder"),
    (["demo", "--out"], "below a file", "is not a folder"),
    (["reproduce", "--out"], "file", "is a file; name a folder"),
    (["snapshots", "export", "small@1", "--out"], "file", "is a file; name a folder"),
    (["snapshots", "export", "small@1", "--out"], "below a file", "is not a folder"),
    (["publish", "small@1", "me/small", "--dry-run"], "file", "is a file; name a folder"),
    (["publish", "small@1", "me/small", "--dry-run"], "below a file", "is not a folder"),
    (["stats", "--corpus"], "file", "is not a folder, so no corpus can be there"),
    (["stats", "--corpus"], "below a file", "is not a folder, so no corpus can be there"),
    (["sql", "select 1", "--corpus"], "file", "is not a folder, so no corpus can be there"),
    (["verify", "--corpus"], "file", "is not a folder, so no corpus can be there"),
    (["compact", "--corpus"], "file", "is not a folder, so no corpus can be there"),
    (["init", "--corpus"], "file", "is not an empty folder"),
    (["init", "--corpus"], "below a file", "no corpus can be made at"),
    (["init", "--corpus"], "folder", "is not an empty folder"),
    (["stats", "--corpus"], "folder", "no corpus at"),
    (["select", "--name", "x"], "folder", "cannot be read: Is a directory"),
    (["annotate", *TEACHER, "--prompt"], "folder", "there is no file"),
    (["annotate", *TEACHER, "--prices"], "folder", "there is no file"),
    (["escalate", *TEACHER, "--prices"], "folder", "there is no file"),
    (["score"], "folder", "no file"),
]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("command", "kind", "words"), [pytest.param(*case, id=f"{' '.join(case[0])[-30:]} {case[1]}") for case in PATHS]
)
def test_a_path_that_cannot_be_is_named_and_nothing_is_written(
    command: list[str], kind: str, words: str, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "taken"
    path = {"file": file, "below a file": file / "sub" / "x", "folder": tmp_path / "full"}[kind]
    file.write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note").write_text("mine")
    before = tree(tmp_path)
    ended = run(*command, path)
    assert ended.code in (1, 2), ended.err
    assert words in ended.words
    assert path.name in "".join(ended.words.split())
    assert "Errno" not in ended.err
    assert not ended.out
    assert tree(tmp_path) == before


def test_a_page_that_cannot_be_written_whole_leaves_the_old_one(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "report.html"
    page.write_text("old")

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(Path, "replace", full)
    ended = run("report", "--out", page)
    assert (ended.code, ended.err) == (1, f"onethinker: {page}: No space left on device\n")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("report.html", "old")]


CONFIGS: list[tuple[type, str, str]] = [
    *((kind, f"learning_rate: {value}", "learning_rate must be") for kind in (SftConfig, RlConfig) for value in (0, 2)),
    *((kind, "learning_rate: .nan", "learning_rate must be") for kind in (SftConfig, RlConfig)),
    *((kind, "epochs: 0", "epochs must be above 0") for kind in (SftConfig, RlConfig)),
    *((kind, "max_steps: -5", "max_steps must be") for kind in (SftConfig, RlConfig)),
    *((kind, "seed: -1", "seed must be") for kind in (SftConfig, RlConfig)),
    *((kind, "workers: -1", "workers must be") for kind in (SftConfig, RlConfig)),
    *((kind, "gpus: 0", "gpus must be") for kind in (SftConfig, RlConfig)),
    *((kind, "keep_checkpoints: 0", "keep_checkpoints must be") for kind in (SftConfig, RlConfig)),
    (SftConfig, "max_length: 0", "max_length must be"),
    (SftConfig, "weight_decay: -1", "weight_decay must be"),
    (SftConfig, "model: {lora: {rank: 0}}", "rank must be"),
    (SftConfig, "model: {lora: {dropout: 1.5}}", "dropout must be"),
    (SftConfig, "media: {video_max_frames: 1}", "video_max_frames must be"),
    (RlConfig, "temperature: 0", "temperature must be"),
    (RlConfig, "top_p: 1.5", "top_p must be"),
    (RlConfig, "clip_low: 0", "clip_low must be"),
    (RlConfig, "kl: -1", "kl must be"),
    (RlConfig, "max_prompt: 0", "max_prompt must be"),
    (RlConfig, "reward_workers: 0", "reward_workers must be"),
    (RlConfig, "online_filter: {rounds: -1}", "rounds must be"),
]


@pytest.mark.parametrize(("kind", "line", "words"), [pytest.param(*c, id=f"{c[0].__name__} {c[1]}") for c in CONFIGS])
def test_a_training_config_s_numbers_have_ranges(kind: type, line: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"snapshot: a\noutput: b\n{line}\n")
    with pytest.raises(UsageError, match=words) as error:
        load_config(path, kind)
    assert "config.yaml" in str(error.value)


@pytest.mark.parametrize("method", ["sft", "rl"])
@pytest.mark.parametrize("dry_run", [["--dry-run"], []], ids=["dry run", "training"])
def test_training_without_its_packages_names_the_extra(
    method: str, dry_run: list[str], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torch", "trl"):
        monkeypatch.setitem(sys.modules, name, None)
    ended = run("train", method, f"{method}_24gb", *dry_run)
    assert ended.code == 1
    assert "torch, trl" in ended.words
    assert "pip install 'onethinker[train]'" in ended.words


@pytest.mark.parametrize("method", ["sft", "rl"])
def test_a_snapshot_on_the_command_line_overrides_the_config_s(
    method: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Any] = []
    monkeypatch.setattr("onethinker.commands.train._train", lambda run, config, *rest: found.append(config.snapshot))
    for more in ([], ["--snapshot", "small@1"]):
        assert run("train", method, f"{method}_24gb", *more).code == 0
    assert found[1] == "small@1"
    assert found[0] != "small@1"


def test_the_folders_that_killed_commands_left_do_not_stop_the_next(run: Run, root: Path, tmp_path: Path) -> None:
    for command, name in (
        (["publish", "small@1", "me/small", "--dry-run"], "publication"),
        (["snapshots", "export", "small@1", "--out"], "export"),
    ):
        left = tmp_path / (f".{name}.making" if name == "publication" else name) / "data"
        left.mkdir(parents=True)
        (left / "half.parquet").write_bytes(b"PAR1")
        if name == "export":  # which is written in its place, beside a mark
            (tmp_path / f".{name}.making").touch()
        assert run(*command, tmp_path / name).code == 0
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
        assert not list((tmp_path / name).rglob("half.parquet"))


@pytest.mark.parametrize("command", ["publish", "export"])
def test_a_folder_that_cannot_be_finished_is_not_begun(
    command: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "somewhere")

    out = tmp_path / "out"
    if command == "publish":
        monkeypatch.setattr(sys.modules["corpus.hub.publish"], "_build", full)
        ended = run("publish", "small@1", "me/small", "--dry-run", out)
    else:
        monkeypatch.setattr("corpus.exports.llamafactory.export", full)
        ended = run("snapshots", "export", "small@1", "--out", out)
    assert (ended.code, ended.err.splitlines()[-1]) == (1, "onethinker: somewhere: No space left on device")
    assert not list(tmp_path.iterdir())


def test_lock_files_of_killed_runs_go_and_those_of_live_ones_stay(tmp_path: Path) -> None:
    with Corpus.create(tmp_path / "corpus") as corpus:
        for name in ("ingest-killed-before-its-start", "verify-too"):
            (corpus.root / "runs" / f"{name}.lock").touch()
        with run_lock(corpus.root, "annotate-live"):
            assert record_crashed(corpus) == []
            assert [path.stem for path in lock_files(corpus.root)] == ["annotate-live"]


KILLED = """
import os, sys, signal
from corpus.scratch import scratch_folder
(scratch_folder() / "spill").write_text("left")
print(scratch_folder(), flush=True)
if sys.argv[1] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("how", ["ended", "killed"])
def test_temporary_folders_end_with_their_process_or_with_the_next(how: str, tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, how], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    folder = Path(done.stdout.strip())
    assert folder.parent == tmp_path
    assert folder.exists() == (how == "killed")
    with FileLock(tmp_path / "onethinker-live.lock"):
        (tmp_path / "onethinker-live").mkdir()
        (tmp_path / "onethinker-trap.lock").symlink_to(tmp_path / "elsewhere")
        assert remove_abandoned(tmp_path) == ([folder] if how == "killed" else [])
        assert not folder.exists()
        assert (tmp_path / "onethinker-live").exists()
        assert not (tmp_path / "elsewhere").exists()


# For each command a function that it calls in the middle of its work.
INTERRUPTED: dict[str, tuple[list[str], str]] = {
    "annotate": (TEACHER, "annotators.run.replay"),
    "check": ([], "corpus.check._check_golds"),
    "compact": ([], "corpus.maintenance._measure_files"),
    "demo": (["--out", "OUT"], "onethinker.demo.run.write_world"),
    "escalate": (TEACHER, "onethinker.commands.escalate._count"),
    "ingest": (["onethinker", "FILE"], "corpus.ingest.run.read_drafts"),
    "init": (["--corpus", "OUT"], "corpus.location.add_tables"),
    "licences": ([], "onethinker.commands.licences.show"),
    "publish": (["small@1", "me/x", "--dry-run", "OUT"], "corpus.hub.publish.write_rows"),
    "pull": (["me/x@1", "--corpus", "OUT"], "corpus.hub.publication.Remote"),
    "report": (["--out", "OUT"], "onethinker.report_page.fetch_rows"),
    "reproduce": (["--out", "OUT"], "onethinker.demo.world.write_world"),
    "score": (["FILE"], "filters.jsonl.score_tables"),
    "select": (["demo", "--name", "x"], "filters.select.Candidates"),
    "snapshots delete": (["small@1", "--yes"], "corpus.snapshots.Snapshots.referrers"),
    "snapshots diff": (["small@1", "small@1"], "onethinker.commands.snapshots.show"),
    "snapshots export": (["small@1", "--out", "OUT"], "corpus.exports.llamafactory.export"),
    "snapshots list": ([], "onethinker.commands.snapshots.show"),
    "snapshots show": (["small@1"], "onethinker.commands.snapshots.show"),
    "snapshots verify": ([], "corpus.snapshots.snapshot.sha256_of"),
    "spend": ([], "onethinker.commands.spend.show"),
    "sql": (["from samples"], "onethinker.commands.sql.show"),
    "stats": ([], "onethinker.commands.stats.show"),
    "tasks": ([], "onethinker.commands.tasks.show"),
    "teachers": ([], "onethinker.commands.teachers.show"),
    "train compare": (["a", "b"], "trainers.comparison.compare_runs"),
    "train rl": (["rl_24gb"], "onethinker.commands.train._train"),
    "train sft": (["sft_24gb"], "onethinker.commands.train._train"),
    "verify": ([], "filters.verify.open_scratch_db"),
}
ENDS_BY_ITSELF = {"teacher"}  # serves until a signal, which is its way to end


def test_every_command_stands_in_the_table_of_interruptions() -> None:
    assert {" ".join(verb) for verb in verbs()} == set(INTERRUPTED) | ENDS_BY_ITSELF


@pytest.mark.parametrize(
    "stop",
    [pytest.param(signal.SIGINT, id="Ctrl-C", marks=pytest.mark.slow), pytest.param(signal.SIGTERM, id="SIGTERM")],
)
@pytest.mark.parametrize("command", INTERRUPTED)
def test_sigterm_ends_every_command_as_ctrl_c_does(
    command: str, stop: signal.Signals, run: Run, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        assert signal.getsignal(stop) is signal.default_int_handler, "the signal would kill the tests"
        signal.raise_signal(stop)
        raise AssertionError("the command went on")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started us without it
    try:
        arguments, place = INTERRUPTED[command]
        file = tmp_path / "rows.json"
        file.write_text("[]")
        words = [{"OUT": str(tmp_path / "out"), "FILE": str(file)}.get(word, word) for word in arguments]
        owner, _, name = place.rpartition(".")
        monkeypatch.setattr(resolve(owner), name, interrupt)
        ended = run(*command.split(), *words)
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.code == 130, ended.err
    assert "stopped" in ended.err
    assert "Traceback" not in ended.err
    assert not lock_files(root), "its run is over"
    with Corpus.open(root) as corpus:
        assert corpus.sql("select count(*) from runs where status in ('running', 'crashed')").fetchall() == [(0,)]
    assert not [path for path in tmp_path.rglob("*") if "making" in path.name or "unfinished" in path.name]


def resolve(path: str) -> Any:
    """The module, or the attribute of one, that a dotted path names."""
    name, found = path, None
    while found is None:
        found = sys.modules.get(name) or (importlib.import_module(name) if importlib.util.find_spec(name) else None)
        name = name if found is not None else name.rpartition(".")[0]
    for attribute in path.removeprefix(name).strip(".").split(".") if path != name else ():
        found = getattr(found, attribute)
    return found


def test_annotate_that_got_nothing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    report = AnnotationReport("annotate-1", rejected=3, left=2)
    monkeypatch.setattr("annotators.annotate_with", lambda *_, **__: report)
    Corpus.create(tmp_path / "corpus").close()
    arguments = ["annotate", *TEACHER, "--corpus", str(tmp_path / "corpus")]
    assert main(arguments) == 1
    assert "no answer of local:pixels-1 became a trace" in capsys.readouterr().err
    for fine in (replace(report, traces=1), replace(report, replayed=2), AnnotationReport(None, elsewhere=4)):
        monkeypatch.setattr("annotators.annotate_with", lambda *_, fine=fine, **__: fine)
        assert main(arguments) == 0


def test_the_progress_says_nothing_of_verdicts_before_the_first() -> None:
    assert "verified" not in format_line(ProgressSnapshot(16, done=16, verified=0, kept=0), Rates(), 2.0)
    assert "kept 9 of 16 verified" in format_line(ProgressSnapshot(16, done=16, verified=16, kept=9), Rates(), 2.0)


def test_honest_commands_work_after_all_of_it(run: Run, root: Path, tmp_path: Path) -> None:
    assert Settings(teacher="local:pixels-1", temperature=0.0, top_p=1.0, seed=-1).temperature == 0
    assert load("demo").profile == "strict"
    assert run("verify", "--workers", "1").code == 0
    assert run("report", "--out", tmp_path / "new" / "report.html").code == 0
    assert run("snapshots", "verify").code == 0
    with Corpus.open(root) as corpus:
        assert verify(corpus).traces == 0
