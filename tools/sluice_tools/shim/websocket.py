"""
Bolt over WebSocket, as drivers speak it in a browser: frames in, Bolt out, and back. No I/O.

The shim ends the WebSocket, and speaks plain Bolt to the server: so clauses are translated, and the server need not
know WebSockets. Framing, masks, pings and the closing handshake are those of the library `websockets`.

Source: RFC 6455; drivers send binary messages, and Bolt has no regard for where one of them ends.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Set

from websockets.exceptions import InvalidOrigin
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

FIRST_BYTES = b"GET "
"What a WebSocket begins with, and Bolt does not."

MAX_FRAME = 16 * 1024 * 1024
"Most bytes in a client's message: what it sends at once. Bolt's own messages may be longer."

MAX_EARLY = 0x10000
"... before the server has accepted the client. That, and one read, is what the shim holds of it at most."

_quiet = logging.getLogger("sluice.shim.websocket")
_quiet.disabled = True
"For the library, which would log what is in the frames."


class WebSocket:
    """One client's."""

    def __init__(self, origins: Set[str]) -> None:
        """
        `origins`: the web pages that may open one, in lower case, such as `https://lab.example.org`; `*` is any. A
        client that is no browser sends no Origin, and is not asked for one.
        """
        pages = [re.compile(re.escape(origin), re.IGNORECASE) for origin in sorted(origins)]
        allowed = None if "*" in origins else [*pages, None]
        self._protocol = ServerProtocol(origins=allowed, max_size=MAX_FRAME, logger=_quiet)
        self._gathered = 0
        "Bytes of a frame that is not whole."
        self.trusted = False
        "Whether the server has accepted the client."
        self.refusal: str | None = None
        "Why the client gets no WebSocket, for the log."

    @property
    def over(self) -> bool:
        """Whether nothing more comes of it: refused, or closed by the client or for a fault of the client's."""
        return self._protocol.close_expected()

    def received(self, data: bytes) -> bytes:
        """The Bolt that a client's bytes complete. What it is to be answered is in `reply` afterwards."""
        self._protocol.receive_data(data)
        self._gathered += len(data)
        bolt = []
        for event in self._protocol.events_received():
            self._gathered = 0
            if isinstance(event, Request):
                self._answer(event)
            elif isinstance(event, Frame) and event.opcode in (Opcode.BINARY, Opcode.CONT):
                bolt.append(event.data)
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._protocol.fail(CloseCode.UNSUPPORTED_DATA, "Bolt is binary")
        if self._gathered > MAX_EARLY and not self.trusted:
            self._protocol.fail(CloseCode.MESSAGE_TOO_BIG)
        return b"".join(bolt)

    def reply(self) -> bytes:
        """What goes to the client by itself: the answer to its request, pongs, the end."""
        return b"".join(self._protocol.data_to_send())

    def framed(self, bolt: bytes) -> bytes:
        """What to send the client for Bolt from the server."""
        if not bolt or self._protocol.state is not State.OPEN:
            return b""
        self._protocol.send_binary(bolt)
        return self.reply()

    def end(self) -> bytes:
        """What to send the client as the last of all."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(CloseCode.GOING_AWAY)
        return self.reply()

    def _answer(self, request: Request) -> None:
        response = self._protocol.accept(request)
        error = self._protocol.handshake_exc
        if isinstance(error, InvalidOrigin):
            page = str(error.value)[:100].encode("unicode_escape").decode("ascii")
            self.refusal = f"a web page of {page} opens a WebSocket, and --websocket-origin does not name it"
        elif error is not None:
            self.refusal = "it speaks HTTP, and opens no WebSocket as RFC 6455 has it"
        if not self._protocol.eof_sent:  # as it is where what follows the request in the same bytes is already at fault
            self._protocol.send_response(response)
