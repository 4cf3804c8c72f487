"""One of the two sockets of a connection through the shim: what it receives goes, filtered, to the other."""

from __future__ import annotations

import asyncio
import enum
import logging
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from sluice.bolt.transport import tune
from sluice_tools.shim.lifecycle import Event, State
from sluice_tools.shim.statistics import Meter

HIGH_WATER = 0x40000
"Bytes waiting for one side at which the other is not read any more. What one read brings comes on top."

A_LOT = 0x30000
"Bytes of one read that show that more are waiting, when the loop would read on from the same connection."


log = logging.getLogger("sluice.shim")


class Pause(enum.Enum):
    """Why a peer is not read for now."""

    CONNECTING = "the server is being connected to"
    SIGN_IN = "the server has to accept the client first"
    FULL = "the other side has to take something first"
    TURN = "the other connections have their turn first"
    REPLIES = "it has to take what the shim itself replies"
    ENDED = "it sends no more; uvloop would say so again and again"


class Peer(asyncio.Protocol):
    """A socket, the client's or the server's. Threads: the event loop's."""

    def __init__(self, name: str, feed: Callable[[Event], State], meter: Meter, ended: Event, lost: Event) -> None:
        """
        Args:
            name: the connection's, for the log.
            feed: told what happens; gives the state that follows.
            ended: what happens when this side sends no more.
            lost: what happens when this side is gone.
        """
        self.transport: asyncio.Transport | None = None
        self.other: Peer
        self.passes: Callable[[bytes], bytes]
        "What goes to the other side for what came from this one."
        self._early = bytearray()
        "What is to be sent once there is a transport: what one read brings (`connection_made`)."
        self.say: Callable[[bytes], None] = self._early.extend
        "Send. The transport's own function, while there is one, for every query comes by here."
        self.answered_here = False
        "Whether what it sends may be answered by the shim itself, such as a ping."
        self._name = name
        self._feed = feed
        self._meter = meter
        self._ended, self._lost = ended, lost
        self._pauses: set[Pause] = set()

    @property
    def half_closes(self) -> bool:
        """Whether this side can be told that no more comes without being closed. With TLS there is no such state."""
        return self.transport is not None and self.transport.can_write_eof()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # which uvloop's are not, by their class
        self.transport.set_write_buffer_limits(HIGH_WATER)
        with _socket_of(self.transport) as plain:
            tune(plain)
        self.say = self.transport.write
        self.say(bytes(self._early))
        if self._pauses:
            self.transport.pause_reading()
            # uvloop reads all the same, but for the next call (findings/uvloop-pause-when-connection-is-made.sh).
            # asyncio of Python 3.11.2, which is Debian 12's, does so too, and takes no second pause for one.
            asyncio.get_running_loop().call_soon(self._pause_again)
        if self._lost is Event.SERVER_LOST:
            self._feed(Event.CONNECTED)

    def _pause_again(self) -> None:
        if self._pauses and self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()
            self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        self._meter.bytes += len(data)
        try:
            passing = self.passes(data)
        except Exception:
            # A fault of ours ends one connection, and no other.
            log.exception("[#%s]  closed by a fault in the shim", self._name)
            self._feed(Event.ABORT)
            return
        self.other.say(passing)
        if len(data) > A_LOT:
            # One connection's bulk must not keep the others waiting: libuv would read 32 times before it looks up.
            self.pause(Pause.TURN)
            asyncio.get_running_loop().call_soon(self.resume, Pause.TURN)

    def eof_received(self) -> bool:
        if not (self.half_closes and self.other.half_closes):
            return False  # asyncio closes this side, and says that it is lost
        self.pause(Pause.ENDED)
        return self._feed(self._ended) is not State.CLOSING

    def pause_writing(self) -> None:
        self.other.pause(Pause.FULL)
        if self.answered_here:
            self.pause(Pause.REPLIES)

    def resume_writing(self) -> None:
        self.other.resume(Pause.FULL)
        self.resume(Pause.REPLIES)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is None:
            return  # an attempt to connect that was given up just as it succeeded
        self.gone()
        if exc is not None:
            log.debug("[#%s]  %s: %s", self._name, self._lost.value, exc)
        self._feed(self._lost)

    def pause(self, reason: Pause) -> None:
        """Read no more for now."""
        self._pauses.add(reason)
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume(self, reason: Pause) -> None:
        """Read again, unless there is another reason not to."""
        self._pauses.discard(reason)
        if not self._pauses and self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def end(self) -> None:
        """Say that no more will be sent."""
        if self.half_closes and self.transport is not None:
            self.transport.write_eof()

    def close(self) -> None:
        """Close once what is written is sent."""
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()

    def reset(self) -> None:
        """Close at once, and let the other machine know that by a reset."""
        if self.transport is not None:
            with _socket_of(self.transport) as plain:
                make_resetting(plain)
            self.transport.abort()

    def gone(self) -> None:
        """There is no connection any more."""
        self.transport = None
        self.say = _nowhere


def make_resetting(connected: socket.socket) -> None:
    """Have closing this socket reset the connection."""
    with suppress(OSError):  # reset already, by the other side
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _nowhere(data: bytes) -> None:
    """There is nobody to send to."""


def _socket_of(transport: asyncio.Transport) -> socket.socket:
    # A second descriptor of the same socket: the one that uvloop gives out has no options.
    return socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
