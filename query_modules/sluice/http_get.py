"""
One GET, answered before a moment in time or not at all.

`urllib.request` bounds each read alone, so a server that sends a byte now and then holds its client for as long as it
likes; and it follows redirects, proxies and other schemes by rules of its own.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin, urlsplit

if TYPE_CHECKING:
    from typing_extensions import Buffer

PORTS = {"http": 80, "https": 443}
"Scheme -> its port."

REDIRECTS = (301, 302, 303, 307, 308)

PATH_CHARACTERS = "/%:@!$&'()*+,;=~"
"Of a path, besides letters and digits, what is sent as it is (RFC 3986, 3.3)."

USER_AGENT = "sluice/1"


def open_url(url: str, deadline: float) -> http.client.HTTPResponse:
    """
    The answer to a GET, its body still to be read.

    Args:
        url: `http://` or `https://`; a server's certificate has to be one that this machine trusts.
        deadline: `time.monotonic()` by which everything, reading the body included, has to be over.

    Raises:
        TimeoutError: it was not.
        OSError, http.client.HTTPException, ValueError: no answer, or none in HTTP.
    """
    parts = urlsplit(url)
    tls = parts.scheme.lower() == "https"
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or PORTS[parts.scheme.lower()])
    connection.default_port = PORTS[parts.scheme.lower()]
    target = quote(parts.path or "/", safe=PATH_CHARACTERS)
    if parts.query:
        target += "?" + quote(parts.query, safe=PATH_CHARACTERS + "?")
    try:
        connection.sock = _connect(connection, tls=tls, deadline=deadline)
        connection.request("GET", target, headers={"User-Agent": USER_AGENT, "Connection": "close"})
        return connection.getresponse()
    except BaseException:
        connection.close()
        raise


def redirected(url: str, response: http.client.HTTPResponse) -> str | None:
    """Where an answer sends its client; None if nowhere."""
    location = response.getheader("Location")
    return urljoin(url, location) if response.status in REDIRECTS and location else None


def origin(url: str) -> str:
    """Scheme, host and port: what may be shown of a URI that a server has made up."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _connect(connection: http.client.HTTPConnection, *, tls: bool, deadline: float) -> Any:
    sock = socket.create_connection((connection.host, connection.port), _remaining(deadline))
    if tls:
        sock.settimeout(_remaining(deadline))
        try:
            sock = ssl.create_default_context().wrap_socket(sock, server_hostname=connection.host)
        except BaseException:
            sock.close()
            raise
    return _TimedSocket(sock, deadline)


class _TimedSocket:
    """What `http.client` needs of a socket, with the time that is left as the timeout of each call."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline
        self._read_by_answer = False

    def sendall(self, data: Buffer) -> None:
        self._sock.settimeout(_remaining(self._deadline))
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        assert mode == "rb"
        self._read_by_answer = True
        return io.BufferedReader(_TimedReader(self._sock, self._deadline))

    def close(self) -> None:
        # `http.client` lets go of the socket as soon as an answer has begun, whose body is still to come over it.
        if not self._read_by_answer:
            self._sock.close()


class _TimedReader(io.RawIOBase):
    """The receiving side; closes the socket when it is closed."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        self._sock.settimeout(_remaining(self._deadline))
        return self._sock.recv_into(buffer)

    def close(self) -> None:
        self._sock.close()
        super().close()


def _remaining(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    return remaining
