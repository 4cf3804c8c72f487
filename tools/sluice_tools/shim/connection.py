"""
A client, its connection to the server, and what passes between them: the shell around `lifecycle` and `Session`.

Memory is bounded: whoever does not read stops the other side's being read.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from typing import Protocol

from sluice.bolt.transport import reason_of
from sluice_tools.shim.handshake import HandshakeKind
from sluice_tools.shim.lifecycle import Event, State, Step, react
from sluice_tools.shim.peer import Pause, Peer
from sluice_tools.shim.session import Session
from sluice_tools.shim.settings import Address, ShimSettings
from sluice_tools.shim.statistics import Statistics
from sluice_tools.shim.websocket import FIRST_BYTES, WebSocket

LINGER = 30.0
"How long a side may take to read the last words of the other, in seconds."

log = logging.getLogger("sluice.shim")


class Owner(Protocol):
    """Who has the connections; `Proxy`."""

    @property
    def statistics(self) -> Statistics:
        """Where to count."""

    def accepted(self, connection: ShimConnection) -> None:
        """The server has accepted a client."""

    def forget(self, connection: ShimConnection) -> None:
        """A client is gone, and so is its connection to the server."""

    async def upstream(self) -> Address:
        """The server to connect to, once it is known."""

    def upstream_is(self, fault: str | None) -> None:
        """How connecting to the server went; None: it succeeded."""


class ShimConnection:
    """
    The two sockets, the state they are in, and the session that says what passes between them.

    Threads: the event loop's.
    """

    def __init__(self, owner: Owner, name: str, session: Session) -> None:
        self.name = name
        "In the log."
        self.session = session
        self.state = State.CONNECTING
        self.upstream: Address | None = None
        "The server that it is connected to, or being connected to."
        self.client = Peer(name, self.feed, owner.statistics.from_clients, Event.CLIENT_ENDED, Event.CLIENT_LOST)
        self.server = Peer(name, self.feed, owner.statistics.from_server, Event.SERVER_ENDED, Event.SERVER_LOST)
        self.client.other, self.server.other = self.server, self.client
        self.client.passes, self.server.passes = self._first_bytes, self._open_server
        self.client.pause(Pause.CONNECTING)
        self._owner = owner
        self._origins: Set[str] = frozenset()
        self._first = b""
        self._websocket: WebSocket | None = None
        "What the client speaks Bolt over; None: TCP, or TLS."
        self._handshaking: socket.socket | None = None
        "The client's, until its TLS handshake is over. Shut down, not cancelled: that would leave it open."
        self._opening: asyncio.Task[None]
        self._timers: list[asyncio.TimerHandle] = []

    def accept(self, client: socket.socket, settings: ShimSettings, loop: asyncio.AbstractEventLoop) -> None:
        """Take a client's connection, with TLS where it has to speak that, and connect it to the server."""
        self._origins = settings.websocket_origins
        self._timers.append(loop.call_later(settings.sign_in_timeout, self._check_accepted))
        self._handshaking = client
        self._opening = loop.create_task(self._open(client, settings, loop))
        self._opening.add_done_callback(lambda _: self._check_gone())

    def feed(self, event: Event) -> State:
        """Something happened: do what the table says. The state that follows."""
        self.state, steps = react(self.state, event)
        for step in steps:
            _DO[step](self)
        self._check_gone()
        return self.state

    def leave(self) -> None:
        """Close as soon as nothing is under way."""
        if self.session.idle:
            self.feed(Event.FINISH)
            return

        passes = self.server.passes

        def pass_and_leave(data: bytes) -> bytes:
            passing = passes(data)
            self.server.passes = pass_and_leave  # where signing in has put another in its place
            if self.session.idle:
                asyncio.get_running_loop().call_soon(self.feed, Event.FINISH)
            return passing

        self.server.passes = pass_and_leave

    def retire(self, grace: float) -> None:
        """Leave the server, which is no longer the one to be connected to: within `grace` seconds, answered or not."""
        self.upstream = None
        self._timers.append(asyncio.get_running_loop().call_later(grace, self.feed, Event.ABORT))
        self.leave()

    def _first_bytes(self, data: bytes) -> bytes:
        self._first += data
        if FIRST_BYTES.startswith(self._first):
            return b""  # a WebSocket, it seems
        self.client.passes = self._open_client
        if self._first.startswith(FIRST_BYTES):
            self._websocket = WebSocket(self._origins)
            self.client.passes, self.server.passes = self._from_page, self._to_page
            self.client.answered_here = True
        return self.client.passes(self._first)

    def _from_page(self, data: bytes) -> bytes:
        assert self._websocket is not None
        bolt = self._websocket.received(data)
        passing = self.session.from_client(bolt) if self._websocket.trusted else self._open_client(bolt)
        self.client.say(self._websocket.reply())
        if self._websocket.over:
            if self._websocket.refusal:
                log.warning("[#%s]  refused: %s", self.name, self._websocket.refusal)
            self.server.say(passing)
            self.feed(Event.FINISH)
            return b""
        return passing

    def _to_page(self, data: bytes) -> bytes:
        assert self._websocket is not None
        bolt = self.session.from_server(data) if self._websocket.trusted else self._open_server(data)
        return self._websocket.framed(bolt)

    def _open_client(self, data: bytes) -> bytes:
        passing = self.session.from_client(data)
        self._settle()
        return passing

    def _open_server(self, data: bytes) -> bytes:
        passing = self.session.from_server(data)
        self._settle()
        return passing

    def _settle(self) -> None:
        """What the session has learned by now decides who is read, and what is passed how."""
        session = self.session
        if released := session.release():
            self.server.say(released)
        if session.waiting:
            self.client.pause(Pause.SIGN_IN)
        else:
            self.client.resume(Pause.SIGN_IN)
        if not session.accepted:
            return
        if session.opening.kind is HandshakeKind.RAW:
            log.info("[#%s]  passes as it is, clauses and all: %s", self.name, session.opening.reason)
        if self._websocket is None:
            self.client.passes, self.server.passes = session.from_client, session.from_server
        else:
            self._websocket.trusted = True
        self._owner.accepted(self)

    async def _open(self, client: socket.socket, settings: ShimSettings, loop: asyncio.AbstractEventLoop) -> None:
        tls = settings.listen_tls
        limit = settings.sign_in_timeout if tls else None
        try:
            await loop.connect_accepted_socket(lambda: self.client, client, ssl=tls, ssl_handshake_timeout=limit)
        except (OSError, asyncio.TimeoutError) as error:
            log.debug("[#%s]  no TLS with the client: %s", self.name, error)
            self.feed(Event.CLIENT_LOST)
            return
        finally:
            self._handshaking = None
        if self.state is State.CONNECTING:
            await self._connect(settings, loop)
        else:
            self.feed(Event.ABORT)

    async def _connect(self, settings: ShimSettings, loop: asyncio.AbstractEventLoop) -> None:
        try:
            await asyncio.wait_for(self._reach(settings, loop), settings.connect_timeout)
        except BaseException as error:
            # What has been connected and is not wanted any more, uvloop closes without a word to its protocol.
            self.server.gone()
            fault = _fault_of(error)
            if fault is None:
                raise
            self._owner.upstream_is(fault)
            self.feed(Event.UNREACHABLE)
        else:
            self._owner.upstream_is(None)

    async def _reach(self, settings: ShimSettings, loop: asyncio.AbstractEventLoop) -> None:
        self.upstream = await self._owner.upstream()
        host, port = self.upstream
        name = settings.upstream_name or host if settings.upstream_tls else None
        await loop.create_connection(lambda: self.server, host, port, ssl=settings.upstream_tls, server_hostname=name)

    def _check_accepted(self) -> None:
        if not self.session.accepted:
            log.debug("[#%s]  the client has not signed in in time", self.name)
            self.feed(Event.ABORT)

    def _check_gone(self) -> None:
        left = (self.client.transport, self.server.transport)
        if self.state is State.CLOSING and self._opening.done() and left == (None, None):
            self.feed(Event.GONE)

    def _flush_to_client(self) -> None:
        last = self.session.server_ended()
        self.client.say(last if self._websocket is None else self._websocket.framed(last))

    def _end_client(self) -> None:
        if self._websocket is not None:
            self.client.say(self._websocket.end())
        self.client.end()

    def _close(self) -> None:
        if self._websocket is not None:
            self.client.say(self._websocket.end())
        for peer in (self.client, self.server):
            peer.close()
        self._timers.append(asyncio.get_running_loop().call_later(LINGER, self.feed, Event.ABORT))

    def _abort(self) -> None:
        if self._handshaking is not None:
            with suppress(OSError):
                self._handshaking.shutdown(socket.SHUT_RDWR)
        elif not self._opening.done():
            self._opening.cancel()
        for peer in (self.client, self.server):
            peer.abort()

    def _forget(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._owner.forget(self)


_DO: Mapping[Step, Callable[[ShimConnection], None]] = {
    Step.READ_CLIENT: lambda connection: connection.client.resume(Pause.CONNECTING),
    Step.FLUSH_TO_SERVER: lambda connection: connection.server.say(connection.session.client_ended()),
    Step.FLUSH_TO_CLIENT: ShimConnection._flush_to_client,
    Step.END_SERVER: lambda connection: connection.server.end(),
    Step.END_CLIENT: ShimConnection._end_client,
    Step.RESET_CLIENT: lambda connection: connection.client.reset(),
    Step.CLOSE: ShimConnection._close,
    Step.ABORT: ShimConnection._abort,
    Step.FORGET: ShimConnection._forget,
}
"What each step means for the sockets."


def _fault_of(error: BaseException) -> str | None:
    """Why the server cannot be reached, in a few words; None: it is something else that ends the attempt."""
    if isinstance(error, asyncio.TimeoutError):  # no OSError until Python 3.11
        return "no answer in time"
    if isinstance(error, OSError):
        return reason_of(error)
    return str(error) if isinstance(error, ValueError) else None  # of a name that can be none, such as a..b
