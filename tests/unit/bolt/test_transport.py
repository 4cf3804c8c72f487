from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest

from sluice.bolt import messages
from sluice.bolt.client import Connection
from sluice.bolt.framing import frame
from sluice.bolt.messages import Tag
from sluice.errors import ConnectionLost
from tests.unit.bolt.certificate import make_certificate
from tests.unit.bolt.fake_server import FakeServer, Session


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


def with_tls(session: Session, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    session.socket = context.wrap_socket(session.socket, server_side=True)


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


def test_a_session_over_tls(certificate: Path) -> None:
    def script(session: Session) -> None:
        with_tls(session, certificate)
        session.log_in()
        session.answer_query(["x"], [["y" * 300_000]])
        session.expect(Tag.GOODBYE)

    with (
        FakeServer(script) as server,
        Connection.open("127.0.0.1", server.port, tls=trusting(certificate)) as connection,
    ):
        assert connection.fetch("RETURN $x", {"x": "x" * 300_000}) == [{"x": "y" * 300_000}]


def test_a_big_pipeline_over_tls_does_not_lock_up(certificate: Path) -> None:
    count, text = 500, "x" * 10_000

    def script(session: Session) -> None:
        with_tls(session, certificate)
        session.log_in()
        for _ in range(count):
            session.expect(Tag.RUN)
            session.say(messages.success({"fields": [text]}))
        session.expect(Tag.GOODBYE)

    with (
        FakeServer(script) as server,
        Connection.open("127.0.0.1", server.port, tls=trusting(certificate)) as connection,
    ):
        request = frame(messages.run("RETURN $x", {"x": text})) * count
        assert len(connection.exchange(request, count, timeout=60)) == count


def test_a_certificate_that_nobody_vouches_for_is_a_lost_connection(certificate: Path) -> None:
    def script(session: Session) -> None:
        with pytest.raises(OSError, match="."):
            with_tls(session, certificate)

    with FakeServer(script) as server, pytest.raises(ConnectionLost, match="certificate verify failed"):
        Connection.open("127.0.0.1", server.port, tls=ssl.create_default_context())


def test_a_server_without_tls_is_a_lost_connection() -> None:
    def script(session: Session) -> None:
        session.socket.recv(1000)
        session.socket.sendall(b"What is this, please?")

    with FakeServer(script) as server, pytest.raises(ConnectionLost):
        Connection.open("127.0.0.1", server.port, tls=ssl.create_default_context(), timeout=5)


def test_the_servers_last_words_are_read_although_it_takes_no_more() -> None:
    """What a server that closes has said before it did is not lost in the error of our next write."""
    said = threading.Event()

    def script(session: Session) -> None:
        session.log_in()
        session.expect(Tag.RUN)
        session.say(messages.failure("Memgraph.ClientError.X.Y", "shutting down"))
        session.socket.shutdown(socket.SHUT_WR)
        said.set()
        session.expect(Tag.PULL)

    with FakeServer(script) as server, Connection.open("127.0.0.1", server.port) as connection:
        connection.send(frame(messages.run("RETURN 1")))
        said.wait(5)
        [reply] = connection.receive(1)
        assert getattr(reply, "message", None) == "shutting down"
        with pytest.raises(ConnectionLost, match="closed by the server"):
            connection.exchange(frame(messages.pull()), 1)


def test_a_reset_is_called_one_whoever_meets_it_first() -> None:
    def script(session: Session) -> None:
        session.log_in()
        session.vanish()

    with FakeServer(script) as server, Connection.open("127.0.0.1", server.port) as connection:
        server.join()
        # The write meets it; the system does not tell the read again.
        with pytest.raises(ConnectionLost, match="reset by peer"):
            connection.exchange(frame(messages.run("RETURN 1")), 1)
