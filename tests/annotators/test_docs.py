"""The page on annotation names what is there, and all of it."""

import re
from dataclasses import fields
from pathlib import Path

from annotators import Settings
from annotators.flags import RETRIED
from annotators.settings import flag
from corpus.discovery import names

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "annotation.md").read_text(encoding="utf-8")


def first_cells(heading: str) -> str:
    """The first column of the table below a heading."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return "\n".join(line.split("|")[1] for line in section.splitlines() if line.startswith("| `"))


def test_every_option_on_the_page_exists() -> None:
    known = {f"--{flag(field.name)}" for field in fields(Settings)}
    others = {"--by", "--teacher", "--no-verify"}  # of spend, escalate and the command itself
    assert set(re.findall(r"--[a-z][a-z-]+", PAGE)) <= known | others


def test_every_provider_and_mode_has_its_row() -> None:
    assert set(re.findall(r"`(\w+)`", first_cells("Who can be asked"))) == set(names("annotators.providers"))
    assert set(re.findall(r"`(\w+)`", first_cells("Ways of asking"))) == set(names("annotators.modes"))


def test_the_flags_that_are_asked_again_are_those_of_the_code() -> None:
    section = PAGE.split("## What a trace keeps")[1].split("\n## ")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| `")]
    again = {word for row in rows if row[3].strip() == "yes" for word in re.findall(r"`(\w+)`", row[1])}
    assert again == set(RETRIED)
