"""What stands in for server, transform, topic and brokers; the words on the wire are made by the real codec."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

from confluent_kafka import Message

from sluice.bolt import messages
from sluice.bolt.framing import MessageBuffer, frame
from sluice.bolt.messages import Tag
from sluice.bolt.replies import Failure, Reply, reply_of
from sluice.engine.host_state import HostState
from sluice.engine.merge_guard import MergeGuard
from sluice.engine.run import Run
from sluice.engine.run_status import RunStatus
from sluice.engine.status import Monitor
from sluice.engine.turns import Turns, Waits
from sluice.engine.writer import Writer
from sluice.errors import TransformError
from sluice.host.attempts import Attempts
from sluice.host.settings import Settings
from sluice.persistence.sink import FENCE, FENCE_AND_PARK, FENCE_TEXT, Sink
from sluice.persistence.transaction import Transaction
from sluice.scripting.process import PackedQueries
from sluice.values.batch import Batch, Group
from sluice.values.configuration import Configuration
from sluice.values.model import (
    Checkpoint,
    CheckpointId,
    Desired,
    StreamSpec,
    Transform,
    VertexId,
    encode_positions,
)
from sluice.values.parked_message import ParkedMessage, message_of

BAD = b"bad"
"What the server refuses as a query."
RAISES = b"raises"
"What the transform raises at."
ENDS = b"ends"
"What ends the transform's process."

CLIENT_ERROR = "Memgraph.ClientError.MemgraphError.MemgraphError"
TRANSIENT = "Memgraph.TransientError.MemgraphError.MemgraphError"
REFUSED = Failure(CLIENT_ERROR, "Invalid types: int and int for '/'.")
CONFLICT = Failure(TRANSIENT, "Cannot resolve conflicting transactions.")
UNIQUE = Failure(CLIENT_ERROR, "Unable to commit due to unique constraint violation on :Person(id)")

GENERATION = 7


class Cancel(threading.Event):
    """Is never waited for in earnest; notes for how long it would have been."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout or 0.0)
        return self.is_set()


class Notes(RunStatus):
    """Notes what is reported."""

    def __init__(self, desired: Desired, monitor: Monitor, attempts: Attempts | None = None) -> None:
        super().__init__(desired, monitor, attempts)
        self.monitor = monitor
        self.troubles: list[str | None] = []
        self.refusals: list[int] = []
        self.transactions: list[Transaction] = []

    def committed(self, transaction: Transaction) -> None:
        self.troubles.append(None)
        self.transactions.append(transaction)
        super().committed(transaction)

    def trouble(self, text: str | None, *, in_seconds: float | None = None) -> None:
        self.troubles.append(text)
        super().trouble(text, in_seconds=in_seconds)

    def refused(self, text: str, reason: str, messages: int) -> None:
        assert reason in text
        self.refusals.append(messages)
        super().refused(text, reason, messages)


class FakeRun:
    """A run whose collaborators a test can look into."""

    def __init__(
        self,
        config: Configuration = Configuration(),  # noqa: B008
        *,
        limit: int | None = None,
        size: int = 10,
        guard: MergeGuard | None = None,
    ) -> None:
        script = Transform("/t.py", "", "ab12")
        spec = StreamSpec("u", "people", "localhost:9092", "t", script, batch_size=size, config=config)
        desired = Desired(VertexId(1), CheckpointId(VertexId(2), "u"), spec, GENERATION, limit)
        monitor = Monitor(100)
        monitor.begin()
        self.cancel = Cancel()
        self.status = Notes(desired, monitor)
        turns = Turns(guard or MergeGuard(), 1, Waits())
        host = HostState(Attempts(None))
        self.run = Run(desired, Settings(error_history=5), host, self.status, turns, cancel=self.cancel)

    def writer(self, server: Server) -> Writer:
        """Over a connection to that server."""
        connection: Any = server
        sink = Sink(connection, self.run.desired.checkpoint_id, server.held)
        self.status.began(server.held, sink.in_flight)
        return Writer(self.run, server, sink)


class Server:
    """
    A server in miniature, and the connection to it: a transaction takes effect whole or not at all, and after a
    refusal all is ignored until RESET.
    """

    def __init__(self, held: Checkpoint | None = None, refusal: Failure = REFUSED, *, at_commit: bool = False) -> None:
        """
        Args:
            refusal: what it says to a query that is `BAD`.
            at_commit: whether it says so at COMMIT only.
        """
        self.held = held or Checkpoint({})
        self.positions = encode_positions(self.held.positions)
        self.properties: dict[str, Any] = {}
        self.applied: list[bytes] = []
        self.parked: list[ParkedMessage] = []
        self.transactions: list[list[str]] = []
        "Texts of queries, of all that were begun."
        self.refusals: list[Failure] = []
        "What it says to the COMMITs of the next transactions, whatever is in them."
        self.lost: Exception | None = None
        "What is raised instead of the next answers."
        self.answered = False
        self.unlabelled = 0
        self.requests: tuple[Any, ...] = ()
        self._refusal = refusal
        self._at_commit = at_commit
        self._buffer = MessageBuffer(1 << 24)
        self._replies: deque[Reply] = deque()
        self._failed = False
        self._queries: list[tuple[str, dict[str, Any]]] = []

    def send(self, data: bytes) -> None:
        for message in self._buffer.feed(data):
            request = messages.parse(message)
            failure = None if self._failed else self._answer(request.tag, list(request.fields))
            if self._failed:
                self._replies.append(reply_of(messages.ignored()))
            elif failure is not None:
                self._failed = True
                self._replies.append(failure)
            else:
                self._replies.append(reply_of(messages.success()))

    def receive(self, count: int, *, commit_at: int | None = None) -> list[Reply]:
        if self.lost is not None:
            raise self.lost
        return [self._replies.popleft() for _ in range(count)]

    def reset(self) -> None:
        assert not self._replies
        self._failed = False

    def _answer(self, tag: int, fields: list[Any]) -> Failure | None:
        if tag == Tag.BEGIN:
            self._queries = []
            self.transactions.append([])
        elif tag == Tag.RUN:
            query, parameters = fields[0], fields[1]
            if query in (FENCE, FENCE_AND_PARK):
                if parameters["from"] != self.positions:
                    return Failure(CLIENT_ERROR, f"Assertion failed: {FENCE_TEXT}.")
            else:
                self.transactions[-1].append(query)
            self._queries.append((query, parameters))
            if query == BAD.decode() and not self._at_commit:
                return self._refusal
        elif tag == Tag.COMMIT:
            return self._commit()
        return None

    def _commit(self) -> Failure | None:
        if self.refusals:
            return self.refusals.pop(0)
        if any(query == BAD.decode() for query, _ in self._queries):
            return self._refusal
        for query, parameters in self._queries:
            if query in (FENCE, FENCE_AND_PARK):
                self.properties |= parameters["to"]
                self.positions = self.properties["positions"]
                self.parked += map(message_of, parameters.get("parked", ()))
            else:
                self.take(query, parameters)
        return None

    def take(self, query: str, parameters: dict[str, Any]) -> None:
        """A query takes effect."""
        self.applied.append(query.encode())

    def unlabel(self, checkpoint_id: CheckpointId) -> bool:
        assert not self._replies, "nothing may be in flight"
        self.unlabelled += 1
        return False

    def count_parked(self, checkpoint_id: CheckpointId) -> int:
        assert not self._replies, "nothing may be in flight"
        return len(self.parked)

    def read_requests(self, stream_id: VertexId) -> tuple[Any, ...]:
        return self.requests

    def list_parked(self, checkpoint_id: CheckpointId) -> list[tuple[VertexId, ParkedMessage]]:
        return [(VertexId(100 + message.number), message) for message in self.parked]

    def read_parked(self, uid: str, ids: Sequence[VertexId]) -> list[tuple[VertexId, ParkedMessage]]:
        assert uid == "u"
        there = dict(self.list_parked(CheckpointId(VertexId(2), uid)))
        return [(vertex, there[vertex]) for vertex in ids]


class FakeTransform:
    """A transform process in miniature: does `patience` batches at a time, raises at some payloads, ends at others."""

    def __init__(self, patience: int = 1000) -> None:
        self.patience = patience
        self.calls: list[list[list[bytes]]] = []

    def pack(self, group: Group) -> PackedQueries:
        batches = [[payload or b"" for payload in batch.payloads] for batch in group.batches]
        self.calls.append(batches)
        for number, payloads in enumerate(batches):
            if ENDS in payloads:
                return PackedQueries(0, b"", 0, failed=number, error=TransformError("its process ended"))
            if RAISES in payloads:
                error = TransformError("stream(batch) raised ValueError")
                return of_payloads(*batches[:number])._replace(failed=number, error=error)
            if number == self.patience:
                return of_payloads(*batches[:number])
        return of_payloads(*batches)

    fold = pack

    def whole(self, records: Any) -> PackedQueries:
        payloads = [record.value or b"" for record in records]
        if RAISES in payloads:
            raise TransformError("stream(batch) raised ValueError")
        return packed(*((payload.decode(), {"v": 1}) for payload in payloads))


class DeadLetters:
    """Notes what it is given, and how far the graph was then."""

    def __init__(self, server: Server) -> None:
        self.delivered: list[int] = []
        self.positions: list[str] = []
        self.errors: list[Exception] = []
        self._server = server

    def deliver(self, letters: Sequence[tuple[Message, Any]]) -> None:
        if self.errors:
            raise self.errors.pop()
        self.delivered += [message.offset() or 0 for message, _ in letters]
        self.positions.append(self._server.positions)


def of_payloads(*batches: Sequence[bytes]) -> PackedQueries:
    return packed(*((payload.decode(), {}) for payloads in batches for payload in payloads), batches=len(batches))


def packed(*queries: tuple[str, dict[str, Any]], batches: int = 1) -> PackedQueries:
    frames = (frame(messages.run(*query)) + frame(messages.discard()) for query in queries)
    return PackedQueries(len(queries), b"".join(frames), batches, len(queries))


def batch(payloads: Sequence[bytes | None], start: int = 0) -> Batch:
    return Batch([Message(topic="t", partition=0, offset=start + i, value=v) for i, v in enumerate(payloads)])


def good(count: int) -> list[bytes]:
    return [f"m{i}".encode() for i in range(count)]


def spoilt(count: int, places: Sequence[int], how: bytes = BAD) -> list[bytes]:
    return [how if i in places else payload for i, payload in enumerate(good(count))]
