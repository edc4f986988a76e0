"""The tables of the reference name what is there, and all of it."""

import re
from dataclasses import fields

import pytest

from annotators import Settings
from annotators.flags import RETRIED
from annotators.settings import flag
from corpus.discovery import modules, names
from corpus.exports import formats
from corpus.ingest import rules
from corpus.schema import TABLES
from corpus.tasks import tasks
from corpus.views import VIEWS
from filters.recipe import STEPS
from tests.docs.pages import ROOT, read


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table below a heading (of any level), or of the page's first table for the heading ''."""
    text = read(f"docs/reference/{page}.md")
    section = re.split(rf"^#+ {heading}\n", text, flags=re.M)[1].split("\n## ")[0] if heading else text
    table = re.search(r"^\|.*?(?=\n\n|\Z)", section, re.M | re.S)
    assert table
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[0].splitlines()[2:]]


def words(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def first(table: list[list[str]]) -> set[str]:
    return {word for row in table for word in words(row[0])}


def test_every_option_of_annotation_exists() -> None:
    known = {f"--{flag(field.name)}" for field in fields(Settings)} | {"--by"}  # of spend
    assert set(re.findall(r"--[a-z][a-z-]+", read("docs/reference/annotation.md"))) <= known | {"--mode"}


def test_every_provider_and_mode_has_its_row() -> None:
    assert first(rows("annotation", "Providers")) == set(names("annotators.providers"))
    assert first(rows("annotation", "Modes")) == set(names("annotators.modes"))


def test_the_flags_that_are_asked_again_are_those_of_the_code() -> None:
    table = rows("annotation", "What a trace keeps")
    assert {word for row in table if row[2] == "yes" for word in words(row[0])} == set(RETRIED)


def test_every_table_has_its_row_and_key() -> None:
    table = rows("corpus", "Tables")
    assert {words(row[0])[0]: tuple(words(row[2])) for row in table} == {
        name: table.key for name, table in TABLES.items()
    }


def test_every_view_has_its_row() -> None:
    assert first(rows("corpus", "Views")) == set(VIEWS)


@pytest.mark.parametrize("table", ["samples", "traces", "verdicts"])
def test_every_column_is_named(table: str) -> None:
    section = read("docs/reference/corpus.md").split(f"### Columns of `{table}`\n")[1].split("\n#")[0]
    assert set(TABLES[table].schema.names) <= set(words(section))


def test_every_task_has_its_row() -> None:
    assert {row[0] for row in rows("tasks", "")} == set(tasks())


def test_every_export_has_its_row() -> None:
    assert first(rows("versions", "Exports")) == set(formats())


def test_every_reason_of_a_reject_has_its_row() -> None:
    head = re.search(r"\n\n(.*)", rules.__doc__ or "", re.S)
    assert head
    listed = {word for line in head[1].splitlines() for word in re.split(r"\s{2,}", line)[0].split(", ")}
    assert first(rows("sources", "Reasons of rejects")) == listed - {""}


@pytest.mark.parametrize("name", sorted(modules(STEPS)))
def test_every_step_is_listed_with_its_options_and_reasons(name: str) -> None:
    _, options, reasons = {words(row[0])[0]: row for row in _steps()}[name]
    assert words(options) == list(modules(STEPS)[name].Options.model_fields)
    documented = re.search(r"Reasons?: ([\w, ]+)\.", modules(STEPS)[name].__doc__ or "")
    assert documented
    assert words(reasons) == documented[1].split(", ")


def test_no_step_is_listed_that_is_not_there() -> None:
    assert {words(row[0])[0] for row in _steps()} == set(modules(STEPS))
    assert set(re.findall(r"^::: filters\.steps\.(\w+)", read("docs/reference/recipes.md"), re.M)) == set(
        modules(STEPS)
    )


def _steps() -> list[list[str]]:
    text = read("docs/reference/recipes.md").split("| step | options | reasons |\n")[1].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[1:]]


def test_the_demos_card_is_a_whole_one() -> None:
    card = (ROOT / "docs" / "demo_card.md").read_text(encoding="utf-8")
    for section in ("Use it", "What is in it", "Sources and licences", "Who wrote the reasoning",
                    "Which traces were kept", "Rewards", "Known limits", "How it was made", "Citation"):  # fmt: skip
        assert f"\n## {section}\n" in card
    assert len(re.findall(r"^- config_name: ", card, re.MULTILINE)) == 11
