"""Options, markers and fixtures of all tests."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.hosts import options
from tests.leaks import Running
from tests.logs import LogKeeper

pytest_plugins = ["tests.kafka.fixtures", "tests.hosts.fixtures"]

HERE = Path(__file__).resolve().parent
MARKERS = (
    "memgraph_only(reason): needs a real Memgraph; skipped on the sandbox",
    "sandbox_only(reason): is about the sandbox itself; skipped on a real Memgraph",
    "faults: breaks the broker, the host or what lies between on purpose",
    "soak: takes minutes, or a host that nothing else keeps busy; `make soak`",
    "bench: measures time",
)
# A busy machine is no fault of what is tested; pytest-timeout ends what hangs.
hypothesis.settings.register_profile("sluice", deadline=None)
hypothesis.settings.load_profile("sluice")
LOGS = pytest.StashKey[LogKeeper]()


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    options.check_options(config)
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    config.stash[LOGS] = LogKeeper()


def pytest_runtest_setup(item: pytest.Item) -> None:
    options.skip_for_host(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the servers' logs of a test that fails, while they are still there."""
    report = yield
    if report.failed:
        folder = item.config.stash[LOGS].keep(item.nodeid.removeprefix("tests/"))
        if folder is not None:
            report.sections.append(("logs of broker and host", str(folder)))
    return report


@pytest.fixture(scope="session")
def log_keeper(pytestconfig: pytest.Config) -> LogKeeper:
    """Whoever starts a server tells it, so that a failing test's logs are kept."""
    return pytestconfig.stash[LOGS]


@pytest.fixture(autouse=True)
def _nothing_left_running(request: pytest.FixtureRequest) -> Iterator[None]:
    """A unit test that leaves a thread or a child process behind fails."""
    if HERE / "unit" not in request.path.parents:
        yield
        return
    before = Running()
    yield
    left = before.started_since()
    if left:
        pytest.fail(f"still running after the test: {', '.join(left)}")
