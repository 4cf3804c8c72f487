"""
A Bolt client for the loopback: pipelined, synchronous, one session per connection.

Whole transactions go out in one write, and the answers are read while the rest is being written: a pipeline bigger than
all socket buffers cannot make both sides wait for each other.
"""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import Mapping
from contextlib import AbstractContextManager

from sluice.bolt import messages
from sluice.bolt.framing import MessageBuffer, end_of, frame
from sluice.bolt.messages import Proposal, Version
from sluice.bolt.replies import Failure, RawRecords, Reply, Success, error_of, is_record, reply_of
from sluice.bolt.transport import Transport
from sluice.bolt.values import Value
from sluice.errors import CommitUnknown, ConnectionLost, GraphError, RemoteProtocolError

PROPOSALS = (Proposal(5, 2), Proposal(4, 3), Proposal(4, 1), Proposal(4, 0))
"What Memgraph offers, the best first. Memgraph matches single versions, so there are no ranges."

MAX_MESSAGE = 256 * 1024 * 1024
"Maximum size of a message from the server, in bytes."

_FAREWELL = 0.1
"How long GOODBYE may wait for room in the socket, in seconds."


class Connection(AbstractContextManager["Connection"]):
    """
    A session with the server.

    After QueryRefused it can still be used (`fetch` has reset it; after `exchange` the caller does). After
    ConnectionLost, CommitUnknown or a protocol error it is closed permanently.

    Threads: one thread at a time uses a connection; any thread may call abort.
    """

    def __init__(self, transport: Transport) -> None:
        """Do not call this; use `open`."""
        self.version = Version(0, 0)
        "The version of Bolt that the server chose."
        self.server = ""
        "The server's name and version, as it reports them."
        self._transport = transport
        self._buffer = MessageBuffer(MAX_MESSAGE)
        self._inbox: deque[bytes] = deque()
        "Messages that have arrived and were not yet asked for."

    @classmethod
    def open(  # noqa: PLR0913 - options, all by name
        cls,
        host: str,
        port: int,
        *,
        username: str = "",
        password: str = "",
        tls: ssl.SSLContext | None = None,
        tls_name: str | None = None,
        timeout: float = 5.0,
        user_agent: str = "sluice",
    ) -> Connection:
        """
        Connect and log in.

        Args:
            username: empty: log in without credentials.
            tls_name: the name that the server's certificate is for; None: `host`.
            timeout: for each of connecting and logging in, in seconds.

        Raises:
            ConnectionLost: no server answers, or none of our versions of Bolt is supported.
            QueryRefused: the credentials are wrong.
        """
        transport = Transport.open(host, port, tls, timeout, tls_name)
        connection = cls(transport)
        auth = {"scheme": "none"}
        if username:
            auth = {"scheme": "basic", "principal": username, "credentials": password}
        try:
            connection._agree(time.monotonic() + timeout)
            connection._log_in(auth, user_agent, timeout)
        except BaseException:
            transport.close()
            raise
        return connection

    def fetch(
        self, query: str, parameters: Mapping[str, Value] | None = None, *, timeout: float | None = None
    ) -> list[dict[str, Value]]:
        """
        Run a query in its own transaction, and fetch the whole result, one dict per record.

        Args:
            timeout: for the whole of it, in seconds; None: until `abort`.

        Raises:
            QueryRefused: nothing took effect; the session can still be used.
        """
        names, records = self.fetch_records(query, parameters, timeout=timeout)
        return [dict(zip(names, row, strict=True)) for row in records.rows()]

    def fetch_records(
        self, query: str, parameters: Mapping[str, Value] | None = None, *, timeout: float | None = None
    ) -> tuple[list[str], RawRecords]:
        """As `fetch`, but returns the names of the result's fields, and the records, not yet parsed."""
        records = RawRecords()
        request = frame(messages.run(query, parameters)) + frame(messages.pull())
        replies = self.exchange(request, 2, records=records, timeout=timeout)
        for index, reply in enumerate(replies):
            if isinstance(reply, Failure):
                self.reset(timeout=timeout)
                raise error_of(reply, index)
        opening = replies[0]
        if not isinstance(opening, Success):
            raise RemoteProtocolError("the server ignored a query in a session that had not failed")
        return opening.metadata.get("fields", []), records

    def exchange(
        self,
        frames: bytes,
        replies: int,
        *,
        commit_at: int | None = None,
        records: RawRecords | None = None,
        timeout: float | None = None,
    ) -> list[Reply]:
        """
        Send requests, and read the answer to each of them.

        Args:
            frames: the framed requests.
            replies: how many requests there are in `frames`.
            commit_at: which of them is COMMIT, counted from 0; None: none.
            records: where RECORDs go; None: they are dropped.
            timeout: for the whole of it, in seconds; None: until `abort`.

        Raises:
            CommitUnknown: the connection was lost after the whole COMMIT was sent and before its answer was read,
                without a refusal before it.
            ConnectionLost: the connection was lost in another way; nothing that was not committed took effect.
        """
        if self._inbox:
            raise RemoteProtocolError("the server sent an answer to no request")
        return self._answers(frames, replies, commit_at, records, timeout)

    def send(self, frames: bytes, *, timeout: float | None = None) -> None:
        """Send requests and leave the answers to `receive`. What arrives meanwhile is kept."""
        self._pump(memoryview(frames), [], 0, None, timeout)

    def receive(
        self,
        replies: int,
        *,
        commit_at: int | None = None,
        records: RawRecords | None = None,
        timeout: float | None = None,
    ) -> list[Reply]:
        """
        Read the next `replies` answers to what was sent before.

        Takes the arguments of `exchange`. Every COMMIT that is not answered counts as sent.
        """
        return self._answers(b"", replies, commit_at, records, timeout)

    @property
    def answered(self) -> bool:
        """
        Whether an unread answer, or a part of one, has arrived. Raises ConnectionLost if the connection is closed.
        """
        return bool(self._inbox) or self._transport.readable

    def check_open(self) -> None:
        """Raises ConnectionLost: the connection is closed. Does not wait. No answer may be due."""
        if self._transport.readable and self._transport.transfer(memoryview(b""), None)[1]:
            raise RemoteProtocolError("the server sent an answer to no request")

    def reset(self, *, timeout: float | None = None) -> None:
        """Make the session usable again after a refusal; rolls an open transaction back."""
        [reply] = self.exchange(frame(messages.reset()), 1, timeout=timeout)
        if not isinstance(reply, Success):
            self._transport.close()
            raise ConnectionLost(f"{self._transport.name}: the server refuses to reset the session")

    def abort(self) -> None:
        """Make a blocked call, or else the next one, raise ConnectionLost at once. For other threads."""
        self._transport.abort()

    def close(self) -> None:
        """Say GOODBYE if that is possible at once, and close. Never raises."""
        try:
            self._transport.transfer(memoryview(frame(messages.goodbye())), time.monotonic() + _FAREWELL)
        except GraphError:
            pass  # already closed, as intended
        finally:
            self._transport.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _agree(self, deadline: float) -> None:
        """Bolt's handshake."""
        outgoing = memoryview(messages.handshake(PROPOSALS))
        received = b""
        while outgoing or len(received) < messages.ANSWER_SIZE:
            taken, data = self._transport.transfer(outgoing, deadline)
            outgoing = outgoing[taken:]
            received += data
        try:
            version = messages.parse_answer(received[: messages.ANSWER_SIZE])
        except RemoteProtocolError as error:
            raise ConnectionLost(f"{self._transport.name}: {error}") from error
        if version is None or not any(proposal.includes(version) for proposal in PROPOSALS):
            raise ConnectionLost(
                f"{self._transport.name}: the server supports none of the Bolt versions that Sluice supports"
            )
        self.version = version
        self._inbox.extend(self._buffer.feed(received[messages.ANSWER_SIZE :]))

    def _log_in(self, auth: Mapping[str, Value], user_agent: str, timeout: float) -> None:
        if self.version >= (5, 1):
            self._greet(messages.hello({"user_agent": user_agent}), timeout)
            self._greet(messages.logon(auth), timeout)
        else:
            self._greet(messages.hello({"user_agent": user_agent, **auth}), timeout)

    def _greet(self, request: bytes, timeout: float) -> None:
        # One by one: a server that refuses closes the connection at once, and may not answer what came after.
        [reply] = self.exchange(frame(request), 1, timeout=timeout)
        if isinstance(reply, Failure):
            raise error_of(reply)
        if isinstance(reply, Success):
            self.server = self.server or str(reply.metadata.get("server", ""))

    def _answers(
        self, frames: bytes, replies: int, commit_at: int | None, records: RawRecords | None, timeout: float | None
    ) -> list[Reply]:
        before = self._transport.sent
        answers: list[Reply] = []
        try:
            self._pump(memoryview(frames), answers, replies, records, timeout)
        except (ConnectionLost, RemoteProtocolError) as error:
            if commit_at is not None and self._transport.sent - before >= end_of(frames, commit_at):
                _raise_if_unknown(answers, commit_at, error)
            raise
        return answers

    def _pump(
        self, outgoing: memoryview, answers: list[Reply], wanted: int, records: RawRecords | None, timeout: float | None
    ) -> None:
        """Write `outgoing` and read until there are `wanted` answers, both at the same time, whichever is possible."""
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            while True:
                while self._inbox and len(answers) < wanted:
                    message = self._inbox.popleft()
                    if not is_record(message):
                        answers.append(reply_of(message))
                    elif records is not None:
                        records.messages.append(message)
                if not outgoing and len(answers) == wanted:
                    return
                taken, data = self._transport.transfer(outgoing, deadline)
                outgoing = outgoing[taken:]
                if data:
                    self._inbox.extend(self._buffer.feed(data))
        except BaseException:
            # Whatever arrives later would be taken for the answer to another request.
            self._transport.close()
            raise


def _raise_if_unknown(answers: list[Reply], commit_at: int, error: Exception) -> None:
    """Raise CommitUnknown unless COMMIT was answered, or must have been ignored because of an earlier refusal."""
    refused = bool(answers) and not isinstance(answers[-1], Success)
    if len(answers) <= commit_at and not refused:
        raise CommitUnknown(f"{error}, while the answer to COMMIT was awaited") from error
