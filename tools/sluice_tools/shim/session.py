"""
One connection through the shim, without the connection: bytes of either side in, bytes for the other side out.

Everything passes as it is but for three kinds of message: a RUN that holds a clause of ours, a ROUTE, and the server's
answers to these and to pulling a clause's result. To find them it follows the handshake, the message boundaries and the
count of requests and answers; it looks into no other message. What does not begin like Bolt (TLS, anything) passes
untouched for good.
"""

from __future__ import annotations

from collections.abc import Callable

from sluice_tools.shim.exchanges import Exchanges
from sluice_tools.shim.handshake import Handshake, HandshakeKind
from sluice_tools.shim.native_streams import NativeStreams
from sluice_tools.shim.readers import MAX_HELD, AnswerReader, RequestReader
from sluice_tools.shim.settings import Address
from sluice_tools.shim.sign_in import SignIn
from sluice_tools.shim.splitter import MessageSplitter
from sluice_tools.shim.statistics import Statistics


class Session:
    """
    What passes between one client and the server.

    Neither feeding nor ending raises. `name` stands for the connection in the log.
    """

    def __init__(
        self,
        name: str,
        statistics: Statistics | None = None,
        natives: NativeStreams | None = None,
        advertise: Address | None = None,
    ) -> None:
        """
        Args:
            statistics: where clauses are counted.
            natives: the streams of Memgraph's own that other sessions have seen made.
            advertise: the address that a ROUTE is answered with; None: the one that the client says it has used.
        """
        statistics, natives = statistics or Statistics(), natives or NativeStreams()
        self.opening = Handshake()
        self.exchanges = Exchanges()
        self.from_client: Callable[[bytes], bytes] = self._open_client
        "What goes on to the server when the client sends something. Another function once more is known."
        self.from_server: Callable[[bytes], bytes] = self._open_server
        "What goes on to the client when the server sends something. Another function once more is known."
        self._sign_in: SignIn | None = None
        self._early = bytearray()
        "What the client said before the server had answered its handshake."
        self._heard = False
        "Whether the server has said anything to a client that does not speak Bolt."
        self._requests = MessageSplitter(RequestReader(name, self.exchanges, statistics, advertise), MAX_HELD)
        self._answers = MessageSplitter(AnswerReader(name, self.exchanges, statistics, natives), MAX_HELD)

    @property
    def accepted(self) -> bool:
        """Whether the server has accepted the client: signed in, or, where Bolt is not spoken to us, answered."""
        if self.opening.kind is HandshakeKind.BOLT:
            return self._sign_in is None
        return self._heard

    @property
    def waiting(self) -> bool:
        """Whether the client is not to be read for now: the server has to accept it first."""
        if self._sign_in is not None:
            return self._sign_in.waiting
        return bool(self._early) and self.opening.kind is HandshakeKind.UNDECIDED

    @property
    def idle(self) -> bool:
        """Whether nothing is under way: all that was asked is answered, and neither side is inside a message."""
        return self.exchanges.idle and self._requests.between and self._answers.between

    def release(self) -> bytes:
        """What goes on to the server of what the client sent while it was `waiting`; to be asked for after that."""
        if self.waiting:
            return b""
        kept = bytes(self._early)
        self._early.clear()
        if self._sign_in is not None:
            kept += self._sign_in.release()
        if self._sign_in is not None and self._sign_in.done:
            self._sign_in = None
            # From here on there is nothing between the splitter and the wire: a call less is felt in every query.
            self.from_client, self.from_server = self._requests.feed, self._answers.feed
        return self.from_client(kept) if kept else b""

    def client_ended(self) -> bytes:
        """What goes on to the server when the client sends no more."""
        kept = bytes(self._early) + (self._sign_in.release() if self._sign_in else b"")
        return self.opening.client_ended() + kept + self._requests.end()

    def server_ended(self) -> bytes:
        """What goes on to the client when the server sends no more."""
        return self.opening.server_ended() + self._answers.end()

    def _open_client(self, data: bytes) -> bytes:
        passing, following = self.opening.from_client(data)
        self._settle()
        if self.opening.kind is HandshakeKind.UNDECIDED:
            self._early += following
            return passing
        return passing + self.from_client(following) if following else passing

    def _open_server(self, data: bytes) -> bytes:
        passing, following = self.opening.from_server(data)
        self._settle()
        return passing + self.from_server(following) if following else passing

    def _settle(self) -> None:
        if self.opening.kind is HandshakeKind.BOLT:
            self._sign_in = SignIn(self.exchanges, self.opening.version)
            self.from_client, self.from_server = self._sign_in.from_client, self._sign_in_server
        elif self.opening.kind is HandshakeKind.RAW:
            # What was gathered to see whether it is Bolt comes first.
            self._early[:0] = self.opening.client_ended()
            self.from_client, self.from_server = self._pass_early, self._hear

    def _sign_in_server(self, data: bytes) -> bytes:
        assert self._sign_in is not None
        passing, following = self._sign_in.from_server(data)
        return passing + self._answers.feed(following) if following else passing

    def _pass_early(self, data: bytes) -> bytes:
        early = bytes(self._early)
        self._early.clear()
        self.from_client = _pass
        return early + data

    def _hear(self, data: bytes) -> bytes:
        self._heard, self.from_server = True, _pass
        return self.opening.server_ended() + data  # what was gathered of its answer comes first


def _pass(data: bytes) -> bytes:
    return data
