"""The way back into the server: found by the server's flags and variables, over TLS, and with users."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.eventually import eventually
from tests.hosts import ServerHost
from tests.hosts.bolt import Bolt
from tests.integration.test_kit import OwnHost, Stream
from tests.kafka import KafkaBroker
from tests.unit.bolt.certificate import make_certificate

TROUBLE = "CALL streams.version() YIELD trouble"
PASSWORD = "hunter2"

Entered = Callable[..., ServerHost]


@pytest.fixture
def entered(own_host: OwnHost) -> Entered:
    """`entered(scheme, user, password, env=, arguments=)`: a host that clients enter so, started."""

    def enter(scheme: str = "bolt", user: str = "", password: str = "", **options: Any) -> ServerHost:
        host = own_host(start=False, **options)
        _enter_as(host, scheme, user, password)
        host.start()
        return host

    return enter


def _enter_as(host: ServerHost, scheme: str, user: str = "", password: str = "") -> None:
    host._bolt.close()
    host.uri = f"{scheme}://127.0.0.1:{host.port}"
    host._bolt = Bolt(host.uri, user, password)


def _ingests(host: ServerHost, kafka: KafkaBroker, folder: Path, name: str = "inside") -> None:
    stream = Stream(host.run, kafka, folder, name)
    stream.create()
    stream.send(["1"])
    stream.start()
    stream.await_values(["1"], timeout=30)
    assert host.run(TROUBLE) == [{"trouble": None}]


@pytest.mark.memgraph_only("the sandbox speaks no TLS")
def test_a_server_with_a_certificate_is_entered_over_tls(entered: Entered, kafka: KafkaBroker, tmp_path: Path) -> None:
    make_certificate(tmp_path)
    flags = [f"--bolt-cert-file={tmp_path / 'certificate.pem'}", f"--bolt-key-file={tmp_path / 'key.pem'}"]
    _ingests(entered("bolt+ssc", arguments=flags), kafka, tmp_path)


@pytest.mark.memgraph_only("the sandbox has no users")
def test_with_users_the_loopback_signs_in_by_a_password_file(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    environment = {"LC_ALL": "C.UTF-8"}
    host = own_host(env=environment)
    _ingests(host, kafka, tmp_path)
    host.run(f"CREATE USER sluice IDENTIFIED BY '{PASSWORD}'")
    _enter_as(host, "bolt", "sluice", PASSWORD)

    host.restart()
    refused = "the server refuses the loopback's sign-in (SLUICE_LOOPBACK_USER): "
    eventually(lambda: refused in host.run(TROUBLE)[0]["trouble"], timeout=30)
    file = tmp_path / "password"
    file.write_text("wrong\n")
    environment |= {"SLUICE_LOOPBACK_USER": "sluice", "SLUICE_LOOPBACK_PASSWORD_FILE": str(file)}
    host.restart()
    eventually(lambda: refused in host.run(TROUBLE)[0]["trouble"], timeout=30)
    assert "Couldn't authenticate user 'sluice'" in host.log_text()

    file.write_text(f"{PASSWORD}\n")
    host.restart()
    _ingests(host, kafka, tmp_path, "with_a_password")
    assert PASSWORD not in host.log_text()


@pytest.mark.memgraph_only("the sandbox has no users")
def test_the_first_user_that_the_server_makes_is_the_loopbacks_too(
    entered: Entered, kafka: KafkaBroker, tmp_path: Path
) -> None:
    environment = {"MEMGRAPH_USER": "ada", "MEMGRAPH_PASSWORD": PASSWORD}
    _ingests(entered("bolt", "ada", PASSWORD, env=environment), kafka, tmp_path)
