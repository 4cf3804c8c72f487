"""`sluice shim`: how it starts, what its options make of the connections, how it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sluice.bolt.client import Connection
from sluice_tools.cli import app
from tests.ports import free_port
from tests.unit.bolt.certificate import make_certificate
from tests.unit.shim.member import Member

HELLO = bytes.fromhex("6060b017 00000205 00000104 00000004 00000001")
"Bolt's handshake: what any client says first."


@contextmanager
def running_shim(*options: str) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    """A shim on a port of its own: the process, the port, the line that it says at the start."""
    command = [sys.executable, "-m", "sluice_tools.cli", "shim", "--listen", "127.0.0.1:0", *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        port = re.search(r"listening on 127\.0\.0\.1:(\d+)", line)
        assert port, line + process.stderr.read()
        yield process, int(port[1]), line
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_certificate(tmp_path_factory.mktemp("tls")))


@pytest.fixture
def upstream() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        yield listener


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 5)


def address(listener: socket.socket) -> str:
    return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_it_says_what_it_does_and_ends_cleanly(number: signal.Signals):
    with running_shim("--upstream", "127.0.0.1:9", "--max-connections", "7") as (process, port, line):
        assert f"listening on 127.0.0.1:{port} (plain)" in line
        assert "127.0.0.1:9 (plain)" in line
        assert "at most 7 connections" in line
        process.send_signal(number)
        _, rest = process.communicate(timeout=5)
        assert process.returncode == 0
        assert "shim: stopped" in rest
        assert "Traceback" not in rest


def test_what_a_client_says_reaches_memgraph(upstream: socket.socket):
    with running_shim("--upstream", address(upstream)) as (_, port, _), connected(port) as client:
        client.sendall(HELLO)
        with upstream.accept()[0] as server:
            assert server.recv(100) == HELLO


def test_several_servers_are_asked_which_is_main(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MEMGRAPH_PASSWORD", "s3cret")
    with Member("one", "replica", "s3cret") as one, Member("two", "main", "s3cret") as two:
        servers = f"127.0.0.1:{one.port},127.0.0.1:{two.port}"
        with running_shim("--upstream", servers, "--upstream-user", "shim") as (_, port, line):
            assert f"127.0.0.1:{one.port} or 127.0.0.1:{two.port}, whichever is MAIN" in line
            with Connection.open("127.0.0.1", port, username="me", password="s3cret") as connection:
                assert connection.fetch("RETURN 1") == [{"server": "two"}]


def test_clients_may_speak_tls(upstream: socket.socket, certificate: str):
    with running_shim("--upstream", address(upstream), "--tls-cert", certificate) as (_, port, line):
        assert "(with TLS), passing" in line
        context = ssl.create_default_context(cafile=certificate)
        with connected(port) as plain, context.wrap_socket(plain, server_hostname="localhost") as client:
            client.sendall(HELLO)
            with upstream.accept()[0] as server:
                assert server.recv(100) == HELLO


@pytest.mark.parametrize(
    "trust",
    [
        pytest.param(["--upstream-ca", "CERTIFICATE"], id="verified"),
        pytest.param(["--upstream-ca", "CERTIFICATE", "--upstream-name", "localhost"], id="verified by another name"),
        pytest.param(["--upstream-unverified"], id="unverified"),
    ],
)
def test_memgraph_may_speak_tls(upstream: socket.socket, certificate: str, trust: Sequence[str]):
    options = [certificate if option == "CERTIFICATE" else option for option in trust]
    with running_shim("--upstream", address(upstream), "--upstream-tls", *options) as (_, port, line):
        assert f"{address(upstream)} (with TLS)" in line
        with connected(port) as client:
            client.sendall(HELLO)
            with tls_server(upstream, certificate) as server:
                assert server.recv(100) == HELLO


@pytest.mark.parametrize(
    "trust",
    [
        pytest.param([], id="signed by nobody whom the system trusts"),
        pytest.param(["--upstream-ca", "CERTIFICATE", "--upstream-name", "memgraph.example"], id="for somebody else"),
    ],
)
def test_a_memgraph_whose_certificate_is_wrong_is_not_spoken_to(
    upstream: socket.socket, certificate: str, trust: Sequence[str]
):
    options = [certificate if option == "CERTIFICATE" else option for option in trust]
    shim = running_shim("--upstream", address(upstream), "--upstream-tls", *options)
    with shim as (_, port, _), connected(port) as client:
        # With TLS 1.3 the refusal comes after the server's part of the handshake; uvloop sends no alert, it just ends.
        with pytest.raises(OSError, match=r"ALERT|EOF|reset"), tls_server(upstream, certificate) as server:
            server.recv(1)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


@contextmanager
def tls_server(listener: socket.socket, certificate: str) -> Iterator[ssl.SSLSocket]:
    """The next connection to `listener`, with TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    plain, _ = listener.accept()
    with plain:
        plain.settimeout(5)
        with context.wrap_socket(plain, server_side=True) as server:
            yield server


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--listen", "7688"], "'7688' is not an address", id="a port alone"),
        pytest.param(["--upstream", "localhost:99999"], "port 99999 is above 65535", id="no such port"),
        pytest.param(["--upstream", "a:1,a:1"], "a server is named twice", id="a server twice"),
        pytest.param(["--upstream", "a:1,b"], "'b' is not an address", id="a server that is none"),
        pytest.param(["--upstream-user", "x"], "is not asked whether it is MAIN", id="a user for one server"),
        pytest.param(["--advertise", "shim"], "'shim' is not an address", id="an address that is none to advertise"),
        pytest.param(["--page"], "say --metrics too", id="a page nowhere"),
        pytest.param(["--max-connections", "0"], "--max-connections", id="no connections"),
        pytest.param(["--log-level", "loud"], "--log-level", id="a level there is not"),
        pytest.param(["--tls-cert", "/nowhere.pem"], "/nowhere.pem", id="a file there is not"),
        pytest.param(["--tls-cert", __file__], "no certificate with its key", id="a certificate that is none"),
        pytest.param(["--tls-key", __file__], "needs --tls-cert", id="a key for nothing"),
        pytest.param(["--upstream-ca", __file__], "say --upstream-tls too", id="an authority for plain Bolt"),
        pytest.param(["--upstream-unverified"], "say --upstream-tls too", id="leniency for plain Bolt"),
        pytest.param(["--upstream-tls", "--upstream-ca", __file__], "no certificate", id="an authority that is none"),
        pytest.param(
            ["--upstream-tls", "--upstream-unverified", "--upstream-name", "x"],
            "nothing is verified",
            id="leniency and a name to verify",
        ),
    ],
)
def test_an_option_that_cannot_be_is_refused(options: list[str], message: str):
    result = CliRunner().invoke(app, ["shim", *options], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_port_that_is_taken_is_one_line():
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        command = [sys.executable, "-m", "sluice_tools.cli", "shim", "--listen", address(taken)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=30, check=False)
        assert result.stderr.startswith(f"cannot listen on {address(taken)}: ")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1


def test_certificates_are_files(tmp_path: Path):
    result = CliRunner().invoke(app, ["shim", "--tls-cert", str(tmp_path)], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert result.exit_code == 2
    assert "is a directory" in result.stderr
