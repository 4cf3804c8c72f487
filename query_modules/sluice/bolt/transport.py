"""
A byte stream to a server that is written and read at the same time.

It runs inside a database server's process. So the only blocking call is `poll`, which releases the GIL; a closed peer
never causes a signal (`MSG_NOSIGNAL`), which would end the database; and TLS works over memory, because `SSLSocket`
takes no flags.
"""

from __future__ import annotations

import math
import os
import select
import socket
import ssl
import threading
import time

from sluice.errors import ConnectionLost

_READ_SIZE = 0x40000
_SEALED_SIZE = 0x10000
"Bytes passed to TLS at once: its output has to be kept until the socket accepts it."


class Transport:
    """
    A connected socket, plain or with TLS.

    Threads: one thread at a time transfers and closes; any thread may call abort.
    """

    def __init__(self, connected: socket.socket, name: str) -> None:
        connected.setblocking(False)
        self.name = name
        "`host:port`, for messages."
        self.sent = 0
        "Bytes that the kernel, or TLS, has accepted since the beginning: what the server may have received."
        self._socket = connected
        self._poll = select.poll()
        self._poll.register(connected, select.POLLIN)
        self._tls: _Tls | None = None
        self._unsent = b""
        "Encrypted, but not yet accepted by the socket."
        self._deaf: OSError | None = None
        "Why the peer accepts nothing any more. Its last messages may still be unread, so this is not the end yet."
        self._lock = threading.Lock()  # guards the descriptor: a shutdown after close could hit another socket
        self._aborted = False
        self._closed = False

    @classmethod
    def open(
        cls, host: str, port: int, tls: ssl.SSLContext | None, timeout: float, tls_name: str | None = None
    ) -> Transport:
        """
        Connect, and negotiate TLS if there is a context.

        Args:
            tls_name: the name that the server's certificate is for; None: `host`.

        Raises:
            ConnectionLost: with the reason, in one line.
        """
        name = f"{host}:{port}"
        deadline = time.monotonic() + timeout
        try:
            connected = socket.create_connection((host, port), timeout)
        except OSError as error:
            raise ConnectionLost(f"{name}: {reason_of(error)}") from error
        try:
            tune(connected)
            transport = cls(connected, name)
            if tls is not None:
                transport._tls = _Tls(tls, tls_name or host)
                transport._negotiate(deadline)
        except BaseException:
            connected.close()
            raise
        return transport

    def transfer(self, outgoing: memoryview, deadline: float | None) -> tuple[int, bytes]:
        """
        One step: wait until the server sends something or accepts some of `outgoing`, then do as much of both as
        possible.

        Args:
            deadline: of `time.monotonic()`; None: wait until `abort`.

        Returns:
            How many bytes of `outgoing` were accepted, and what was received; may be (0, b"").

        Raises:
            ConnectionLost: closed by either side, aborted, or past the deadline.
        """
        if deadline is not None and time.monotonic() > deadline:
            raise ConnectionLost(f"{self.name}: no answer in time")
        taken = self._take(outgoing)
        # What was accepted may have made room for more, so check what has arrived without waiting.
        readable = self._wait(len(outgoing) > taken, time.monotonic() if taken else deadline)
        if not readable and not taken and deadline is not None and time.monotonic() > deadline:
            raise ConnectionLost(f"{self.name}: no answer in time")
        return taken, self._receive() if readable else b""

    @property
    def readable(self) -> bool:
        """Whether data or the end of the connection has arrived; does not wait."""
        return self._wait(False, time.monotonic())

    def abort(self) -> None:
        """Make the current `transfer`, or else the next one, raise ConnectionLost at once."""
        with self._lock:
            self._aborted = True
            if not self._closed:
                try:
                    self._socket.shutdown(socket.SHUT_RDWR)
                except OSError:
                    return  # no longer connected, as intended

    def close(self) -> None:
        """Close the socket. Never raises; may be called again."""
        with self._lock:
            self._closed = True
            self._socket.close()

    def _take(self, outgoing: memoryview) -> int:
        """Pass on as much of `outgoing` as possible, through TLS if it is used."""
        if self._tls is None:
            taken = self._send(outgoing) if outgoing else 0
            self.sent += taken
            return taken
        taken = 0
        if outgoing and not self._unsent:
            try:
                taken = self._tls.seal(outgoing[:_SEALED_SIZE])
            except OSError as error:
                raise ConnectionLost(f"{self.name}: {reason_of(error)}") from error
            self.sent += taken
        self._unsent += self._tls.sealed()
        if self._unsent:
            self._unsent = self._unsent[self._send(memoryview(self._unsent)) :]
        return taken

    def _send(self, data: memoryview) -> int:
        if self._closed:
            raise ConnectionLost(f"{self.name}: the connection is closed")
        if self._deaf is not None:
            return 0
        try:
            return self._socket.send(data, socket.MSG_NOSIGNAL)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self._deaf = error
            return 0

    def _wait(self, writing: bool, deadline: float | None) -> bool:
        """Wait until the socket can be read or accepts more, or the time is over. Returns whether it can be read."""
        if self._closed:
            raise ConnectionLost(f"{self.name}: the connection is closed")
        takes_more = (writing or self._unsent) and self._deaf is None
        self._poll.modify(self._socket, select.POLLIN | (select.POLLOUT if takes_more else 0))
        timeout = None if deadline is None else max(0, math.ceil((deadline - time.monotonic()) * 1000))
        return any(events & ~select.POLLOUT for _, events in self._poll.poll(timeout))

    def _receive(self) -> bytes:
        try:
            data = self._socket.recv(_READ_SIZE)
            if data and self._tls is not None:
                return self._tls.opened(data)
        except (BlockingIOError, InterruptedError):
            return b""
        except OSError as error:
            raise ConnectionLost(f"{self.name}: {'aborted' if self._aborted else reason_of(error)}") from error
        if not data:
            raise ConnectionLost(f"{self.name}: {self._reason_of_the_end()}") from self._deaf
        return data

    def _reason_of_the_end(self) -> str:
        if self._aborted:
            return "aborted"
        # The system reports a reset once: if a write has met it, a read finds only the end.
        return reason_of(self._deaf) if isinstance(self._deaf, ConnectionResetError) else "closed by the server"

    def _negotiate(self, deadline: float) -> None:
        """The TLS handshake."""
        try:
            while self._tls is not None and not self._tls.agreed():
                self.transfer(memoryview(b""), deadline)
        except OSError as error:
            raise ConnectionLost(f"{self.name}: {reason_of(error)}") from error


class _Tls:
    """One side of TLS, between plain and encrypted bytes. Does no I/O."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._arrived, self._leaving, server_hostname=host)

    def agreed(self) -> bool:
        """Continues the handshake; returns whether it is complete."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def seal(self, data: memoryview) -> int:
        """Encrypt `data`; the result is in `sealed`."""
        return self._tls.write(data)

    def sealed(self) -> bytes:
        """The bytes to send."""
        return self._leaving.read()

    def opened(self, data: bytes) -> bytes:
        """Decrypt what arrived; b"" if it was a TLS control message or an incomplete record."""
        if data:
            self._arrived.write(data)
        plain = bytearray()
        try:
            while piece := self._tls.read(_READ_SIZE):
                plain += piece
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass  # no complete record is left, or the peer will close; the end itself comes from the socket
        return bytes(plain)


def reason_of(error: OSError) -> str:
    """A system error in a few words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)  # asyncio has its own texts for them
    return error.strerror or str(error) or type(error).__name__


def tune(connected: socket.socket) -> None:
    """Send at once; notice within a minute that the peer's machine has gone."""
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
