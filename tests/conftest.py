"""What all tests share: how property tests draw their examples, which tests share a worker, the reference data."""

import os
import signal
from pathlib import Path

import hypothesis
import pytest

# `fast` draws the same examples everywhere; `search` draws new ones each time and keeps what failed.
hypothesis.settings.register_profile("fast", derandomize=True, database=None, deadline=None, max_examples=50)
hypothesis.settings.register_profile(
    "search",
    deadline=None,
    max_examples=int(os.environ.get("ONETHINKER_EXAMPLES", "200")),
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile(os.environ.get("ONETHINKER_HYPOTHESIS", "fast"))

# A shell ignores SIGINT for what it starts in the background, and children inherit that: no test of Ctrl-C would end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run a file's tests in one worker, so that what its fixtures build is built once; `xdist_group` joins files."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
