"""Tables that fit their terminal, and rows as lines."""

import inspect
import sys
from collections.abc import Callable
from datetime import datetime
from typing import get_args

import pyarrow as pa
import pytest
from rich.cells import cell_len

from corpus import Corpus, discovery
from onethinker.cli import main
from onethinker.options import Format
from onethinker.output import show

LONG = "a red square to the left of a blue disc, " * 6
STATS = {
    "task": ["spatio-temporal grounding", "image QA"],
    "problem_type": ["spatial-temporal grounding", "multiple choice"],
    "data_type": ["video", "image"],
    "samples": [1_234_567, 5],
    "sources": [3, 1],
    "traces": [98_765_432, 10],
    "verdicts": [98_765_432, 10],
    "mean_accuracy": [0.123456, 1.0],
    "usd": [12345.6, 0.000123],
}
HOSTILE_TEXTS = {
    "markup": "[red]not markup[/nor this]",
    "wide": "\u4e00" * 90,
    "lines": "one\ntwo\n\nthree " + "x" * 90,
    "tabs": "a\tb" * 60,
    "escape": "\x1b[2J\x1b]0;title\x07" + "y" * 90,
    "carriage": "kept\roverwritten " + "z" * 90,
    "one word": "w" * 1_000,
    "empty": "",
}


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def resize(columns: int) -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("LINES", "40")
        monkeypatch.setenv("TERM", "dumb")

    return resize


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_a_wide_table_is_cut_to_100_columns_and_its_numbers_are_whole(
    terminal: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(100)
    show(pa.table(STATS))
    lines = printed(capsys)
    assert max(map(cell_len, lines)) <= 100
    rows = [line for line in lines if line.startswith("│")]
    assert len(rows) == 2, "each row is one line"
    for number in ("1234567", "98765432", "0.123456", "12345.6", "0.000123"):
        assert any(number in line for line in rows), number
    assert "…" in rows[0]
    header = " ".join(lines[:4])
    for part in ("problem_", "type", "samples", "mean_", "accuracy"):
        assert part in header, "headers fold at underscores"


@pytest.mark.parametrize("columns", [80, 100, 140])
@pytest.mark.parametrize("text", HOSTILE_TEXTS.values(), ids=HOSTILE_TEXTS)
def test_no_text_breaks_a_table(
    terminal: Callable[[int], None], capsys: pytest.CaptureFixture[str], text: str, columns: int
) -> None:
    terminal(columns)
    show(
        pa.table({"sample_id": ["s"], "n": [123_456_789], "text": [text], "more": [LONG], "at": [datetime(2026, 1, 2)]})
    )
    out = capsys.readouterr().out
    assert not {"\x1b", "\x07", "\r", "\t"} & set(out)
    lines = out.splitlines()
    assert max(map(cell_len, lines)) <= columns
    [row] = [line for line in lines if line.startswith("│")]
    assert "123456789" in row
    assert "2026-01-02T00:00:00" in row
    if text.startswith("[red]"):
        assert "[red]" in row, "a cell is no markup"


def test_a_table_that_fits_is_not_cut(terminal: Callable[[int], None], capsys: pytest.CaptureFixture[str]) -> None:
    terminal(100)
    show(pa.table({"task": ["image QA"], "mean_accuracy": [0.5]}))
    out = capsys.readouterr().out
    assert "image QA" in out
    assert "mean_accuracy" in out
    assert "…" not in out


def test_a_terminal_too_narrow_for_any_table_gets_lines(
    terminal: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(40)
    show(pa.table(STATS))
    lines = printed(capsys)
    assert "traces        | 98765432" in lines
    assert not any("│" in line for line in lines)


def test_a_pipe_gets_every_letter(capsys: pytest.CaptureFixture[str]) -> None:
    show(pa.table({"text": ["v" * 399], "more": [LONG.strip()]}))
    out = capsys.readouterr().out
    assert "v" * 399 in out
    assert LONG.strip() in out


def test_lines_are_one_column_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {"id": ["a", "b"], "thinking": ["one\ntwo", "w" * 1_000], "reward": [None, 0.25]}
    show(
        pa.table(rows, pa.schema([("id", pa.string()), ("thinking", pa.string()), ("reward", pa.float64())])),
        "lines",
        "Two",
    )
    assert printed(capsys) == [
        "Two",
        "-[ RECORD 1 ]",
        "id       | a",
        "thinking | one",
        "         | two",
        "reward   |",
        "-[ RECORD 2 ]",
        "id       | b",
        "thinking | " + "w" * 1_000,
        "reward   | 0.25",
    ]
    show(pa.table(rows).slice(0, 0), "lines")
    assert printed(capsys) == ["(0 rows)"]


def test_lines_do_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show(pa.table({"a": ["x\x1b[2Jy"]}), "lines")
    assert printed(capsys)[1] == "a | x�[2Jy"


@pytest.mark.parametrize(
    "command",
    [
        ["sql", "from samples"],
        ["sql", "from samples where false"],
        ["stats"],
        ["spend"],
        ["licences"],
        ["snapshots", "list"],
        ["check"],
        ["tasks"],
        ["teachers"],
    ],
    ids=" ".join,
)
def test_commands_print_lines(command: list[str], url: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    where = [] if command[0] in ("tasks", "teachers") else url
    assert main([*command, "--format", "lines", *where]) == 0
    lines = printed(capsys)
    assert lines == ["(0 rows)"] or "-[ RECORD 1 ]" in lines
    assert not any(line.startswith(("│", "┃")) for line in lines)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("lines") / "corpus"
    with Corpus.create(folder) as made:
        sample = {"sample_id": "s", "task": "image QA", "problem_type": "numerical", "data_type": "image", "media": []}
        made.append("samples", [sample | {"problem": "How many?", "answer": "4", "source": "made"}])
    return ["--corpus", str(folder)]


def test_every_command_that_prints_rows_offers_lines() -> None:
    assert "lines" in get_args(get_args(Format)[0])
    printing = set()
    for name, module in discovery.modules("onethinker.commands").items():
        for function in vars(module).values():
            is_own = inspect.isfunction(function) and function.__module__ == module.__name__
            if is_own and "show" in function.__code__.co_names:
                printing.add(name)
                assert inspect.signature(function).parameters["format"].annotation == Format, name
    assert {"check", "ingest", "snapshots", "sql", "train"} <= printing
