"""Every page runs as written, and every command, path and name on it exists."""

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from cyclopts import App, CycloptsError

from onethinker.cli import build
from tests.docs.pages import PAGES, ROOT, Block, blocks, commands, onethinker, prose, read

FROM_NOTHING = {"docs/tutorial.md"}
PACKAGES = ("corpus", "annotators", "filters", "trainers", "evaluators", "onethinker", "benchmarks")
FOREIGN = {  # options of other programs that pages name
    "--external_plugin", "--advantage_estimator", "--scale_rewards", "--kl_in_reward", "--beta",
    "--resume_from_checkpoint", "--resume_only_model", "--memory-steps", "--n",
}  # fmt: skip
WITH_COMMANDS = [page for page in PAGES if any(block.language == "sh" for block in blocks(page))]


def _runnable(page: str) -> list[Block]:
    return [block for block in blocks(page) if block.runs]


def _in_demo(page: str) -> bool:
    """Whether a page runs in the folder that the demo leaves."""
    return page not in FROM_NOTHING and any("demo/" in block.text for block in _runnable(page))


def _pages_that_run() -> list[object]:
    """The pages with something to run; slow where each command is a process, or a corpus is opened."""
    slow = [pytest.mark.slow, pytest.mark.timeout(900)]
    return [
        pytest.param(
            page,
            marks=slow if _in_demo(page) or any(block.language == "sh" for block in _runnable(page)) else (),
            id=page,
        )
        for page in PAGES
        if _runnable(page)
    ]


@pytest.mark.parametrize("page", _pages_that_run())
def test_the_page_runs_as_written(page: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    found = blocks(page)
    folder = tmp_path / "here"
    folder.mkdir()
    env = {name: value for name, value in os.environ.items() if not name.startswith("ONETHINKER_")}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    env["PYTHONPATH"] = str(ROOT)
    if _in_demo(page):
        shutil.copytree(request.getfixturevalue("demo"), folder / "demo", symlinks=True)
        env["ONETHINKER_TEACHER_URL"] = request.getfixturevalue("teacher").openai_base_url
    for service in sorted({block.needs for block in found if block.needs}):
        env |= request.getfixturevalue(f"stand_in_for_{service}")
    for block in found:
        if block.file and "/" not in block.file:
            (folder / block.file).write_text(block.text)
    script, printed = _script(found, tmp_path)
    ran = subprocess.run(
        ["bash", "-e", str(script)], cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    for block, file in printed:
        assert Path(f"{file}.out").read_text() == block.prints, f"{page}:{block.line}"


def _script(found: list[Block], place: Path) -> tuple[Path, list[tuple[Block, Path]]]:
    """The page as one script, its Python blocks that follow one another as one program; and what has to be printed."""
    lines, printed, program = ["trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"], [], []
    for number, block in enumerate(found):
        if not block.runs:
            continue
        if block.language == "python":
            file = place / f"block-{number}.py"
            file.write_text(block.text)
            program.append(str(file))
            if block.prints is not None:
                printed.append((block, file))
            continue
        lines += _program(program)
        program = []
        lines.append(block.text)
    script = place / "page.sh"
    script.write_text("\n".join([*lines, *_program(program)]))
    return script, printed


def _program(files: list[str]) -> list[str]:
    return [" ".join(["python", str(ROOT / "tests" / "docs" / "run_python.py"), *files])] if files else []


@cache
def _app() -> App:
    return build()


def _options(app: App) -> set[str]:
    return {name for argument in app.assemble_argument_collection() for name in argument.names}


@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_every_command_in_a_block_parses(page: str) -> None:
    for block in blocks(page):
        for words in commands(block.text) if block.language == "sh" else ():
            arguments = onethinker(words)
            if arguments is None:
                continue
            assert "…" not in arguments, f"{page}:{block.line}: a command has to be whole: {words}"
            try:
                _app().parse_args(arguments, exit_on_error=False, print_error=False)
            except CycloptsError as error:
                pytest.fail(f"{page}:{block.line}: {' '.join(words)}: {error}")


@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_option_in_the_text_exists(page: str) -> None:
    every = {option for app in _leaves(_app()) for option in _options(app)} | FOREIGN
    for code in re.findall(r"`([^`\n]+)`", prose(page)):
        if not code.startswith("onethinker "):
            if code.startswith("--"):
                option = code.split()[0].split("=")[0]
                assert option in every, f"{page}: no command has the option {code}"
            continue
        words = next(iter(commands(code)))[1:]
        chain, apps, rest = _app().parse_commands(words)
        assert chain or words[0].startswith("--"), f"{page}: no such command: {code}"
        for word in rest:
            if word.startswith("--"):
                assert word in _options(apps[-1]) | {"--help", "--version"}, f"{page}: {code}: no option {word}"


def _leaves(app: App) -> list[App]:
    below = [app[name] for name in app if not name.startswith("-")]
    return [leaf for child in below for leaf in _leaves(child)] or [app]


@pytest.mark.parametrize("page", PAGES)
def test_python_that_is_not_run_compiles(page: str) -> None:
    for block in blocks(page):
        if block.language == "python":
            compile(block.text, f"{page}:{block.line}", "exec")


@pytest.mark.parametrize("page", PAGES)
def test_every_path_exists(page: str) -> None:
    known = "|".join((*PACKAGES, "tests", "docs", "examples"))
    shown = {block.file for block in blocks(page)}
    for path in re.findall(rf"(?<![\w./-])(?:{known})/[\w./-]*\w", read(page)):
        if path not in shown and not re.search(r"[A-Z]{3,}", path):  # NAME stands for a name of the reader's
            assert (ROOT / path).exists(), f"{page}: {path} does not exist"


@pytest.mark.parametrize("page", [page for page in PAGES if not page.startswith("docs/")])
def test_links_of_pages_outside_the_site_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)", read(page)):
        if "://" not in link:
            assert (ROOT / page).parent.joinpath(link).exists(), f"{page}: {link}"


@pytest.mark.parametrize("page", PAGES)
def test_every_name_of_ours_can_be_imported(page: str) -> None:
    text = read(page)
    names = set(re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE))
    names |= set(re.findall(r"python -m ((?:onethinker|benchmarks)\.[\w.]+)", text))
    names |= set(re.findall(rf"`((?:{'|'.join(PACKAGES)})\.\w+(?:\.\w+)+)\b", prose(page)))
    for name in sorted(names):
        assert _found(name), f"{page}: {name} cannot be imported"


def _found(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[length:]:
            if not hasattr(value, attribute):
                return False
            value = getattr(value, attribute)
        return True
    return False


@cache
def _words_of_the_code() -> frozenset[str]:
    files = [
        path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.suffix in (".py", ".yaml", ".toml")
    ]
    words = {word for path in files for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))}
    return frozenset(words | {path.stem for path in [*files, *ROOT.iterdir()]})


@pytest.mark.parametrize("page", PAGES)
def test_every_identifier_stands_in_the_code(page: str) -> None:
    """A class, function or column that was renamed is renamed on the pages too."""
    for code in re.findall(r"`([^`\n]+)`", re.sub(r"``.*?``", "", prose(page))):
        name = re.fullmatch(r"(\w+(?:\.\w+)*)(?:\(.*\))?", code)
        if name:
            unknown = set(re.findall(r"[a-zA-Z_]\w{2,}", name[1])) - _words_of_the_code()
            assert not unknown, f"{page}: `{code}`: {unknown} stands nowhere in the code"


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_exists(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:^|`)make ([a-z-]+)\b", read(page), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page}: make {target}"


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md"])
def test_blocks_have_known_info_strings(page: str) -> None:
    for block in blocks(page):
        assert block.language in ("", "sh", "python", "text", "yaml", "toml", "json", "bibtex"), f"{page}:{block.line}"
