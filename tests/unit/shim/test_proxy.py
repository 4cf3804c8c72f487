from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sluice.bolt import messages
from sluice.bolt.client import Connection
from sluice.bolt.framing import frame
from sluice.bolt.messages import Tag
from sluice.errors import ConnectionLost, QueryRefused
from sluice_tools.shim.lifecycle import Event
from sluice_tools.shim.peer import Peer
from tests.eventually import eventually
from tests.unit.bolt.certificate import make_certificate
from tests.unit.bolt.fake_server import PATIENCE, FakeServer, Session
from tests.unit.shim.running_shim import LOOPS, RunningShim

CODE = "Memgraph.ClientError.MemgraphError.MemgraphError"
SHOW = "CALL streams.show() YIELD name, uri, topic, transform, status"


@pytest.fixture(params=list(LOOPS))
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def client_tls(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


def show_streams(session: Session) -> None:
    """A server where SHOW STREAMS, rewritten, gives one row; then a clause that fails."""
    session.log_in()
    run = session.expect(Tag.RUN)
    assert run.fields[0] == SHOW
    session.expect(Tag.PULL)
    session.say(messages.success({"fields": ["name"]}), messages.record(["s"]), messages.success({"type": "r"}))
    session.expect_all(Tag.RUN, Tag.PULL)
    session.say(messages.success({"fields": []}))
    session.say(messages.failure(CODE, "streams.drop: Traceback\nsluice.errors.StreamNotFound: there is no stream x"))
    session.expect(Tag.RESET)
    session.say(messages.success())
    session.expect(Tag.GOODBYE)


def talk_to(port: int, tls: ssl.SSLContext | None = None) -> None:
    with Connection.open("127.0.0.1", port, tls=tls) as connection:
        assert connection.fetch("SHOW STREAMS;") == [{"name": "s"}]
        with pytest.raises(QueryRefused, match="^there is no stream x$"):
            connection.fetch("DROP STREAM x")


def test_clauses_through_the_shim(loop: str) -> None:
    with FakeServer(show_streams) as server, RunningShim(server.port, loop) as shim:
        talk_to(shim.port)
        eventually(lambda: shim.connections, equals=0)


@pytest.mark.parametrize(("to_client", "to_server"), [(True, False), (False, True), (True, True)])
def test_tls_to_either_side(loop: str, certificate: Path, to_client: bool, to_server: bool) -> None:
    def script(session: Session) -> None:
        if to_server:
            session.socket = server_tls(certificate).wrap_socket(session.socket, server_side=True)
        show_streams(session)
        session.socket.close()

    settings: dict[str, Any] = {
        "listen_tls": server_tls(certificate) if to_client else None,
        "upstream_tls": client_tls(certificate) if to_server else None,
    }
    with FakeServer(script) as server, RunningShim(server.port, loop, **settings) as shim:
        talk_to(shim.port, client_tls(certificate) if to_client else None)
        eventually(lambda: shim.connections, equals=0)


def test_tls_from_end_to_end_passes_without_being_looked_at(loop: str, certificate: Path) -> None:
    def script(session: Session) -> None:
        session.socket = server_tls(certificate).wrap_socket(session.socket, server_side=True)
        session.log_in()
        assert session.expect(Tag.RUN).fields[0] == "SHOW STREAMS"
        session.expect(Tag.PULL)
        session.say(messages.success({"fields": []}), messages.success())
        session.expect(Tag.GOODBYE)
        session.socket.close()

    with (
        FakeServer(script) as server,
        RunningShim(server.port, loop) as shim,
        Connection.open("127.0.0.1", shim.port, tls=client_tls(certificate)) as connection,
    ):
        assert connection.fetch("SHOW STREAMS") == []


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_server_that_is_not_there_looks_like_one_that_is_not_there(
    loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    with caplog.at_level(logging.INFO), RunningShim(port, loop) as shim:
        for _ in range(3):
            with pytest.raises(ConnectionLost, match="reset by peer"):
                Connection.open("127.0.0.1", shim.port)
        eventually(lambda: shim.connections, equals=0)
    # Said once, not for each of them.
    assert [record.getMessage() for record in caplog.records] == [
        f"shim: 127.0.0.1:{port} cannot be reached: Connection refused"
    ]


def test_a_server_whose_name_cannot_be_one_is_not_there(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), RunningShim(1, loop, host="a..b") as shim:
        with pytest.raises(ConnectionLost, match="reset by peer"):
            Connection.open("127.0.0.1", shim.port)
        eventually(lambda: shim.connections, equals=0)
    assert "shim: a..b:1 cannot be reached: " in caplog.text


def test_the_shim_outlives_the_server(loop: str) -> None:
    def die(session: Session) -> None:
        session.log_in()
        session.expect(Tag.RUN)
        session.vanish()

    with FakeServer(die, show_streams) as server, RunningShim(server.port, loop) as shim:
        with Connection.open("127.0.0.1", shim.port) as connection, pytest.raises(ConnectionLost):
            connection.fetch("RETURN 1")
        talk_to(shim.port)
        eventually(lambda: shim.connections, equals=0)


def test_the_servers_last_words_reach_the_client(loop: str) -> None:
    def refuse(session: Session) -> None:
        session.shake_hands()
        session.expect(Tag.HELLO)
        session.say(messages.failure("Memgraph.ClientError.Security.Unauthenticated", "Authentication failure"))

    with (
        FakeServer(refuse) as server,
        RunningShim(server.port, loop) as shim,
        pytest.raises(QueryRefused, match="Authentication failure"),
    ):
        Connection.open("127.0.0.1", shim.port)


def test_a_client_that_has_said_all_still_gets_its_answers(loop: str) -> None:
    def script(session: Session) -> None:
        session.log_in()
        session.expect_all(Tag.RUN, Tag.PULL)
        with pytest.raises(EOFError):
            session.next()
        session.say(messages.success({"fields": ["x"]}), messages.record(["y" * 1_000_000]), messages.success())

    with FakeServer(script) as server, RunningShim(server.port, loop) as shim:
        with socket.create_connection(("127.0.0.1", shim.port)) as plain:
            log_in = [messages.hello({"user_agent": "x"}), messages.logon({"scheme": "none"})]
            request = [messages.run("RETURN 1"), messages.pull()]
            plain.sendall(messages.handshake([messages.Proposal(5, 2)]) + b"".join(map(frame, log_in + request)))
            plain.shutdown(socket.SHUT_WR)
            received = b"".join(iter(lambda: plain.recv(65536), b""))
        assert len(received) > 1_000_000
        assert received.endswith(frame(messages.success()))
        eventually(lambda: shim.connections, equals=0)


def test_a_client_that_does_not_read_stops_the_server(loop: str) -> None:
    """Back-pressure: what the client does not take stays with the server, not in the shim."""
    written = 0

    def script(session: Session) -> None:
        nonlocal written
        session.shake_hands()
        session.socket.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while written < 400_000_000:
                written += session.socket.send(bytes(100_000))

    check_back_pressure(loop, script, lambda plain: None)
    assert 0 < written < 60_000_000


def test_a_server_that_does_not_read_stops_the_client(loop: str) -> None:
    written = 0
    stopped = threading.Event()

    def script(session: Session) -> None:
        session.shake_hands()
        assert stopped.wait(PATIENCE)

    def write(plain: socket.socket) -> None:
        nonlocal written
        plain.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while written < 400_000_000:
                written += plain.send(bytes(100_000))
        stopped.set()

    check_back_pressure(loop, script, write)
    assert 0 < written < 60_000_000


def check_back_pressure(loop: str, script: Callable[[Session], None], then: Callable[[socket.socket], None]) -> None:
    with FakeServer(script) as server, RunningShim(server.port, loop) as shim:
        with socket.create_connection(("127.0.0.1", shim.port)) as plain:
            plain.sendall(messages.handshake([messages.Proposal(5, 2)]))
            then(plain)
            server.join()
        eventually(lambda: shim.connections, equals=0)


def test_more_clients_than_allowed_are_reset(loop: str) -> None:
    def script(session: Session) -> None:
        session.log_in()
        session.expect(Tag.GOODBYE)

    with FakeServer(script, script) as server, RunningShim(server.port, loop, max_connections=1) as shim:
        with Connection.open("127.0.0.1", shim.port), pytest.raises(ConnectionLost, match="reset by peer"):
            Connection.open("127.0.0.1", shim.port)
        eventually(lambda: shim.connections, equals=0)
        Connection.open("127.0.0.1", shim.port).close()


def test_a_client_that_says_nothing_is_not_waited_for_for_ever(loop: str) -> None:
    def script(session: Session) -> None:
        assert not session.socket.recv(100)

    with (
        FakeServer(script) as server,
        RunningShim(server.port, loop, sign_in_timeout=0.2) as shim,
        socket.create_connection(("127.0.0.1", shim.port)) as plain,
    ):
        plain.settimeout(5)
        assert not plain.recv(100)
        eventually(lambda: shim.connections, equals=0)


def test_a_client_that_does_not_begin_tls_is_not_waited_for_for_ever(loop: str, certificate: Path) -> None:
    settings: dict[str, Any] = {"listen_tls": server_tls(certificate), "sign_in_timeout": 0.2}
    with FakeServer() as server, RunningShim(server.port, loop, **settings) as shim:
        silent = [socket.create_connection(("127.0.0.1", shim.port)) for _ in range(20)]
        for plain in silent:
            with plain, contextlib.suppress(ConnectionResetError):
                plain.settimeout(5)
                assert not plain.recv(100)


def test_of_clients_that_do_not_sign_in_the_oldest_go(loop: str) -> None:
    def silent(session: Session) -> None:
        with contextlib.suppress(ConnectionResetError):
            assert not session.socket.recv(100)

    def script(session: Session) -> None:
        session.log_in()
        session.expect(Tag.GOODBYE)

    with FakeServer(silent, silent, silent, script) as server, RunningShim(server.port, loop, max_pending=2) as shim:
        waiting = []
        for there in (1, 2, 2):
            waiting.append(socket.create_connection(("127.0.0.1", shim.port)))
            eventually(lambda: shim.connections, equals=there)
        # The first one had to go for the third, the second goes for one who signs in.
        Connection.open("127.0.0.1", shim.port).close()
        for plain in waiting[:2]:
            plain.settimeout(PATIENCE)
            with contextlib.suppress(ConnectionResetError):
                assert not plain.recv(100)
        waiting[2].setblocking(False)
        with pytest.raises(BlockingIOError):
            waiting[2].recv(1)
        for plain in waiting:
            plain.close()
        eventually(lambda: shim.connections, equals=0)


def test_clients_that_do_not_begin_tls_count_as_well(loop: str, certificate: Path) -> None:
    def script(session: Session) -> None:
        session.log_in()
        session.expect(Tag.GOODBYE)

    settings: dict[str, Any] = {"listen_tls": server_tls(certificate), "max_pending": 2}
    with FakeServer(script) as server, RunningShim(server.port, loop, **settings) as shim:
        waiting = [socket.create_connection(("127.0.0.1", shim.port)) for _ in range(10)]
        Connection.open("127.0.0.1", shim.port, tls=client_tls(certificate)).close()
        for plain in waiting:
            plain.close()
        eventually(lambda: shim.connections, equals=0)


def test_a_client_that_says_all_at_once_and_no_more_gets_all_answers(loop: str) -> None:
    said = b"".join(map(frame, (messages.hello({"user_agent": "x"}), messages.logon({"scheme": "none"}))))
    clause = frame(messages.run("DROP STREAM s", {}, {})) + frame(messages.pull())

    def script(session: Session) -> None:
        session.log_in()
        assert session.expect(Tag.RUN).fields[0] == "CALL streams.drop($name)"
        session.expect(Tag.PULL)
        assert not session.socket.recv(100)
        session.say(messages.success({"fields": []}), messages.success())
        session.socket.close()

    with FakeServer(script) as server, RunningShim(server.port, loop) as shim:
        with socket.create_connection(("127.0.0.1", shim.port)) as plain:
            plain.settimeout(PATIENCE)
            plain.sendall(messages.handshake([messages.Proposal(5, 2)]) + said + clause)
            plain.shutdown(socket.SHUT_WR)
            answer = b""
            while more := plain.recv(1000):
                answer += more
        assert answer.endswith(frame(messages.success({"fields": []})) + frame(messages.success()))
        eventually(lambda: shim.connections, equals=0)


def test_stopping_lets_what_is_under_way_be_answered(loop: str) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def script(session: Session) -> None:
        session.log_in()
        session.expect_all(Tag.RUN, Tag.PULL)
        asked.set()
        go_on.wait(5)
        session.say(messages.success({"fields": ["x"]}), messages.record([1]), messages.success())
        assert not session.socket.recv(100)

    def idle(session: Session) -> None:
        session.log_in()
        assert not session.socket.recv(100)

    with FakeServer(idle, script) as server, RunningShim(server.port, loop) as shim:
        bystander = Connection.open("127.0.0.1", shim.port)
        with Connection.open("127.0.0.1", shim.port) as connection:
            connection.send(frame(messages.run("RETURN 1")) + frame(messages.pull()))
            asked.wait(5)
            shim.begin_to_stop()
            with pytest.raises(ConnectionLost, match="closed by the server"):
                bystander.receive(1, timeout=5)
            go_on.set()
            assert len(connection.receive(2, timeout=5)) == 2
            with pytest.raises(ConnectionLost, match="closed by the server"):
                connection.receive(1, timeout=5)
        bystander.close()


def test_stopping_cuts_off_what_takes_too_long(loop: str) -> None:
    asked = threading.Event()

    def script(session: Session) -> None:
        session.log_in()
        session.expect_all(Tag.RUN, Tag.PULL)
        asked.set()
        assert not session.socket.recv(100)

    with (
        FakeServer(script) as server,
        RunningShim(server.port, loop, grace=0.2) as shim,
        Connection.open("127.0.0.1", shim.port) as connection,
    ):
        connection.send(frame(messages.run("RETURN 1")) + frame(messages.pull()))
        asked.wait(5)
        began = time.monotonic()
        shim.stop()
        assert time.monotonic() - began < 3
        with pytest.raises(ConnectionLost):
            connection.receive(2, timeout=5)


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that says back what it is told, to anybody; its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def say_back(plain: socket.socket) -> None:
        with plain, contextlib.suppress(OSError):
            while data := plain.recv(65536):
                plain.sendall(data)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = listener.accept()
                threads.append(threading.Thread(target=say_back, args=(plain,)))
                threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    yield int(listener.getsockname()[1])
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    acceptor.join(10)
    for thread in threads:
        thread.join(10)


def test_garbage_and_sudden_ends_leave_neighbours_alone(loop: str, echo: int) -> None:
    """A hundred clients that send anything and go in any way, beside one that is served all the time."""
    chance = random.Random(1)
    starts = [b"", b"GET ", messages.handshake([messages.Proposal(5, 2)]) + b"\0\0\x02\x05", b"\x16\x03"]
    with RunningShim(echo, loop) as shim, socket.create_connection(("127.0.0.1", shim.port)) as neighbour:
        neighbour.settimeout(5)
        for _ in range(100):
            with socket.create_connection(("127.0.0.1", shim.port)) as plain, contextlib.suppress(OSError):
                plain.sendall(chance.choice(starts) + chance.randbytes(chance.randrange(5000)))
                if chance.random() < 0.5:
                    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if chance.random() < 0.3:
                    plain.shutdown(socket.SHUT_WR)
                    plain.recv(10)
            neighbour.sendall(b"still there?")
            assert neighbour.recv(100) == b"still there?"
        eventually(lambda: shim.connections, equals=1)


def test_a_client_that_ends_before_the_server_is_connected_gets_its_answer(loop: str, echo: int) -> None:
    with RunningShim(echo, loop) as shim:
        for _ in range(30):  # which comes first is chance
            with socket.create_connection(("127.0.0.1", shim.port)) as plain:
                plain.settimeout(PATIENCE)
                plain.sendall(b"not Bolt")
                plain.shutdown(socket.SHUT_WR)
                answer = b""
                while more := plain.recv(100):
                    answer += more
            assert answer == b"not Bolt"
        eventually(lambda: shim.connections, equals=0)


def test_clients_that_go_while_the_server_is_being_connected_leave_nothing(loop: str, echo: int) -> None:
    chance = random.Random(1)
    with RunningShim(echo, loop) as shim:
        for number in range(400):
            with socket.create_connection(("127.0.0.1", shim.port)) as plain:
                if number % 2:
                    plain.sendall(messages.MAGIC)
                if number % 3:
                    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                time.sleep(chance.random() * 0.0006)
        eventually(lambda: shim.connections, equals=0)


def test_a_client_that_is_given_up_just_as_the_server_is_reached_leaves_nothing(
    loop: str, echo: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Peer.connection_made

    def give_up(peer: Peer, transport: asyncio.BaseTransport) -> None:
        if peer._lost is Event.SERVER_LOST:
            peer._feed(Event.ABORT)  # as for the oldest of too many clients that have not signed in
        made(peer, transport)

    monkeypatch.setattr(Peer, "connection_made", give_up)
    with RunningShim(echo, loop) as shim:
        with socket.create_connection(("127.0.0.1", shim.port)) as plain:
            plain.settimeout(5)
            with contextlib.suppress(ConnectionResetError):
                assert plain.recv(100) == b""
        eventually(lambda: shim.connections, equals=0)


def test_a_fault_of_ours_ends_one_connection_only(
    loop: str, echo: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with RunningShim(echo, loop) as shim, socket.create_connection(("127.0.0.1", shim.port)) as neighbour:
        neighbour.settimeout(5)
        neighbour.sendall(b"hello")
        assert neighbour.recv(100) == b"hello"
        with monkeypatch.context() as patch:
            patch.setattr("sluice_tools.shim.handshake.Handshake.from_client", lambda self, data: 1 / 0)
            with socket.create_connection(("127.0.0.1", shim.port)) as plain:
                plain.settimeout(5)
                plain.sendall(b"hello")
                with contextlib.suppress(ConnectionResetError):
                    assert not plain.recv(100)
        neighbour.sendall(b"hello")
        assert neighbour.recv(100) == b"hello"
    assert "closed by a fault in the shim" in caplog.text


def test_neither_credentials_nor_parameters_are_logged(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    def script(session: Session) -> None:
        session.log_in()
        for answer in (messages.success({"fields": []}), messages.failure(CODE, "sluice.errors.BrokerError: S3CRET")):
            session.expect_all(Tag.RUN, Tag.PULL)
            session.say(messages.success({"fields": []}), answer)
        session.expect(Tag.RESET)
        session.say(messages.success())
        session.expect(Tag.RUN)
        session.expect(Tag.PULL)
        session.say(messages.failure(CODE, "no"), messages.ignored())
        session.expect(Tag.RESET)
        session.say(messages.success())
        session.expect(Tag.GOODBYE)

    clause = "CREATE STREAM s AS LOAD DATA KAFKA $uri WITH TOPIC 't' WITH TRANSFORM 'http://u:S3CRET@x/y.py'"
    with caplog.at_level(logging.DEBUG), FakeServer(script) as server, RunningShim(server.port, loop) as shim:
        with Connection.open("127.0.0.1", shim.port, username="S3CRET", password="S3CRET") as connection:
            connection.fetch("RETURN $x", {"x": "S3CRET"})
            with pytest.raises(QueryRefused):
                connection.fetch(clause, {"uri": "S3CRET"})
            with pytest.raises(QueryRefused):
                connection.fetch("DROP STREAM S3CRET S3CRET", {"uri": "S3CRET"})
        eventually(lambda: shim.connections, equals=0)
    assert "FAILURE of a clause" in caplog.text
    assert "S3CRET" not in caplog.text
