"""The command line: where things go, how it ends, and that every help text ends with an example that parses."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from corpus import Corpus, discovery
from onethinker.cli import build, main


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "onethinker.cli", *arguments], capture_output=True, text=True, cwd=cwd, check=False
    )


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    with Corpus.create(tmp_path / "c") as made:
        made.append("samples", [{"sample_id": f"s{i}", "task": "tracking", "problem": "naïve?"} for i in range(3)])
    return tmp_path / "c"


def test_init_then_query_in_every_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--corpus", str(tmp_path / "new")]
    assert main(["init", *where]) == 0
    assert main(["init", *where]) == 1
    assert "already" in capsys.readouterr().err
    query = ["sql", "select 1 as a, 'x' as b union all select 2, null order by 1", *where]
    expected = {
        "json": lambda text: json.loads(text) == [{"a": 1, "b": "x"}, {"a": 2, "b": None}],
        "jsonl": lambda text: [json.loads(line)["a"] for line in text.splitlines()] == [1, 2],
        "csv": lambda text: text.splitlines() == ["a,b", "1,x", "2,"],
        "table": lambda text: "a" in text and "x" in text,
    }
    for format, holds in expected.items():
        assert main([*query, "--format", format]) == 0
        assert holds(capsys.readouterr().out), format


def test_parquet_goes_to_standard_output_whole(corpus: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    command = [
        sys.executable,
        "-m",
        "onethinker.cli",
        "sql",
        "from samples",
        "--corpus",
        str(corpus),
        "--format",
        "parquet",
    ]
    (tmp_path / "rows.parquet").write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
    assert pq.read_table(tmp_path / "rows.parquet")["problem"].to_pylist() == ["naïve?"] * 3


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["sqll"], 2, 'Did you mean "sql"'),
        (["sql"], 2, "QUERY"),
        (["sql", "select 1", "--format", "xml"], 2, "Choose from"),
        (["sql", "select 1", "--corpus", "nowhere"], 1, "onethinker init"),
        (["snapshots", "show", "demo@new"], 2, "follows the @"),
        (["sql", "select teachr from traces"], 1, "teacher"),
        (["sql", "drop table lake.samples"], 2, "only SELECT reads"),
    ],
)
def test_errors_say_what_to_do(corpus: Path, arguments: list[str], code: int, words: str) -> None:
    if "--corpus" not in arguments:
        arguments = [*arguments, "--corpus", str(corpus)]
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_the_corpus_comes_from_the_environment(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONETHINKER_CORPUS", str(corpus))
    done = run("stats", "--format", "jsonl")
    assert [json.loads(line)["samples"] for line in done.stdout.splitlines()] == [3]


def verbs() -> list[list[str]]:
    found = []
    for name in discovery.names("onethinker.commands"):
        command = name.replace("_", "-")
        below = getattr(discovery.modules("onethinker.commands")[name], name)
        subcommands = [c for c in getattr(below, "_commands", {}) if not c.startswith("-")]
        found += [[command, sub] for sub in subcommands] or [[command]]
    return found


@pytest.mark.parametrize("verb", verbs(), ids=" ".join)
def test_every_help_ends_with_an_example_that_parses(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*verb, "--help"]) == 0
    text = " ".join(re.sub("[│╭╮╰╯─]", " ", capsys.readouterr().out).split())
    app, shown = build(), re.search(r"Example:.*?onethinker (.*?)(?: Arguments | Parameters |$)", text)
    assert shown, f"no example in {text}"
    arguments = shlex.split(shown[1])
    assert arguments[: len(verb)] == verb
    app.parse_args(arguments, exit_on_error=False, print_error=False)


def test_help_is_quick_and_loads_no_heavy_library() -> None:
    code = (
        "import sys; from onethinker.cli import main; main(['--help']);"
        "print([m for m in ('torch', 'openai', 'anthropic', 'datasets', 'cv2', 'sympy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
