"""The site: its page of the command line is written from the commands, and its fences are plain Markdown."""

import importlib.util
import re
from types import ModuleType

import pytest
import yaml

from onethinker.cli import build
from tests.docs.pages import PAGES, ROOT, read

pytest.importorskip("mkdocs", reason="the site is built where the extra `docs` is installed")


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_has_its_section(hooks: ModuleType) -> None:
    page, app = hooks.cli_page(), build()
    verbs = [name for name in app if not name.startswith("-")]
    assert verbs
    for verb in verbs:
        assert f"\n## onethinker {verb}\n" in page
        for below in app[verb]:
            if not below.startswith("-"):
                assert f"\n### onethinker {verb} {below}\n" in page


def test_fences_lose_what_is_for_the_tests(hooks: ModuleType) -> None:
    marked = "```sh needs: key\nonethinker spend\n```\n```yaml file: mine.yaml\nsteps: []\n```\n"
    plain = "```sh\nonethinker spend\n```\n```yaml\nsteps: []\n```\n"
    assert hooks.on_page_markdown(marked) == plain


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("docs/")])
def test_every_page_is_in_the_navigation(page: str) -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert page.removeprefix("docs/") in str(config["nav"])


def test_nothing_is_loaded_from_outside() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert config["theme"]["font"] is False
    assert not [page for page in PAGES if re.search(r"!\[[^\]]*\]\(https?:", read(page))]
