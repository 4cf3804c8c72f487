"""
Two connections, a client's and its own to the server, and what passes between them.

Memory is bounded: whoever does not read stops the other side's being read.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Callable
from typing import Protocol, cast

from sluice.bolt.transport import reason_of, tune
from sluice_tools.shim.handshake import Kind
from sluice_tools.shim.session import Session
from sluice_tools.shim.settings import ShimSettings
from sluice_tools.shim.statistics import Meter, Statistics

HIGH_WATER = 0x40000
"Bytes waiting for one side at which the other is not read any more. What one read brings comes on top."

A_LOT = 0x30000
"Bytes of one read that show that more are waiting, when the loop would read on from the same connection."

LINGER = 30.0
"How long a side may take to read the last words of the other, in seconds."

log = logging.getLogger("sluice.shim")


class Owner(Protocol):
    """Who has the links; `Proxy`."""

    @property
    def tally(self) -> Statistics:
        """Where to count."""

    def admit(self, link: ShimConnection) -> None:
        """A client is there."""

    def forget(self, link: ShimConnection) -> None:
        """A client is gone, and so is its connection to the server."""

    def upstream_is(self, fault: str | None) -> None:
        """How connecting to the server went; None: well."""


class Peer(asyncio.Protocol):
    """
    One of the two connections of a link: what it receives goes, filtered, to the other.

    Threads: the event loop's.
    """

    def __init__(self, link: ShimConnection, ended: Callable[[], bytes], meter: Meter) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: Peer
        self.passes: Callable[[bytes], bytes]
        "What goes to the other side for what came from this one."
        self.say: Callable[[bytes], None] = link.keep
        "Send, if there is anybody to send to. The transport's own function then, for every query comes by here."
        self.silent = False
        "Whether this side has said that it sends no more."
        self._ended = ended
        self._link = link
        self._meter = meter
        self._blocked = False
        "Whether the other side has to take something first, before more is read from this one."
        self._resting = False
        "Whether the other connections have their turn first."

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # which uvloop's are not, by their class
        self.transport.set_write_buffer_limits(HIGH_WATER)
        _tune(self.transport)
        self.say = self.transport.write
        self._link.made(self)

    def data_received(self, data: bytes) -> None:
        self._meter.bytes += len(data)
        try:
            passing = self.passes(data)
        except Exception:
            # A fault of ours ends one connection, and no other.
            log.exception("[#%s]  closed by a fault in the shim", self._link.name)
            self._link.abort()
            return
        self.other.say(passing)
        if len(data) > A_LOT:
            # One connection's bulk must not keep the others waiting: libuv would read 32 times before it looks up.
            self._resting = True
            self._read_or_wait()
            asyncio.get_running_loop().call_soon(self._rested)

    def eof_received(self) -> bool:
        self.silent = True
        if last_words := self._ended():
            self.other.say(last_words)
        if self._link.connecting or (self.other.end() and not self.other.silent):
            # Half closed: the other side may still have something to say. With TLS there is no such state.
            return self.transport is not None and self.transport.can_write_eof()
        self._link.close()
        return False

    def end(self) -> bool:
        """Say that no more will be sent; whether that can be said without closing."""
        if self.transport is None or not self.transport.can_write_eof():
            return False
        self.transport.write_eof()
        return True

    def pause_writing(self) -> None:
        self.other.block(True)

    def resume_writing(self) -> None:
        self.other.block(False)

    def block(self, blocked: bool) -> None:
        """Read no more, or go on."""
        self._blocked = blocked
        self._read_or_wait()

    def _rested(self) -> None:
        self._resting = False
        self._read_or_wait()

    def _read_or_wait(self) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        if self._blocked or self._resting:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.say = self._link.keep
        self._link.lost(self, exc)


class ShimConnection:
    """A client, its connection to the server, and the session that says what passes between them."""

    def __init__(self, owner: Owner, name: str, session: Session) -> None:
        self.name = name
        "In the log."
        self.session = session
        self.client = Peer(self, session.client_ended, owner.tally.from_clients)
        self.server = Peer(self, session.server_ended, owner.tally.from_server)
        self.client.other, self.server.other = self.server, self.client
        self.client.passes, self.server.passes = self._open_client, self._open_server
        self.connecting = True
        "Whether there was no connection to the server yet."
        self._early = bytearray()
        "What the client said meanwhile: what one read brings, then it is not read any more."
        self._owner = owner
        self._connecting: asyncio.Task[None] | None = None
        self._timers: list[asyncio.TimerHandle] = []

    def made(self, end: Peer) -> None:
        """One of the two connections is there."""
        if end is self.client:
            self._owner.admit(self)
        elif self.client.transport is None:
            self.abort()
        else:
            self.connecting = False
            # First, for what is said then may be much, and stop the client's being read again.
            self.client.block(False)
            end.say(bytes(self._early))
            self._early.clear()
            if self.client.silent and not end.end():
                self.close()

    def keep(self, data: bytes) -> None:
        """What a client says before there is a server to hear it."""
        if self.connecting:
            self._early += data
            self.client.block(True)

    def connect(self, settings: ShimSettings, loop: asyncio.AbstractEventLoop) -> None:
        """Connect to the server."""
        self._connecting = loop.create_task(self._connect(settings, loop))
        self._connecting.add_done_callback(lambda _: self._forget_if_over())
        self._timers.append(loop.call_later(settings.handshake_timeout, self._check_handshake))

    def close(self) -> None:
        """Close both connections when what they are to be told is sent; LINGER seconds later at the latest."""
        for end in (self.client, self.server):
            if end.transport is not None:
                end.transport.close()
        if self.client.transport is not None or self.server.transport is not None:
            self._timers.append(asyncio.get_running_loop().call_later(LINGER, self.abort))

    def abort(self) -> None:
        """Close both connections at once."""
        if self._connecting is not None:
            self._connecting.cancel()
        for end in (self.client, self.server):
            if end.transport is not None:
                end.transport.abort()

    def refuse(self) -> None:
        """Reset the client's connection: what it would get from a server that is not there."""
        if self.client.transport is not None:
            _reset(self.client.transport)

    def leave(self) -> None:
        """Close as soon as nothing is under way."""
        if self.session.idle:
            self.close()
            return

        def pass_and_leave(data: bytes) -> bytes:
            passing = self.session.from_server(data)
            if self.session.idle:
                asyncio.get_running_loop().call_soon(self.close)
            return passing

        self.server.passes = pass_and_leave

    def lost(self, end: Peer, error: Exception | None) -> None:
        """One of the two connections is gone, so the other has to go."""
        if error is not None:
            log.debug("[#%s]  %s lost: %s", self.name, "client" if end is self.client else "server", error)
        if end.other.transport is not None:
            if not end.silent:
                end.other.say(self.session.client_ended() if end is self.client else self.session.server_ended())
            self.close()
        elif self._connecting is not None and not self._connecting.done():
            self._connecting.cancel()
        else:
            self._forget_if_over()

    def _open_client(self, data: bytes) -> bytes:
        passing = self.session.from_client(data)
        self._settle()
        return passing

    def _open_server(self, data: bytes) -> bytes:
        passing = self.session.from_server(data)
        self._settle()
        return passing

    def _settle(self) -> None:
        if not self.session.settled:
            return
        self.client.passes, self.server.passes = self.session.from_client, self.session.from_server
        if self.session.opening.kind is Kind.RAW:
            log.info("[#%s]  passes as it is, clauses and all: %s", self.name, self.session.opening.reason)

    def _forget_if_over(self) -> None:
        if self.client.transport is not None or self.server.transport is not None:
            return
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._owner.forget(self)

    async def _connect(self, settings: ShimSettings, loop: asyncio.AbstractEventLoop) -> None:
        host, port = settings.upstream
        name = settings.upstream_name or host if settings.upstream_tls else None
        try:
            connecting = loop.create_connection(
                lambda: self.server, host, port, ssl=settings.upstream_tls, server_hostname=name
            )
            await asyncio.wait_for(connecting, settings.connect_timeout)
        except BaseException as error:
            # What has been connected and is not wanted any more, uvloop closes without a word to its protocol.
            self.server.transport = None
            fault = _fault_of(error)
            if fault is None:
                raise
            self._owner.upstream_is(fault)
            self.refuse()
        else:
            self._owner.upstream_is(None)

    def _check_handshake(self) -> None:
        if not self.session.settled:
            log.debug("[#%s]  no handshake in time", self.name)
            self.abort()


def _fault_of(error: BaseException) -> str | None:
    """Why the server cannot be reached, in a few words; None: it is something else that ends the attempt."""
    if isinstance(error, asyncio.TimeoutError):  # no OSError until Python 3.11
        return "no answer in time"
    if isinstance(error, OSError):
        return reason_of(error)
    return str(error) if isinstance(error, ValueError) else None  # of a name that can be none, such as a..b


def _socket_of(transport: asyncio.Transport) -> socket.socket:
    # A second descriptor of the same socket: the one that uvloop gives out has no options.
    return socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))


def _tune(transport: asyncio.Transport) -> None:
    with _socket_of(transport) as plain:
        tune(plain)


def _reset(transport: asyncio.Transport) -> None:
    with _socket_of(transport) as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
