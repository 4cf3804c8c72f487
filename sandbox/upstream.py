"""A Bolt connection to the graph: one for each client, carrying the client's own transaction."""

from __future__ import annotations

import select
import socket
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from sandbox.engine import USER
from sluice.bolt import messages
from sluice.bolt.framing import MessageBuffer, frame
from sluice.bolt.messages import Proposal, Tag, Version
from sluice.bolt.values import Value

MAX_MESSAGE = 256 * 1024 * 1024
READ_SIZE = 0x40000

OnReply = Callable[[bytes, int], None]
"Takes an unframed message and its tag: RECORDs first, then the one that ends the answer."


class UpstreamLost(Exception):
    """The graph closed the connection: its process is gone, or going."""


class Refused(Exception):
    """The graph answered FAILURE, or IGNORED after an earlier one."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Result(NamedTuple):
    """What a query gave."""

    fields: list[str]
    rows: list[list[Value]]


class Upstream:
    """
    Requests out, answers back in the same order.

    Threads: for one thread, but for `abort`.
    """

    def __init__(self, port: int, password: str, version: Version) -> None:
        """
        Connect and log in.

        Args:
            version: what the client speaks, so that messages can be passed on as they are.
        """
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # ArcadeDB has 4.4 where Memgraph has 4.1 and 4.3; what a client of those sends and gets is the same.
        proposal = Proposal(5, 2) if version.major == 5 else Proposal(4, 4, 4)
        self._socket.sendall(messages.handshake([proposal]))
        if messages.parse_answer(self._socket.recv(messages.ANSWER_SIZE)) is None:
            raise UpstreamLost("the graph speaks no Bolt that the client speaks")
        self._socket.setblocking(False)
        self._poll = select.poll()
        self._buffer = MessageBuffer(MAX_MESSAGE)
        self._outgoing = bytearray()
        self._expected: deque[OnReply] = deque()
        self._log_in(version, password)

    @property
    def descriptor(self) -> int:
        """To wait for answers with."""
        return self._socket.fileno()

    def send(self, message: bytes, on_reply: OnReply) -> None:
        """Queue a request for `flush`."""
        self._outgoing += frame(message)
        self._expected.append(on_reply)

    def look_anew(self) -> None:
        """
        Have the next query, which is in no transaction, see what has been committed until now.

        Once a connection has written something, ArcadeDB goes on to show it the state of that moment: repeatable reads
        do not end with the transaction, but only with the next one.
        """
        self.send(messages.begin(), _ignore)
        self.send(messages.rollback(), _ignore)

    def flush(self) -> None:
        """
        Send what is queued.

        Takes answers meanwhile: the graph stops reading when nobody takes what it says.
        """
        while self._outgoing:
            try:
                sent = self._socket.send(self._outgoing)
            except BlockingIOError:
                self._wait(select.POLLIN | select.POLLOUT)
                self.receive()
            except OSError as error:
                raise UpstreamLost(str(error)) from error
            else:
                del self._outgoing[:sent]

    def receive(self) -> None:
        """Hand on what has arrived; does not wait."""
        try:
            data = self._socket.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            raise UpstreamLost(str(error)) from error
        if not data:
            raise UpstreamLost("closed by the graph")
        for message in self._buffer.feed(data):
            tag = message[1]
            if tag == Tag.RECORD:
                self._expected[0](message, tag)
            else:
                self._expected.popleft()(message, tag)

    def drain(self) -> None:
        """Send what is queued and wait until everything is answered."""
        self.flush()
        while self._expected:
            self._wait(select.POLLIN)
            self.receive()

    def ask(self, query: str, parameters: Mapping[str, Value] | None = None) -> Result:
        """
        Run a query and fetch all of its result. For when nothing else is queued.

        Raises:
            Refused: the session has failed; only RESET is good for anything then.
        """
        run, pull = _Answer(), _Answer()
        self.send(messages.run(query, parameters), run)
        self.send(messages.pull(), pull)
        self.drain()
        fields = run.metadata()["fields"]
        pull.metadata()
        return Result(fields, pull.rows)

    def request(self, message: bytes) -> None:
        """Send a request that has no result. Raises Refused."""
        answer = _Answer()
        self.send(message, answer)
        self.drain()
        answer.metadata()

    def abort(self) -> None:
        """Cut the connection. Threads: any."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def close(self) -> None:
        """Close the connection; an open transaction is rolled back."""
        self._socket.close()

    def _log_in(self, version: Version, password: str) -> None:
        auth: dict[str, Value] = {"scheme": "basic", "principal": USER, "credentials": password}
        agent: dict[str, Value] = {"user_agent": "sandbox/1"}
        if version >= (5, 1):
            self.request(messages.hello(agent))
            self.request(messages.logon(auth))
        else:
            self.request(messages.hello(agent | auth))

    def _wait(self, events: int) -> None:
        self._poll.register(self._socket, events)
        self._poll.poll()


def _ignore(message: bytes, tag: int) -> None:
    """Takes an answer that nobody waits for."""


class _Answer:
    """Collects the answer to one request."""

    def __init__(self) -> None:
        self.rows: list[list[Value]] = []
        self._end = b""

    def __call__(self, message: bytes, tag: int) -> None:
        if tag == Tag.RECORD:
            (row,) = messages.parse(message).fields
            self.rows.append(row)
        else:
            self._end = message

    def metadata(self) -> dict[str, Value]:
        """Of SUCCESS. Raises Refused if it was none."""
        tag, fields = messages.parse(self._end)
        if tag == Tag.SUCCESS:
            return dict(fields[0])
        if tag == Tag.FAILURE:
            raise Refused(fields[0]["code"], fields[0]["message"])
        raise Refused("", "an earlier query of this transaction failed")
