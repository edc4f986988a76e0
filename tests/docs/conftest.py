"""What the pages start from: the folder that `onethinker demo` leaves, in small, the local teacher, and stand-ins."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from onethinker.demo.run import run_demo
from onethinker.demo.teacher import serve, served_models
from onethinker.demo.teacher.server import TeacherServer
from tests.hub_double import TOKEN, HubDouble

PAID_MODELS = ("gpt-5-mini", "claude-sonnet-4-5")  # that pages ask


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo of two questions a family, for pages to copy."""
    folder = tmp_path_factory.mktemp("docs") / "demo"
    run_demo(folder, per_family=2)
    return folder


@pytest.fixture(scope="session")
def teacher() -> Iterator[TeacherServer]:
    """A local teacher for the time of the tests, which answers under the names of paid models too."""
    with pytest.MonkeyPatch.context() as patch, serve() as server:
        for name in PAID_MODELS:
            patch.setitem(served_models.MODELS, name, served_models.ServedModel(name, name, 1))
        yield server


@pytest.fixture(scope="session")
def stand_in_for_key(teacher: TeacherServer) -> dict[str, str]:
    """Variables with which the SDKs of OpenAI and Anthropic ask the local teacher."""
    urls = {"OPENAI_BASE_URL": teacher.openai_base_url, "ANTHROPIC_BASE_URL": teacher.anthropic_base_url}
    return urls | {"OPENAI_API_KEY": "any", "ANTHROPIC_API_KEY": "any"}


@pytest.fixture
def stand_in_for_hub() -> Iterator[dict[str, str]]:
    """Variables with which huggingface_hub asks a Hub on loopback."""
    with HubDouble() as hub:
        yield {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}
