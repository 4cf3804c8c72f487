"""
What passes between the handshake and the server's consent to HELLO or LOGON. No I/O.

Nothing of a client that has not signed in is parsed, held until it is whole, or translated: its messages are walked
along to find their ends, and pass as they arrive. Only what follows the request that signs it in waits for the answer.

Source: Bolt documentation, "Message specification": HELLO signs in before 5.1, LOGON from 5.1 on.
"""

from __future__ import annotations

from sluice.bolt.messages import Tag, Version
from sluice_tools.shim.exchanges import Exchanges
from sluice_tools.shim.splitter import Walker

LOGON_SINCE = Version(5, 1)
"The first version in which HELLO alone signs nobody in."


class SignIn:
    """
    Counts requests and answers of a client that is signing in.

    Neither method raises. Memory is that of what one `from_client` brought.
    """

    def __init__(self, exchanges: Exchanges, version: Version) -> None:
        self._exchanges = exchanges
        self._decisive = int(Tag.LOGON if version >= LOGON_SINCE else Tag.HELLO)
        self._client, self._server = Walker(), Walker()
        self._asked_at: int | None = None
        "The index of the request that signs the client in, while it has no answer."
        self._kept = bytearray()
        self.done = False
        "Whether the server has accepted the client."

    @property
    def waiting(self) -> bool:
        """Whether the client is not to be read: the server has to answer first."""
        return self._asked_at is not None

    def from_client(self, data: bytes) -> bytes:
        """What goes on to the server; nothing while `waiting`."""
        if self.waiting:
            self._kept += data
            return b""
        position = 0
        while position < len(data):
            position, ended = self._client.walk(data, position, None)
            tag = self._client.head[1] if len(self._client.head) > 1 else -1
            if not ended or not self._client.head:
                continue
            asked_at = self._exchanges.asked
            self._exchanges.ask(tag)
            if tag == self._decisive:
                self._asked_at = asked_at
                self._kept += data[position:]
                return data[:position]
        return data

    def from_server(self, data: bytes) -> tuple[bytes, bytes]:
        """What goes on to the client, and what of `data` follows the answer that accepted it."""
        position = 0
        while position < len(data):
            position, ended = self._server.walk(data, position, None)
            if not ended or not self._server.head:
                continue
            tag = self._server.head[1] if len(self._server.head) > 1 else -1
            if tag == Tag.RECORD:
                continue
            answered_at = self._exchanges.answered
            self._exchanges.answer()
            if answered_at == self._asked_at:
                self._asked_at = None
                if tag == Tag.SUCCESS:
                    self.done = True
                    return data[:position], data[position:]
        return data, b""

    def release(self) -> bytes:
        """What the client sent while it was `waiting`, to be fed again now."""
        kept = bytes(self._kept)
        self._kept.clear()
        return kept
