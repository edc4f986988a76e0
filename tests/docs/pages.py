"""The pages of the project, and the blocks and commands on them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {"docs/demo_card.md"}  # written by `onethinker publish`
PAGES = [
    name
    for name in (
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")),
    )
    if name not in GENERATED
]
_FENCE = re.compile(r"^(?P<fence>`{3,})(?P<language>\w*)(?P<info>[^\n]*)\n(?P<text>.*?)^(?P=fence)$", re.M | re.S)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, text, and what its info string says.

    `no_run` is the reason why the tests do not run it, `needs` the service (`key`, `hub`) that the tests serve on
    loopback, `file` the path that it is to be written to before the page runs, `prints` the text of the ```text block
    right behind it, which is what it has to print.
    """

    line: int
    language: str
    text: str
    no_run: str | None = None
    needs: str | None = None
    file: str | None = None
    prints: str | None = None

    @property
    def runs(self) -> bool:
        """Whether the page's test runs it."""
        return self.language in ("sh", "python") and not self.no_run and not self.file


def read(page: str) -> str:
    """The page's Markdown."""
    return (ROOT / page).read_text(encoding="utf-8")


def prose(page: str) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", read(page))


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page in order. Raises ValueError for an info string that it does not know."""
    text, found = read(page), []
    matches = list(_FENCE.finditer(text))
    for index, match in enumerate(matches):
        info = match["info"].strip()
        key, _, value = info.partition(": ")
        if info and (key not in ("no-run", "needs", "file") or not value):
            raise ValueError(
                f"{page}: the info string '{info}' is none of 'no-run: REASON', 'needs: SERVICE', 'file: PATH'"
            )
        behind = matches[index + 1] if index + 1 < len(matches) else None
        printed = behind and behind["language"] == "text" and not text[match.end() : behind.start()].strip()
        found.append(
            Block(
                line=text.count("\n", 0, match.start()) + 1,
                language=match["language"],
                text=match["text"],
                no_run=value if key == "no-run" else None,
                needs=value if key == "needs" else None,
                file=value if key == "file" else None,
                prints=behind["text"] if behind and printed and match["language"] == "python" else None,
            )
        )
    return found


def commands(script: str) -> Iterator[list[str]]:
    """The words of each simple command of a shell script, without assignments, redirections and comments."""
    for text in _split(script):
        words = shlex.split(text)
        while words and _ASSIGNMENT.match(words[0]):
            words.pop(0)
        for place, word in enumerate(words):
            if re.match(r"\d*[<>]", word):
                words = words[:place]
                break
        if words:
            yield words


def _split(script: str) -> Iterator[str]:
    """The script cut at newlines, `;`, `|`, `&` and comments that stand outside of quotes."""
    script = script.replace("\\\n", " ")
    text, quote, comment = "", "", False
    for before, sign in zip(" " + script, script + "\n", strict=True):
        if comment:
            comment = sign != "\n"
        if comment:
            continue
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign == "#" and before.isspace():
            comment = True
            continue
        elif sign in "\n;|&":
            yield text
            text = ""
            continue
        text += sign
    yield text


def onethinker(words: list[str]) -> list[str] | None:
    """The arguments that a command gives to `onethinker`, by its name or as `-m onethinker.cli`; None for others."""
    if words[0] == "onethinker":
        return words[1:]
    if "onethinker.cli" in words:
        return words[words.index("onethinker.cli") + 1 :]
    return None
