"""The options that say which host the integration tests run against."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

KINDS = ("sandbox", "memgraph", "uri", "docker")


def setting(text: str) -> tuple[str, str]:
    """
    `SLUICE_X=value` as a pair: a variable of the hosts that tests start, whatever the environment of the tests has.

    Raises:
        ValueError: it is not one.
    """
    name, separator, value = text.partition("=")
    if not separator or not name.startswith("SLUICE_"):
        raise ValueError(f"expected SLUICE_NAME=value, got {text}")
    return name, value


def add_options(parser: pytest.Parser) -> None:
    """The options that say which host the integration tests run against."""
    group = parser.getgroup("sluice", "the host of the integration tests")
    group.addoption("--host", default="sandbox", choices=KINDS, help="which host (default: sandbox)")
    group.addoption("--memgraph-bin", type=Path, metavar="PATH", help="with --host=memgraph: the binary to start")
    group.addoption(
        "--memgraph-pythonpath",
        type=Path,
        metavar="DIR",
        help="with --host=memgraph: where its Python finds confluent_kafka (default: where this Python has it)",
    )
    group.addoption(
        "--setting",
        type=setting,
        action="append",
        default=[],
        metavar="SLUICE_X=VALUE",
        help="a setting of the hosts that tests start; those of the environment are dropped",
    )
    group.addoption("--memgraph-uri", metavar="URI", help="with --host=uri: a host that runs, on this machine")
    group.addoption("--memgraph-user", default="", metavar="NAME", help="with --host=uri: the user (default: none)")
    group.addoption("--memgraph-password", default="", metavar="WORD", help="with --host=uri: the user's password")


def check_options(config: pytest.Config) -> None:
    """
    Raises:
        pytest.UsageError: the options do not say enough to have a host.
    """
    kind, binary = config.getoption("--host"), config.getoption("--memgraph-bin")
    if kind == "docker" and shutil.which("docker") is None:
        raise pytest.UsageError("--host=docker needs Docker with Compose: no docker on the path")
    if kind == "memgraph" and not (binary and binary.is_file()):
        raise pytest.UsageError(f"--host=memgraph needs --memgraph-bin PATH, a file: {binary}")
    if kind == "uri" and not config.getoption("--memgraph-uri"):
        raise pytest.UsageError("--host=uri needs --memgraph-uri bolt://127.0.0.1:PORT")


def skip_for_host(item: pytest.Item) -> None:
    """Skip a test whose marker says that this host cannot show what it asserts."""
    on_sandbox = item.config.getoption("--host") == "sandbox"
    for marker, applies in (("memgraph_only", not on_sandbox), ("sandbox_only", on_sandbox)):
        found = item.get_closest_marker(marker)
        if found is not None and not applies:
            pytest.skip(f"{marker}: {found.args[0]}")
