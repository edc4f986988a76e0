"""`import onethinker`: the public surface is complete, typed and lazy; a package that hides one of ours is named."""

import ast
import inspect
import os
import subprocess
import sys
import typing
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

import onethinker as ot
from annotators.settings import Settings
from onethinker import shadowing

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "duckdb", "pyarrow", "numpy", "transformers", "cv2")


def python(*arguments: str, first: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, in the folder `first`, which comes before the checkout on the import path."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(first), str(ROOT)])}
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=first, env=env, check=False)


def test_importing_it_loads_no_heavy_library() -> None:
    done = python("-c", f"import onethinker, sys; print([m for m in {HEAVY} if m in sys.modules])")
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("name", ot.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert callable(getattr(ot, name))
    assert inspect.getdoc(getattr(ot, name))
    assert name in dir(ot)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = ot.nothing  # type: ignore[attr-defined]


def test_what_type_checkers_see_is_what_is_imported() -> None:
    tree = ast.parse(Path(ot.__file__).read_text())
    (guarded,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname or alias.name: f"{node.module}:{alias.name}"
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == ot._SOURCES
    assert sorted({*seen, "open", "create"}) == ot.__all__


def test_open_and_create_are_the_corpus_own(tmp_path: Path) -> None:
    with ot.create(tmp_path / "corpus") as made:
        made.append("samples", [{"sample_id": "s", "task": "tracking"}])
    with ot.open(tmp_path / "corpus") as corpus:
        assert isinstance(corpus, ot.Corpus)
        assert corpus.sql("select task from samples").fetchall() == [("tracking",)]
    with pytest.raises(ot.OneThinkerError):
        ot.open(tmp_path / "nothing")


def test_annotate_takes_every_setting_with_its_type_and_default() -> None:
    signature = inspect.signature(ot.annotate)
    hints, expected = typing.get_type_hints(ot.annotate), typing.get_type_hints(Settings)
    taken = {name: p for name, p in signature.parameters.items() if name not in ("corpus", "verifier")}
    assert list(taken) == [field.name for field in fields(Settings)]
    for field in fields(Settings):
        parameter = taken[field.name]
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        default = inspect.Parameter.empty if field.default is MISSING else field.default
        assert parameter.default == default, field.name
        accepted, stored = (set(typing.get_args(hint)) or {hint} for hint in (hints[field.name], expected[field.name]))
        assert accepted >= stored, field.name


@pytest.mark.parametrize("name", shadowing.PACKAGES)
def test_a_package_that_hides_one_of_ours_is_named_in_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("raise SystemExit('the other package was imported')")
    done = python("-c", "import onethinker", first=tmp_path)
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"ImportError: Python imports the package '{name}' from {tmp_path / name}, ")
    assert f"take {tmp_path} off the import path" in line
    assert "the other package" not in done.stderr


def test_the_command_names_it_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "filters.py").write_text("")
    done = python("-m", "onethinker.cli", "tasks", first=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"onethinker: Python imports the package 'filters' from {tmp_path / 'filters.py'}, ")
    assert len(done.stderr.splitlines()) == 1


def test_a_data_folder_named_as_a_package_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    done = python("-c", "from corpus import UsageError; import onethinker; print('fine')", first=tmp_path)
    assert (done.stdout, done.stderr) == ("fine\n", "")
