"""Fixtures that every room's tests share."""

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("ONETHINKER_SHARED", Path(__file__).resolve().parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with reference vectors and real data beside the checkout; tests that want it skip without it."""
    if not (SHARED / "golden").is_dir():
        pytest.skip(f"no reference data at {SHARED} (set ONETHINKER_SHARED); it is not part of the project")
    return SHARED


@pytest.fixture(autouse=True)
def _no_real_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may reach a real provider by the developer's own key."""
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "HF_TOKEN", "ONETHINKER_CORPUS"):
        monkeypatch.delenv(name, raising=False)
