"""The additions that docs/how-to/extend.md shows are whole: each file works as it stands on the page."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from annotators import Settings, providers
from corpus import Corpus, OneThinkerError, discovery, exports, sources
from corpus.exports import export
from corpus.ingest import ingest
from corpus.task import Task
from filters import select, steps
from tests.corpus.making import frozen, small_corpus
from tests.docs.pages import blocks

ADDITIONS = {Path(block.file).stem: block for block in blocks("docs/how-to/extend.md") if block.file}


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Puts the page's file NAME into a package, as if it lay in its folder."""

    def put(name: str, package: ModuleType) -> None:
        block = ADDITIONS[name]
        assert Path(str(block.file)).parent.as_posix() == package.__name__.replace(".", "/")
        folder = tmp_path / package.__name__
        folder.mkdir()
        (folder / f"{name}.py").write_text(block.text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
        monkeypatch.delitem(sys.modules, f"{package.__name__}.{name}", raising=False)
        discovery.modules.cache_clear()

    yield put
    discovery.modules.cache_clear()


def test_the_task() -> None:
    space: dict[str, object] = {"__name__": "counting"}
    exec(ADDITIONS["counting"].text, space)
    task = space["Counting"]()  # type: ignore[operator]
    assert isinstance(task, Task)
    for example in task.examples:
        assert task.reward(example.answer, example.truth) == example.reward
        assert task.reward(example.truth, example.truth) == 1
    assert "Answer with the number of them as JSON." in task.prompt({"problem": "How many?", "data_type": "image"})


def test_the_source(add, tmp_path: Path) -> None:
    add("tab_lines", sources)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "x.tsv").write_text("a.png\tWhat is it?\tA black square\nbroken line\n")
    with Corpus.create(tmp_path / "corpus") as corpus:
        counts = ingest(corpus, "tab_lines", [tmp_path / "x.tsv"])
        assert (counts["samples"], counts["rejects: malformed"]) == (1, 1)
        query = "select problem, answer, licence, truth_origin, origin.file from samples"
        assert corpus.sql(query).fetchall() == [("<image>What is it?", "A black square", "CC BY 4.0", "human", "x.tsv")]
        assert corpus.sql("select raw, detail from rejects").fetchall() == [("broken line\n", "1 fields instead of 3")]


def test_the_provider(add, monkeypatch: pytest.MonkeyPatch) -> None:
    add("example", providers)
    monkeypatch.setenv("EXAMPLE_API_KEY", "k")
    settings = Settings(teacher="example:m")
    teacher = discovery.modules("annotators.providers")["example"].connect("m", settings)
    assert teacher.address == "https://api.example.com/v1"


def test_the_step(add, tmp_path: Path) -> None:
    add("no_questions", steps)
    (tmp_path / "recipe.yaml").write_text("steps: [no_questions: {most: 0}]\n")
    with small_corpus(tmp_path) as corpus:
        assert select(corpus, tmp_path / "recipe.yaml", "few").dropped["no_questions"] == {}
        (tmp_path / "recipe.yaml").write_text("steps: [no_questions: {most: -1}]\n")
        with pytest.raises(OneThinkerError, match="asks 6"):
            select(corpus, tmp_path / "recipe.yaml", "none")


def test_the_export(add, tmp_path: Path) -> None:
    add("questions", exports)
    with small_corpus(tmp_path) as corpus:
        snapshot = frozen(corpus)
        assert export(snapshot, "questions", tmp_path / "out") == {"questions.txt": 6}
    lines = (tmp_path / "out" / "questions.txt").read_text().splitlines()
    assert len(lines) == 6
    assert lines[0].endswith("?")


def test_every_addition_is_tested() -> None:
    assert set(ADDITIONS) == {"counting", "tab_lines", "example", "no_questions", "questions"}
