"""The image of `docker/` as the host: built and started by Docker Compose, removed when the tests are over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pytest_docker.plugin import get_docker_services

from tests.hosts.uri import UriHost
from tests.ports import free_ports

COMPOSE = Path(__file__).with_name("compose.yml")


@contextmanager
def docker_host(files: Path) -> Iterator[UriHost]:
    """
    A running container as a host.

    Args:
        files: the folder that the tests put their transforms into; the container sees it at the same path.
    """
    port, monitoring_port = free_ports(2)
    variables = {
        "TESTS_BOLT_PORT": str(port),
        "TESTS_MONITORING_PORT": str(monitoring_port),
        "TESTS_FOLDER": str(files),
    }
    # `--wait` waits for the health check of the image: the server answers, with the module in it.
    project, setup, cleanup = f"sluice-tests-{os.getpid()}", "up --build --wait", "down --volumes"
    with pytest.MonkeyPatch.context() as environment:
        for name, value in variables.items():
            environment.setenv(name, value)
        with get_docker_services("docker compose", str(COMPOSE), project, setup, cleanup):
            host = UriHost(f"bolt://127.0.0.1:{port}")
            host.start()
            yield host
            host.close()
