"""The fixtures for hosts. Which host, the options say (`options.py`)."""

from __future__ import annotations

import uuid
from collections import ChainMap
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import neo4j
import pytest

from tests.eventually import eventually
from tests.hosts.docker import docker_host
from tests.hosts.host import QUERY_MODULES, Host, HostOptions, ServerHost
from tests.hosts.memgraph import MemgraphHost
from tests.hosts.sandbox import SandboxHost
from tests.hosts.script_server import ScriptServer
from tests.hosts.uri import UriHost
from tests.logs import LogKeeper

NOT_OURS = ("uri", "docker")
"Kinds of hosts that tests cannot have more than one of."

SHARED = {"SLUICE_TOPIC_INTERVAL": "1", "SLUICE_SECRETS_ALLOW": "PATH"}
"""
The environment of the host that tests share: that a topic goes, comes or grows is noticed within a second, not five;
there is something to refer to.
"""

PATIENT = {"SLUICE_SCRIPT_TIMEOUT": "60"}
"The environment of every host: on a busy machine a script that loads is slow, and not at fault."


def new_host(config: pytest.Config, folder: Path, options: HostOptions) -> ServerHost:
    """A host of the kind that the options name, not started."""
    settings = dict(config.getoption("--setting"))
    # A view, not a copy: a test may change its part before it starts the host again.
    options = replace(options, environment=ChainMap(cast(dict[str, str], options.environment), settings, PATIENT))
    if config.getoption("--host") == "memgraph":
        binary: Path = config.getoption("--memgraph-bin")
        return MemgraphHost(folder, binary.resolve(), config.getoption("--memgraph-pythonpath"), options)
    return SandboxHost(folder, options)


@pytest.fixture(scope="session")
def host(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory, log_keeper: LogKeeper
) -> Iterator[Host]:
    """The host that all tests share, and none kills. It must stop cleanly when the last test is over."""
    if pytestconfig.getoption("--host") == "uri":
        words = [pytestconfig.getoption(f"--memgraph-{word}") for word in ("uri", "user", "password")]
        given = UriHost(*words)
        given.start()
        yield given
        given.close()
        return
    if pytestconfig.getoption("--host") == "docker":
        with docker_host(tmp_path_factory.getbasetemp()) as contained:
            yield contained
        return
    server = new_host(pytestconfig, tmp_path_factory.mktemp("host"), HostOptions(SHARED))
    with log_keeper.watching("host", server):
        server.start()
        yield server
        try:
            server.stop()
        finally:
            server.close()


@pytest.fixture
def own_host(pytestconfig: pytest.Config, tmp_path: Path, log_keeper: LogKeeper) -> Iterator[Callable[..., ServerHost]]:
    """
    Makes hosts for this test alone, which may kill and restart them.

    `own_host(env=None, arguments=(), query_modules=None, start=True)`: see `HostOptions` for the first three.
    """
    if pytestconfig.getoption("--host") in NOT_OURS:
        pytest.skip("needs a host of its own to start and kill")
    with ExitStack() as cleaning:
        count = 0

        def make(
            env: Mapping[str, str] | None = None,
            arguments: Sequence[str] = (),
            query_modules: Path | None = None,
            start: bool = True,
        ) -> ServerHost:
            nonlocal count
            count += 1
            folder = tmp_path / f"host-{count}"
            options = HostOptions(env or {}, arguments, query_modules or QUERY_MODULES)
            server = new_host(pytestconfig, folder, options)
            cleaning.enter_context(log_keeper.watching(folder.name, server))
            cleaning.callback(server.close)
            if start:
                server.start()
            return server

        yield make


def drop_streams(host: Host, names: Collection[str] | None = None) -> None:
    """Drop the streams of these names that there are; by default all. Tries again where that conflicts with others."""

    def none_left() -> bool:
        for row in host.run("CALL streams.show() YIELD name"):
            if names is None or row["name"] in names:
                host.run("CALL streams.drop($name)", name=row["name"])
        return True

    eventually(none_left, timeout=20)


@pytest.fixture(scope="session")
def second_host(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory, log_keeper: LogKeeper
) -> Iterator[ServerHost]:
    """What `empty_host` empties."""
    if pytestconfig.getoption("--host") in NOT_OURS:
        pytest.skip("needs a host whose graph may be deleted")
    server = new_host(pytestconfig, tmp_path_factory.mktemp("second"), HostOptions({"SLUICE_BROKER_TIMEOUT": "30"}))
    with log_keeper.watching("second", server):
        server.start()
        yield server
        server.close()


@pytest.fixture
def empty_host(second_host: ServerHost) -> ServerHost:
    """A host whose graph is empty, and which no other test uses meanwhile; none kills it, or stops it. Already up."""
    drop_streams(second_host)
    # May conflict with the supervisor, which deletes the nodes of streams that were dropped.
    eventually(lambda: second_host.run("MATCH (n) DETACH DELETE n") == [], timeout=20)
    return second_host


@pytest.fixture(scope="session")
def driver(host: Host) -> neo4j.Driver:
    """The neo4j driver on the shared host."""
    return host.driver()


@pytest.fixture
def run(host: Host) -> Callable[..., list[dict[str, Any]]]:
    """`run(query, **parameters)`: one query on the shared host in a transaction of its own, as dictionaries."""
    return host.run


@pytest.fixture
def script_server() -> Iterator[ScriptServer]:
    """A web server for transform scripts, on."""
    server = ScriptServer()
    server.turn_on()
    yield server
    server.turn_off()


@pytest.fixture
def new_stream_name(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """Gives stream names that nobody has; the shared host loses the streams of these names after the test."""
    names: list[str] = []

    def new() -> str:
        names.append(f"stream_{uuid.uuid4().hex[:12]}")
        return names[-1]

    # The host must outlive this fixture, if the test has it at all.
    shared: Host | None = request.getfixturevalue("host") if "host" in request.fixturenames else None
    yield new
    if names and shared is not None:
        drop_streams(shared, names)


@pytest.fixture
def stream_name(new_stream_name: Callable[[], str]) -> str:
    """One of `new_stream_name`."""
    return new_stream_name()


@pytest.fixture
def label() -> str:
    """A vertex label that no other test uses."""
    return f"L{uuid.uuid4().hex[:12]}"
