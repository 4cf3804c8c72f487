"""A loopback that does not get in: the reason is told, and procedures answer all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.faults.proxy import CuttingProxy
from tests.hosts import ScriptServer
from tests.integration.configured import Configured
from tests.integration.shim_server import ShimServer
from tests.integration.test_kit import OwnHost, numbers
from tests.kafka import KafkaBroker
from tests.unit.bolt.certificate import make_certificate

Astray = Callable[[Mapping[str, str]], Configured]
"Starts a host with these settings and a stream on it, whose loopback does not get in."


@pytest.fixture
def proxy() -> Iterator[CuttingProxy]:
    """A proxy to nowhere."""
    with CuttingProxy() as proxy:
        yield proxy


def test_a_loopback_that_reaches_nobody_is_told_and_procedures_answer(
    own_host: OwnHost, proxy: CuttingProxy, kafka: KafkaBroker, tmp_path: Path
) -> None:
    host = own_host(env={"SLUICE_LOOPBACK_PORT": str(proxy.port)})  # which leads nowhere
    stream = Configured(host.run, kafka, tmp_path, "lonely")
    stream.create()
    stream.send(numbers(0, 10))
    stream.start()
    reason = stream.await_reason("retrying: ")
    assert str(proxy.port) in reason
    stream.answers_quickly()
    assert (stream.status, stream.count) == ("running", 0)
    proxy.target = host.port
    stream.await_values(numbers(0, 10), timeout=40)
    stream.await_no_reason()


@pytest.fixture
def astray(own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path) -> Astray:
    def start(settings: Mapping[str, str]) -> Configured:
        host = own_host(env=settings)
        stream = Configured(host.run, kafka, tmp_path, "astray")
        stream.create()
        stream.start()
        reason = stream.await_reason("no connection to the server at port ")
        assert reason.endswith("; SLUICE_LOOPBACK_PORT and SLUICE_LOOPBACK_TLS say how it is reached")
        assert host.run("CALL streams.version() YIELD trouble")[0]["trouble"] in reason
        stream.answers_quickly()
        return stream

    return start


def test_a_loopback_whose_port_is_somebody_elses_is_told(astray: Astray, script_server: ScriptServer) -> None:
    stream = astray({"SLUICE_LOOPBACK_PORT": str(script_server.port)})
    assert f"127.0.0.1:{script_server.port}: " in stream.info["reason"]


def test_another_servers_streams_are_not_run(astray: Astray, own_host: OwnHost) -> None:
    other = own_host()
    stream = astray({"SLUICE_LOOPBACK_PORT": str(other.port)})
    assert f"another server answers at 127.0.0.1:{other.port}" in stream.info["reason"]
    assert stream.count == 0
    assert other.run("CALL streams.version() YIELD trouble") == [{"trouble": None}]
    assert other.run("CALL streams.instance() YIELD process") != stream.run("CALL streams.instance() YIELD process")


@pytest.mark.soak
def test_a_loopback_with_tls_where_the_server_has_none_is_told(astray: Astray) -> None:
    assert "TLS" in astray({"SLUICE_LOOPBACK_TLS": "true"}).info["reason"]


@pytest.mark.soak
def test_a_loopback_without_tls_where_the_server_wants_it_is_told(astray: Astray, tmp_path: Path) -> None:
    server = ShimServer(tmp_path, 0, f"--tls-cert={make_certificate(tmp_path)}")
    server.start()
    try:
        stream = astray({"SLUICE_LOOPBACK_PORT": str(server.port)})
        assert f"127.0.0.1:{server.port}: " in stream.info["reason"]
    finally:
        server.kill()


@pytest.mark.memgraph_only("the sandbox lets everybody in")
def test_a_loopback_that_is_refused_is_told_and_procedures_answer(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text("wrong")
    host = own_host(env={"SLUICE_LOOPBACK_USER": "sluice", "SLUICE_LOOPBACK_PASSWORD_FILE": str(secret)}, start=False)
    host.start()
    # A connection that there is stays; with the first user, new ones need one.
    with host.driver().session() as session:

        def run(query: str, /, **parameters: object) -> list[dict[str, object]]:
            return session.run(query, parameters).data()

        stream = Configured(run, kafka, tmp_path, "stranger")
        stream.create()
        stream.send(numbers(0, 10))
        session.run("CREATE USER sluice IDENTIFIED BY 'right'").consume()
        stream.start()
        reason = stream.await_reason("refuses the loopback's sign-in (SLUICE_LOOPBACK_USER)")
        assert "wrong" not in reason
        assert "wrong" not in host.log_text()
        stream.answers_quickly()
        assert (stream.status, stream.count) == ("running", 0)
        # The password is read when the module is loaded.
        secret.write_text("right")
        session.run("CALL mg.load_all()").consume()
        stream.await_values(numbers(0, 10), timeout=40)
