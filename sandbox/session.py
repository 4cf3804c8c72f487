"""
One client: its messages go on to the graph as they are, but for calls of procedures, and what the graph has other words
for.
"""

from __future__ import annotations

import logging
import select
import socket
from collections.abc import Callable, Mapping
from functools import partial

from sandbox import dialect
from sandbox.calls import Call
from sandbox.dialect import Control, Passed
from sandbox.failures import CLIENT_ERROR, translated
from sandbox.handshake import shake_hands
from sandbox.procedure_call import CallFailed, NoResult, ProcedureCall
from sandbox.state import ServerState
from sandbox.transaction import ClientTransaction
from sandbox.upstream import MAX_MESSAGE, READ_SIZE, Refused, Upstream, UpstreamLost
from sandbox.wire import names_no_fields, query_of
from sluice.bolt import messages
from sluice.bolt.framing import MessageBuffer, frame
from sluice.bolt.messages import Tag, Version
from sluice.bolt.packstream import pack
from sluice.bolt.values import Value
from sluice.errors import ProtocolError

log = logging.getLogger("sandbox.session")

SERVER = "Neo4j/v5.11.0 compatible graph database server - Memgraph"

FIRST_LOCAL_QID = 1_000_000
"Results of procedures are counted from here, so that they are told apart from those of the graph."

FLUSH_SIZE = 0x40000
"Bytes for the client that are gathered at most."


class Session:
    """
    A client's connection and the one to the graph that belongs to it.

    Threads: one thread runs it; any thread may call abort.
    """

    def __init__(self, client: socket.socket, state: ServerState) -> None:
        self._client = client
        self._state = state
        self._outgoing = bytearray()
        self._version = Version(0, 0)
        self._upstream: Upstream
        self._transaction = ClientTransaction(state.claims)
        self._inside = False
        "Whether what the client says next is inside of its transaction, unless what it said before is refused."
        self._failed = False
        "A request was refused: the rest is ignored until RESET."
        self._failed_here = False
        "... by us, so that the graph must not see the rest."
        self._calls: dict[int, ProcedureCall | NoResult] = {}
        "qid -> a call whose result is not fetched to its end."
        self._latest: int | None = None
        "The qid of the result that PULL means when it names none; None if it is one of the graph's."
        self._next_qid = FIRST_LOCAL_QID

    def run(self) -> None:
        """Serve the client until it goes. Does not raise."""
        try:
            version = shake_hands(self._client)
            if version is not None:
                self._version = version
                self._upstream = Upstream(self._state.graph_port, self._state.graph_password, self._version)
                try:
                    self._serve()
                finally:
                    self._upstream.close()
                    self._transaction.end(committed=False)
        except (OSError, UpstreamLost, ProtocolError) as error:
            log.info("connection closed: %s", error)
        except Exception:
            log.exception("connection closed by an error of the sandbox")
        finally:
            self._client.close()

    def abort(self) -> None:
        """Cut the connection. Threads: any."""
        try:
            self._client.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def _serve(self) -> None:
        poll = select.poll()
        poll.register(self._client, select.POLLIN)
        poll.register(self._upstream.descriptor, select.POLLIN)
        buffer = MessageBuffer(MAX_MESSAGE)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == self._upstream.descriptor:
                    self._upstream.receive()
                    continue
                data = self._client.recv(READ_SIZE)
                for message in buffer.feed(data):
                    if message[1] == Tag.GOODBYE:
                        return
                    self._take(message)
                self._upstream.flush()
                if not data:  # the client has nothing more to say, but may still listen
                    self._upstream.drain()
                    self._send()
                    return
            self._send()

    def _send(self) -> None:
        if self._outgoing:
            self._client.sendall(self._outgoing)
            self._outgoing.clear()

    def _reply(self, message: bytes) -> None:
        self._outgoing += frame(message)
        if len(self._outgoing) > FLUSH_SIZE:
            self._send()

    # What the client says.

    def _take(self, message: bytes) -> None:
        tag = message[1]
        if self._failed_here and tag != Tag.RESET:
            self._reply(messages.ignored())
        elif tag == Tag.RUN:
            self._take_run(message)
        elif tag in {Tag.PULL, Tag.DISCARD}:
            self._take_pull(message, wanted=tag == Tag.PULL)
        elif tag in _STATE_CHANGES:
            if tag == Tag.RESET:
                self._failed_here = False
            self._inside = tag == Tag.BEGIN
            self._calls.clear()
            self._upstream.send(message, partial(_STATE_CHANGES[tag], self))
        elif tag in {Tag.HELLO, Tag.LOGON, Tag.LOGOFF}:
            self._upstream.drain()
            greeting = {"server": SERVER, "connection_id": f"bolt-{self._client.fileno()}"}
            self._reply(messages.success(greeting if tag == Tag.HELLO else {}))
        elif tag == Tag.ROUTE:
            self._upstream.drain()
            self._fail(CLIENT_ERROR, "Routing is not supported: connect with bolt:// instead of neo4j://")
        else:
            raise ProtocolError(f"the client sent a message with the tag {tag:02X}")

    def _take_run(self, message: bytes) -> None:
        if self._calls and not self._transaction.explicit:
            self._upstream.drain()
            self._fail(CLIENT_ERROR, "The result of the query before is still open.")
            return
        text, end = query_of(message)
        statement = dialect.read(text)
        if not isinstance(statement, Passed):
            self._upstream.drain()
            if self._failed:
                self._reply(messages.ignored())
            elif isinstance(statement, Call):
                self._prepare(statement, messages.parse(message).fields[1])
            else:
                self._control(statement)
            return
        self._latest = None
        if not self._inside:
            self._upstream.look_anew()
        if statement.rewritten is not None:
            message = message[:2] + pack(statement.rewritten) + message[end:]
        rewritten = statement.rewritten is not None
        self._upstream.send(message, lambda reply, tag: self._on_run(reply, tag, text, rewritten))

    def _take_pull(self, message: bytes, *, wanted: bool) -> None:
        if self._latest is None and not self._calls:
            self._upstream.send(message, self._pass_on)
            return
        (extra,) = messages.parse(message).fields
        qid = extra.get("qid", -1)
        qid = self._latest if qid in {-1, None} else qid
        if qid is None or qid < FIRST_LOCAL_QID:
            self._upstream.send(message, self._pass_on)
            return
        self._upstream.drain()
        if self._failed:
            self._reply(messages.ignored())
        elif qid in self._calls:
            self._pull(qid, extra.get("n", -1), wanted)
        else:
            self._fail(CLIENT_ERROR, "There is no result to fetch.")

    def _prepare(self, statement: Call, parameters: dict[str, Value]) -> None:
        """Answer the RUN of a call. Like Memgraph, call the procedure only when the result is asked for."""
        call = ProcedureCall(statement, self._upstream, self._state)
        try:
            call.prepare(parameters)
        except CallFailed as error:
            self._fail(error.code, str(error))
        else:
            self._open(call)

    def _control(self, statement: Control) -> None:
        """BEGIN, COMMIT and ROLLBACK as the text of a query do what the messages do."""
        try:
            self._upstream.request(_CONTROLS[statement.verb]())
        except Refused as error:
            self._fail(*translated(error.code, str(error)))
            return
        self._transaction.end(committed=statement.verb == "COMMIT")
        self._inside = statement.verb == "BEGIN"
        if self._inside:
            self._transaction.begin(explicit=True)
        self._open(NoResult())

    def _open(self, call: ProcedureCall | NoResult) -> None:
        qid = self._latest = self._next_qid
        self._next_qid += 1
        self._calls[qid] = call
        metadata: dict[str, Value] = {"fields": call.columns}
        self._reply(messages.success(metadata | {"qid": qid} if self._transaction.explicit else metadata))

    def _pull(self, qid: int, count: int, wanted: bool) -> None:
        call = self._calls[qid]
        self._send()  # the client should not have to wait for a procedure to hear what was before
        transaction = self._transaction.begin(explicit=False)
        try:
            call.run(transaction, self._version, own_transaction=not self._transaction.explicit)
            rows = call.take(count)
            for row in rows if wanted else ():
                self._reply(messages.record(row))
            if not call.rows:
                call.finish()
                if not self._transaction.explicit:
                    self._transaction.end(committed=True)
        except CallFailed as error:
            self._fail(error.code, str(error))
            return
        if call.rows:
            self._reply(messages.success({"has_more": True}))
            return
        del self._calls[qid]
        self._reply(messages.success({"type": call.type, "has_more": False}))

    def _fail(self, code: str, message: str) -> None:
        self._failed = self._failed_here = True
        self._calls.clear()
        self._reply(messages.failure(code, message))

    # What the graph answers.

    def _on_run(self, reply: bytes, tag: int, text: str, rewritten: bool) -> None:
        if tag == Tag.SUCCESS and (rewritten or names_no_fields(reply)):
            (metadata,) = messages.parse(reply).fields
            columns = dialect.columns_of(text)
            if columns and len(metadata["fields"]) in {0, len(columns)}:
                metadata["fields"] = columns
            self._reply(messages.success(metadata))
        else:
            self._pass_on(reply, tag)

    def _pass_on(self, reply: bytes, tag: int) -> None:
        if tag == Tag.FAILURE:
            self._failed = True
            (metadata,) = messages.parse(reply).fields
            reply = messages.failure(*translated(metadata["code"], metadata["message"]))
        self._reply(reply)

    def _on_begin(self, reply: bytes, tag: int) -> None:
        if tag == Tag.SUCCESS:
            self._transaction.begin(explicit=True)
        self._pass_on(reply, tag)

    def _on_commit(self, reply: bytes, tag: int) -> None:
        self._on_end(reply, tag, committed=True)

    def _on_rollback(self, reply: bytes, tag: int) -> None:
        self._on_end(reply, tag, committed=False)

    def _on_end(self, reply: bytes, tag: int, *, committed: bool) -> None:
        if tag == Tag.SUCCESS:
            self._transaction.end(committed=committed)
            reply = messages.success()  # no bookmark: Memgraph has none
        self._pass_on(reply, tag)

    def _on_reset(self, reply: bytes, tag: int) -> None:
        self._failed = False
        self._transaction.end(committed=False)
        self._pass_on(reply, tag)


_CONTROLS = {"BEGIN": messages.begin, "COMMIT": messages.commit, "ROLLBACK": messages.rollback}

_STATE_CHANGES: Mapping[int, Callable[[Session, bytes, int], None]] = {
    Tag.BEGIN: Session._on_begin,
    Tag.COMMIT: Session._on_commit,
    Tag.ROLLBACK: Session._on_rollback,
    Tag.RESET: Session._on_reset,
}
