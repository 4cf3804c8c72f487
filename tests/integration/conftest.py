"""What tests of clauses share; modules with another kind of stream have a fixture `stream` of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import neo4j
import pytest

from tests.hosts import Host
from tests.integration.by_clauses import Clauses
from tests.integration.shim_server import ShimServer
from tests.integration.test_kit import Run
from tests.kafka import KafkaBroker


@pytest.fixture(scope="session")
def shim_driver(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[neo4j.Driver]:
    """Talks to the shared host through a shim."""
    shim = ShimServer(tmp_path_factory.mktemp("shim"), host.port)
    shim.start()
    with neo4j.GraphDatabase.driver(shim.uri, telemetry_disabled=True) as driver:
        yield driver
    shim.kill()


@pytest.fixture
def stream(
    shim_driver: neo4j.Driver, run: Run, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]
) -> Clauses:
    """A stream that is steered by clauses, through a shim."""
    return Clauses(shim_driver, run, kafka, tmp_path, new_stream_name())
