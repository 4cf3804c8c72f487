"""What stands in for server, transform, topic and brokers; the words on the wire are made by the real codec."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, cast

from confluent_kafka import Message

from sluice.bolt import messages
from sluice.bolt.framing import MessageBuffer, frame
from sluice.bolt.messages import Tag
from sluice.bolt.replies import Failure, Reply, reply_of
from sluice.engine.broker_health import Health, Reading
from sluice.engine.host_state import HostState
from sluice.engine.merge_guard import MergeGuard
from sluice.engine.retrier import CHANGE, REMOVE
from sluice.engine.run import Run, RunStatus
from sluice.engine.status import Monitor
from sluice.engine.turns import Turns, Waits
from sluice.engine.writer import Writer
from sluice.errors import ConnectionLost, OffsetGone, ServiceUnavailable, TransformError
from sluice.host.attempts import Attempts
from sluice.host.installation import Installation
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
)
from sluice.values.parked_message import ParkedMessage, message_of
from sluice.values.position import Partition, Position, encode_positions
from tests.unit.partitions import P0

BAD = b"bad"
"What the server refuses as a query."
RAISES = b"raises"
"What the transform raises at."
ENDS = b"ends"
"What ends the transform's process."
WAITS = b"waits"
"What the transform needs a service for."

CLIENT_ERROR = "Memgraph.ClientError.MemgraphError.MemgraphError"
TRANSIENT = "Memgraph.TransientError.MemgraphError.MemgraphError"
REFUSED = Failure(CLIENT_ERROR, "Invalid types: int and int for '/'.")
CONFLICT = Failure(TRANSIENT, "Cannot resolve conflicting transactions.")
TRIGGER = Failure(TRANSIENT, "Trigger 'audit' caused the transaction to fail.\nException: no such property")
MEMORY = Failure(TRANSIENT, "Memory limit exceeded! Attempting to allocate a chunk of 2.00MiB which would ...")
UNIQUE = Failure(CLIENT_ERROR, "Unable to commit due to unique constraint violation on :Person(id)")

GENERATION = 7

STOP = Configuration()
"The default policies."


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
        config: Configuration = STOP,
        *,
        limit: int | None = None,
        size: int = 10,
        guard: MergeGuard | None = None,
        generation: int = GENERATION,
        topics: str = "t",
    ) -> None:
        script = Transform("/t.py", "", "ab12")
        spec = StreamSpec("u", "people", "localhost:9092", topics, script, batch_size=size, config=config)
        desired = Desired(VertexId(1), CheckpointId(VertexId(2), "u"), spec, generation, limit)
        monitor = Monitor(100)
        monitor.begin()
        self.cancel = Cancel()
        self.status = Notes(desired, monitor)
        turns = Turns(guard or MergeGuard(), (1, 2), Waits())
        host = HostState(Attempts(None), Installation(None))
        settings = Settings(error_history=5, topic_interval=0.0)
        self.run = Run(desired, settings, host, self.status, turns, cancel=self.cancel)

    def writer(self, server: Server) -> Writer:
        """Over a connection to that server."""
        connection: Any = server
        sink = Sink(connection, self.run.desired.checkpoint_id, server.held)
        self.status.began(server.held, sink.in_flight)
        return Writer(self.run, cast("Any", server), sink)


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
        self.held = held or Checkpoint({}, "t")
        self.positions = encode_positions(self.held.positions, self.held.topic)
        self.properties: dict[str, Any] = {}
        self.applied: list[bytes] = []
        self.parked: list[ParkedMessage] = []
        self.transactions: list[list[str]] = []
        "Texts of queries, of all that were begun."
        self.refusals: list[Failure] = []
        "What it says to the COMMITs of the next transactions, whatever is in them."
        self.trigger: Failure | None = None
        "What it says to each COMMIT of a transaction that changes the checkpoint."
        self.lost: Exception | None = None
        "What is raised instead of the next answers."
        self.closed = False
        "Whether it is known to be gone before anything is sent."
        self.answered = False
        self.unlabelled = 0
        self.requests: tuple[Any, ...] = ()
        self.minds = True
        "Whether it refuses what is `BAD`."
        self.memory = {"memory_tracked": "50.00MiB", "allocation_limit": "250.00MiB"}
        "Of SHOW STORAGE INFO."
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

    @property
    def connection(self) -> Server:
        return self

    def check_open(self) -> None:
        if self.closed:
            raise ConnectionLost("closed by the server")

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
                if (parameters["from"], parameters["session"]) != (self.positions, self.held.session):
                    return Failure(CLIENT_ERROR, f"Assertion failed: {FENCE_TEXT}.")
            else:
                self.transactions[-1].append(query)
            self._queries.append((query, parameters))
            if is_bad(query) and self.minds and not self._at_commit:
                return self._refusal
        elif tag == Tag.COMMIT:
            return self._commit()
        return None

    def _commit(self) -> Failure | None:
        if self.refusals:
            return self.refusals.pop(0)
        if self.trigger is not None and any(parameters.get("to") for _, parameters in self._queries):
            return self.trigger
        if self.minds and any(is_bad(query) for query, _ in self._queries):
            return self._refusal
        for query, parameters in self._queries:
            if query in (FENCE, FENCE_AND_PARK):
                self.properties |= parameters["to"]
                self.positions = self.properties.get("positions", self.positions)
                self.parked += map(message_of, parameters.get("parked", ()))
            else:
                self.take(query, parameters)
        return None

    def take(self, query: str, parameters: dict[str, Any]) -> None:
        """A query takes effect."""
        if query == REMOVE:
            gone = {message["number"] for message in parameters["messages"]}
            assert gone <= {message.number for message in self.parked}
            self.parked = [message for message in self.parked if message.number not in gone]
        elif query == CHANGE:
            changes = {message["number"]: message["changes"] for message in parameters["messages"]}
            self.parked = [message_of(one.properties() | changes.get(one.number, {})) for one in self.parked]
        else:
            self.applied.append(query.partition("\n")[0].encode())

    @property
    def server(self) -> Server:
        """What the server says of itself."""
        return self

    def fetch(self, query: str) -> list[dict[str, str]] | None:
        assert not self._replies, "nothing may be in flight"
        if not self.memory:
            return None
        return [{"storage info": name, "value": value} for name, value in self.memory.items()]

    def unlabel(self, checkpoint_id: CheckpointId) -> bool:
        assert not self._replies, "nothing may be in flight"
        self.unlabelled += 1
        return False

    def count_parked(self, desired: Desired) -> int:
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


def is_bad(query: str) -> bool:
    """Whether it is `BAD`, with a limit of its own or without."""
    return query.partition("\n")[0] == BAD.decode()


class FakeTransform:
    """A transform process in miniature: does `patience` batches at a time, raises at some payloads, ends at others."""

    def __init__(self, patience: int = 1000, wants_stop: Callable[[], bool] = lambda: False) -> None:
        """`wants_stop`: asked once it has a group."""
        self.patience = patience
        self._wants_stop = wants_stop
        self.calls: list[list[list[bytes]]] = []
        self.away = False
        "Whether the service does not answer that WAITS needs."

    def pack(self, group: Group) -> PackedQueries:
        batches = [[payload or b"" for payload in batch.payloads] for batch in group.batches]
        self.calls.append(batches)
        self._wants_stop()
        for number, payloads in enumerate(batches):
            if self.away and WAITS in payloads:
                if not number:
                    raise ServiceUnavailable("the schema registry: no answer")
                return of_payloads(*batches[:number])
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
        if self.away and WAITS in payloads:
            raise ServiceUnavailable("the schema registry: no answer")
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


def batch(payloads: Sequence[bytes | None], start: int = 0, partition: Partition = P0) -> Batch:
    return Batch([Message(*partition, offset=start + i, value=v) for i, v in enumerate(payloads)])


def good(count: int) -> list[bytes]:
    return [f"m{i}".encode() for i in range(count)]


def spoilt(count: int, places: Sequence[int], how: bytes = BAD) -> list[bytes]:
    return [how if i in places else payload for i, payload in enumerate(good(count))]


class Topic:
    """The topic t, and perhaps others, of some partitions, and the broker that has them."""

    def __init__(self, **partitions: Sequence[bytes]) -> None:
        """
        Args:
            partitions: the messages of partition 0 are `p0`, and so on; those of another topic are `users_p0`.
        """
        self.ids = {"t": "first", "users": "first of users"}
        places = {name: name.rpartition("p")[::2] for name in partitions}
        self.logs = {
            Partition(places[name][0].removesuffix("_") or "t", int(places[name][1])): list(log)
            for name, log in partitions.items()
        }
        self.lows = dict.fromkeys(self.logs, 0)
        self.markers: dict[Partition, int] = {}
        "partition -> offsets at its end that no message has."
        self.unreachable: list[Exception] = []
        "What the next questions for its partitions meet."
        self.fences = False
        "Whether clients that have read a topic of this name before do not follow its leaders."
        self.log_end: int | None = None
        "Up to where it is the log that was read, by the leader epoch of a position after the end; None: all of it."

    def partitions(self, **_: object) -> frozenset[Partition]:
        if self.unreachable:
            raise self.unreachable.pop(0)
        return frozenset(self.logs)

    def high(self, partition: Partition) -> int:
        return len(self.logs[partition]) + self.markers.get(partition, 0)

    def watermarks(self, partition: Partition) -> tuple[int, int]:
        return self.lows[partition], self.high(partition)


class Complaints:
    """The latest complaint of librdkafka, until it is taken, and what lasts."""

    def __init__(self) -> None:
        self.obstacle: str | None = None
        self._news: str | None = None

    def note(self, text: str) -> None:
        self._news = text

    @property
    def pending(self) -> bool:
        return self._news is not None

    def take(self) -> str | None:
        news, self._news = self._news, None
        return news


class Source:
    """A consumer of a topic. What is to happen once there is nothing to read is a script; then the run is to end."""

    def __init__(self, topic: Topic, run: Run, script: deque[Callable[[], object]]) -> None:
        self.topic = topic
        self.assigned: frozenset[Partition] = frozenset()
        self.positions: dict[Partition, int] = {}
        self.reports: list[dict[Partition, int]] = []
        self.reporting = self.held_back = False
        self.sleeps = 0
        self.read_ahead_for: list[tuple[int, int]] = []
        "Size and most."
        self.complaints = Complaints()
        self.assignments: list[dict[Partition, Position]] = []
        self.asked: list[tuple[Partition, int, int]] = []
        "The ends of logs, with leader epochs, that the broker was asked about."
        self._run = run
        self._script = script
        self._followed = dict(topic.ids)

    def renew(self) -> None:
        self._followed = dict(self.topic.ids)
        self.assigned = frozenset()

    def assign(self, partitions: frozenset[Partition], places: Mapping[Partition, Position]) -> None:
        self.assignments.append(dict(places))
        self.assigned, self.positions = frozenset(), {}
        self.extend(partitions, places)

    def extend(self, partitions: frozenset[Partition], places: Mapping[Partition, Position]) -> None:
        for partition in partitions - self.assigned:
            self.positions[partition] = places.get(partition, Position(self.topic.lows[partition])).offset
        self.assigned |= partitions

    def poll(
        self, size: int, interval: float, wants_stop: Callable[[], bool], *, patience: float, most: int
    ) -> Group | None:
        batches: list[Batch] = []
        for partition, position in sorted(self.positions.items()):
            if self.topic.fences and self._followed != self.topic.ids:
                break
            if partition not in self.topic.logs:
                continue
            low, high = self.topic.watermarks(partition)
            if not low <= position <= high:
                raise OffsetGone("gone", partition=partition)
            payloads = self.topic.logs[partition][position:]
            for start in range(0, len(payloads), size):
                if len(batches) < most:
                    batches.append(batch(payloads[start : start + size], position + start, partition))
                    self.positions[partition] = position + start + len(batches[-1])
        if batches:
            return Group(batches)
        if patience and not wants_stop():
            self._script.popleft()() if self._script else self._run.cancel.set()
        return None

    def read_ahead(self, size: int, most: int) -> None:
        self.read_ahead_for.append((size, most))

    def reached(self, positions: Mapping[Partition, int]) -> dict[Partition, Position]:
        if any(given > positions.get(p, 0) for p, given in self.positions.items()):
            return {}  # what was given out is not applied
        there = {p: given for p, given in self.positions.items() if p in self.topic.logs}
        ends = {p: self.topic.high(p) for p, given in there.items() if given == len(self.topic.logs[p])}
        return {p: Position(end) for p, end in ends.items() if end > positions.get(p, 0)}

    def report(self, positions: Mapping[Partition, int]) -> None:
        if not self.reports or self.reports[-1] != positions:
            self.reports.append(dict(positions))

    def log_end(self, partition: Partition, end: int, leader_epoch: int) -> int:
        self.asked.append((partition, end, leader_epoch))
        return end if self.topic.log_end is None else self.topic.log_end

    def ends(self) -> dict[Partition, int]:
        return {}

    def sleep(self, places: Mapping[Partition, Position]) -> None:
        self.sleeps += 1
        self.positions = {partition: place.offset for partition, place in places.items()}


class Identity:
    """Answers at once which ids the topics have."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._asked: Collection[str] | None = None
        self.client = None

    @property
    def asking(self) -> bool:
        return self._asked is not None

    def ask(self, topics: Collection[str]) -> None:
        self._asked = topics

    def answer(self, patience: float = 0.0) -> dict[str, str]:
        asked, self._asked = self._asked, None
        return {topic: self._topic.ids[topic] for topic in asked or ()}

    def wait(self, topics: Collection[str], wants_stop: Callable[[], bool]) -> dict[str, str]:
        return {topic: self._topic.ids[topic] for topic in topics}


class Brokers:
    """Their health: what they are said to suffer from, as long as a test says that they do not answer."""

    def __init__(self, topic: Topic) -> None:
        self.answer = True
        self._topic = topic
        self._reason: str | None = None

    def doubt(self, reason: str) -> None:
        self._reason = reason

    def poll(self, reading: Reading, *, busy: bool, resting: bool = False) -> Health:
        if self.answer:
            self._reason = None
        return Health(self._reason or reading.obstacle, {p: self._topic.watermarks(p) for p in self._topic.logs})


class Idle:
    """Lets a stream sleep as often as a test says, until it is called."""

    def __init__(self) -> None:
        self.rests = 0
        self.entered = False

    def put_off(self) -> None:
        """Time begins anew, of which there is none here."""

    def ready(self, partitions: frozenset[Partition], held: Checkpoint) -> bool:
        self.rests -= 1
        return self.rests >= 0

    def over(self, watermarks: object) -> bool:
        return False

    def end(self) -> None:
        return None
