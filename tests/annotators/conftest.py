from collections.abc import Iterator

import pytest

from tests.annotators.serving import Provider

KEY = "sk-test-0123456789abcdef"


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """A provider on loopback that both SDKs are pointed at."""
    with Provider() as serving:
        point_at(serving, monkeypatch)
        yield serving


def point_at(serving: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", serving.openai_url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", serving.anthropic_url)
