"""What the pages start from: the folder that `onethinker demo` leaves, in small, and the local teacher."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from onethinker.demo.run import run_demo
from onethinker.demo.teacher import serve


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo of two questions a family, for pages to copy."""
    folder = tmp_path_factory.mktemp("docs") / "demo"
    run_demo(folder, per_family=2)
    return folder


@pytest.fixture(scope="session")
def teacher_url() -> Iterator[str]:
    """The address of a local teacher for the time of the tests."""
    with serve() as server:
        yield server.openai_base_url
