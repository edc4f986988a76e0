"""Hooks of the site's build: the page of the command line, and fences whose info string is for the tests."""

import re
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

CLI_PAGE = "reference/cli.md"
# ```sh no-run: needs a key   →   ```sh      (the tests read the rest, Markdown's fences do not)
_INFO = re.compile(r"^( *```\w+) (?:no-run|needs|file): .*$", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page of the command line, written from the commands themselves."""
    files.append(File.generated(config, CLI_PAGE, content=cli_page()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Cut what is for the tests off the fences."""
    return _INFO.sub(r"\1", markdown)


def cli_page() -> str:
    """Every command's help, as Markdown."""
    from onethinker.cli import build

    pages = build().generate_docs(output_format="markdown")
    _head, _contents, *verbs = re.split(r"^## ", pages, flags=re.MULTILINE)
    about = (
        "# Command line\n\nResults go to standard output, progress and errors to standard error. Exit codes: 0 done, "
        "1 the thing asked for failed, 2 wrong usage, 130 interrupted. `--corpus` is `$ONETHINKER_CORPUS`, or else "
        "`corpus-data`. This page is generated from the commands' own `--help`.\n\n"
    )
    return about + "".join("## " + verb for verb in verbs)
