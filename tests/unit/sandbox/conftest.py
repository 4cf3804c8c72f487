"""One sandbox for all tests that leave it as it is, and the means to have others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import neo4j
import pytest

from sandbox.host import SandboxHost

MODULES = Path(__file__).parent / "modules"

Rows = list[dict[str, Any]]
Run = Callable[..., Rows]


def open_driver(host: SandboxHost) -> neo4j.Driver:
    return neo4j.GraphDatabase.driver(host.uri, notifications_min_severity="OFF", max_transaction_retry_time=10)


def run_with(driver: neo4j.Driver, query: str, **parameters: Any) -> Rows:
    with driver.session() as session:
        return [dict(record) for record in session.run(query, parameters)]


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHost]:
    host = SandboxHost(tmp_path_factory.mktemp("sandbox"), MODULES)
    host.start()
    yield host
    host.stop()


@pytest.fixture(scope="session")
def driver(host: SandboxHost) -> Iterator[neo4j.Driver]:
    with open_driver(host) as driver:
        yield driver


@pytest.fixture
def run(driver: neo4j.Driver) -> Run:
    """Runs one query in a transaction of its own."""
    return lambda query, **parameters: run_with(driver, query, **parameters)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., SandboxHost]]:
    """Starts a sandbox for one test."""
    with ExitStack() as stack:

        def start(**settings: Any) -> SandboxHost:
            host = SandboxHost(tmp_path / "data", settings.pop("modules", MODULES), **settings)
            stack.callback(host.kill)
            host.start()
            return host

        yield start
