"""Bolt over WebSocket: what a driver in a browser speaks."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame
from websockets.http11 import Response
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin
from websockets.uri import parse_uri

from sluice.bolt import messages
from sluice.bolt.framing import MessageBuffer, frame
from sluice.bolt.messages import Proposal, Tag, Version
from sluice_tools.shim.websocket import MAX_EARLY, MAX_FRAME, WebSocket
from tests.eventually import eventually
from tests.unit.bolt.fake_server import PATIENCE, FakeServer, Session
from tests.unit.shim.running_shim import LOOPS, RunningShim
from tests.unit.shim.test_proxy import show_streams

HANDSHAKE = messages.handshake([Proposal(5, 2)])
SIGN_IN = frame(messages.hello({"user_agent": "x"})) + frame(messages.logon({"scheme": "none"}))
PAGE = Origin("https://lab.example")


class Browser:
    """The other end of a WebSocket, without I/O."""

    def __init__(self, origins: set[str], origin: Origin | None = None) -> None:
        self.socket = WebSocket(origins)
        self.protocol = ClientProtocol(parse_uri("ws://shim.example/"), origin=origin)
        self.protocol.send_request(self.protocol.connect())
        assert self.say() == b""
        self.hear(self.socket.reply())
        [self.response] = self.protocol.events_received()

    def say(self, step: int = 1000) -> bytes:
        """Send what there is in pieces; the Bolt that the shim reads."""
        wire = b"".join(self.protocol.data_to_send())
        return b"".join(self.socket.received(wire[at : at + step]) for at in range(0, len(wire), step))

    def hear(self, wire: bytes) -> None:
        self.protocol.receive_data(wire)

    def frames(self) -> list[Frame]:
        return [event for event in self.protocol.events_received() if isinstance(event, Frame)]


@pytest.mark.parametrize(
    ("origin", "allowed", "passes"),
    [
        (None, set(), True),
        (Origin("https://evil.example"), set(), False),
        (PAGE, {PAGE}, True),
        (Origin("HTTPS://LAB.EXAMPLE"), {PAGE}, True),
        (Origin("https://lab.example.evil"), {PAGE}, False),
        (Origin("https://labxexample"), {PAGE}, False),
        (Origin("null"), {PAGE}, False),
        (Origin("https://evil.example"), {"*"}, True),
    ],
)
def test_a_web_page_may_open_a_websocket_only_if_it_is_named(
    origin: Origin | None, allowed: set[str], passes: bool
) -> None:
    browser = Browser(set(allowed), origin)
    assert isinstance(browser.response, Response)
    assert browser.response.status_code == (101 if passes else 403)
    assert browser.socket.over is not passes
    refusal = f"a web page of {origin} opens a WebSocket, and --websocket-origin does not name it"
    assert browser.socket.refusal == (None if passes else refusal)


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_bolt_comes_out_however_it_is_framed(step: int) -> None:
    browser = Browser(set())
    browser.protocol.send_binary(b"one")
    browser.protocol.send_binary(b"two", fin=False)
    browser.protocol.send_ping(b"in between")
    browser.protocol.send_continuation(b"three", fin=True)
    browser.protocol.send_binary(b"")
    assert browser.say(step) == b"onetwothree"
    browser.hear(browser.socket.reply() + browser.socket.framed(b"answer"))
    assert [frame.data for frame in browser.frames()] == [b"in between", b"answer"]


def test_text_is_refused() -> None:
    browser = Browser(set())
    browser.protocol.send_text(b"SHOW STREAMS")
    assert browser.say() == b""
    browser.hear(browser.socket.reply())
    assert browser.protocol.close_rcvd is not None
    assert browser.protocol.close_rcvd.code == 1003
    assert browser.socket.over


@pytest.mark.parametrize(("trusted", "size"), [(False, MAX_EARLY), (True, MAX_FRAME)])
def test_a_frame_has_a_limit(trusted: bool, size: int) -> None:
    browser = Browser(set())
    browser.socket.trusted = trusted
    browser.protocol.send_binary(bytes(size // 2))
    assert browser.say(4096) == bytes(size // 2)
    browser.protocol.send_binary(bytes(size + 4096))
    assert browser.say(4096) == b""
    browser.hear(browser.socket.reply())
    assert browser.protocol.close_rcvd is not None
    assert browser.protocol.close_rcvd.code == 1009
    assert browser.socket.over


def test_nothing_is_framed_once_it_is_over() -> None:
    browser = Browser(set())
    browser.protocol.send_close(1000)
    assert browser.say() == b""
    browser.hear(browser.socket.reply())
    assert browser.protocol.close_rcvd is not None
    assert browser.protocol.close_rcvd.code == 1000
    assert browser.socket.framed(b"late") == browser.socket.end() == b""


# Through the shim, with the library's own client.


@pytest.fixture(params=list(LOOPS))
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextlib.contextmanager
def page(shim: RunningShim, origin: Origin | None = None) -> Iterator[ClientConnection]:
    with connect(f"ws://127.0.0.1:{shim.port}", origin=origin, compression=None, open_timeout=PATIENCE) as websocket:
        yield websocket


def receive(websocket: ClientConnection, count: int) -> list[bytes]:
    buffer, received = MessageBuffer(1 << 20), list[bytes]()
    while len(received) < count:
        data = websocket.recv(PATIENCE)
        assert isinstance(data, bytes)
        received += buffer.feed(data)
    return received


def sign_in(websocket: ClientConnection) -> None:
    websocket.send(HANDSHAKE)
    assert websocket.recv(PATIENCE) == messages.answer(Version(5, 2))
    websocket.send(SIGN_IN)
    receive(websocket, 2)


def test_clauses_of_a_page_are_translated(loop: str) -> None:
    with FakeServer(show_streams) as server, RunningShim(server.port, loop) as shim:
        with page(shim) as websocket:
            sign_in(websocket)
            clause = frame(messages.run("SHOW STREAMS", {}, {})) + frame(messages.pull())
            websocket.send([clause[:5], clause[5:9], clause[9:]])  # a message in three fragments
            assert websocket.ping().wait(PATIENCE)
            assert messages.parse(receive(websocket, 3)[1]).fields == [["s"]]
            websocket.send(frame(messages.run("DROP STREAM x")) + frame(messages.pull()))
            failure = messages.parse(receive(websocket, 2)[1])
            assert failure.fields[0]["message"] == "there is no stream x"
            websocket.send(frame(messages.reset()))
            receive(websocket, 1)
            websocket.send(frame(messages.goodbye()))
        eventually(lambda: shim.connections, equals=0)


def test_a_page_that_is_not_named_is_told_so(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, RunningShim(server.getsockname()[1], loop) as shim:
        with pytest.raises(InvalidStatus, match="403"), page(shim, Origin("https://evil.example")):
            pass
        eventually(lambda: shim.connections, equals=0)
    assert "https://evil.example" in caplog.text


def test_a_server_that_goes_closes_the_websocket(loop: str) -> None:
    def script(session: Session) -> None:
        session.log_in()
        session.socket.close()

    with FakeServer(script) as server, RunningShim(server.port, loop) as shim:
        with page(shim) as websocket:
            sign_in(websocket)
            with pytest.raises(ConnectionClosed) as caught:
                websocket.recv(PATIENCE)
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1001
        eventually(lambda: shim.connections, equals=0)


def test_pings_that_nobody_reads_the_answers_of_are_not_read(loop: str) -> None:
    """The shim's own replies count, too: else a client that only sends would fill its memory."""

    def script(session: Session) -> None:
        session.log_in()
        assert not session.socket.recv(100)

    with FakeServer(script) as server, RunningShim(server.port, loop) as shim:
        with socket.create_connection(("127.0.0.1", shim.port)) as plain:
            protocol = ClientProtocol(parse_uri("ws://shim.example/"))
            protocol.send_request(protocol.connect())
            protocol.state = protocol.state.OPEN
            protocol.send_binary(HANDSHAKE)
            protocol.send_binary(SIGN_IN)
            plain.settimeout(1)
            plain.sendall(b"".join(protocol.data_to_send()))
            protocol.send_ping(bytes(125))
            pings = b"".join(protocol.data_to_send()) * 1000
            sent = 0
            with contextlib.suppress(TimeoutError):
                while sent < 400_000_000:
                    sent += plain.send(pings)
            assert 0 < sent < 60_000_000
        eventually(lambda: shim.connections, equals=0)


def test_stopping_lets_a_page_have_its_answer(loop: str) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def script(session: Session) -> None:
        session.log_in()
        session.expect_all(Tag.RUN, Tag.PULL)
        asked.set()
        assert go_on.wait(PATIENCE)
        session.say(messages.success({"fields": ["x"]}), messages.record([1]), messages.success())
        assert not session.socket.recv(100)

    with FakeServer(script) as server, RunningShim(server.port, loop) as shim, page(shim) as websocket:
        sign_in(websocket)
        websocket.send(frame(messages.run("RETURN 1")) + frame(messages.pull()))
        assert asked.wait(PATIENCE)
        shim.begin_to_stop()
        go_on.set()
        assert len(receive(websocket, 3)) == 3
        with pytest.raises(ConnectionClosed):
            websocket.recv(PATIENCE)
