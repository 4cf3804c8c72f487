"""
What a stream is: the values that travel between procedures, supervisor and workers.

Desired state (`StreamSpec`, `Desired`) and progress (`Checkpoint`) are separate values as they are separate nodes:
only procedures write the first, only a stream's worker writes the second, so neither ever waits for the other. (SEEK
moves a stream that is stopped: `catalog.StreamNode.move`.)
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NewType

from sluice.errors import SettingError
from sluice.values.configuration import Configuration
from sluice.values.failed_message import FailedMessage
from sluice.values.lane import WHOLE, Lane, key_of, lane_of
from sluice.values.position import Partition, Position
from sluice.values.topic_selector import TopicSelector, only_topic, topics_of

VertexId = NewType("VertexId", int)
"The host's id of a vertex: opaque, and the same after a restart."


class CheckpointId(NamedTuple):
    """
    A checkpoint node, and whose it is. The node counts only if it says the same: a relationship drawn by hand may lead
    to any vertex.
    """

    vertex: VertexId
    uid: str
    "The stream's."


MAX_INT32 = 2**31 - 1

DEFAULT_BATCH_INTERVAL_MS = 100
DEFAULT_BATCH_SIZE = 10

MAX_TEXTS_PER_BATCH = 32
"Texts of which a worker remembers how they are folded."


PROBE = "server probe"
"The name, in `streams.settings`, of the summary of how the server was found to behave."

NOT_ASKED = "not asked yet"
AS_EXPECTED = "as expected"
"That summary, or its beginning, if everything is as expected."


class Status(str, enum.Enum):
    """The status that SHOW STREAMS reports for a stream."""

    STOPPED = "stopped"
    RUNNING = "running"
    ERROR = "error"
    "Ended by itself because of an error; START tries again from where it was."


@dataclass(frozen=True)
class Transform:
    """A transform script, pinned when the stream was created."""

    uri: str
    source: str = field(repr=False)
    sha256: str
    "Of the source's UTF-8 bytes, in hexadecimal."
    signature: str = field(default="", repr=False)
    "By which this server recognizes it (`signing`); empty if it has none."


@dataclass(frozen=True)
class StreamSpec:
    """
    What CREATE STREAM requested. Checked when it is constructed: a spec that exists can be run. Raises SettingError: a
    field has an invalid value.
    """

    uid: str
    "Distinguishes a stream from an earlier one of the same name."
    name: str
    uri: str
    "Kafka bootstrap servers, `host:port[,host:port...]`."
    topic: str
    "A name, a pattern that begins with ^, or a list of such with commas between them."
    transform: Transform
    batch_interval_ms: int = DEFAULT_BATCH_INTERVAL_MS
    "Maximum time between a batch's first message and its import."
    batch_size: int = DEFAULT_BATCH_SIZE
    "Maximum number of messages in a batch."
    config: Configuration = Configuration()
    lane: Lane = WHOLE
    "The lane that a worker is for; not a part of what was requested."

    def __post_init__(self) -> None:
        check_name(self.name)
        check_text(self.name, "the Kafka URI", self.uri)
        if "@" in self.uri:
            # Not repeated: what precedes it is most likely a password.
            what = "the Kafka URI takes no user and password: config has sasl.username, and sasl.password: 'env:NAME'"
            raise SettingError(f"Kafka stream {self.name}, {what}")
        check_text(self.name, "the topic", self.topic)
        check_text(self.name, "the transform URI", self.transform.uri)
        check_count(self.name, "BATCH_INTERVAL", self.batch_interval_ms)
        check_count(self.name, "BATCH_SIZE", self.batch_size)
        try:
            names = self.topics.names
        except SettingError as error:
            raise SettingError(f"Kafka stream {self.name}, {error}") from None
        if self.config.dead_letter_topic in names:
            raise SettingError(f"Kafka stream {self.name}, config: dead_letter_topic cannot be the stream's own topic")

    @property
    def topics(self) -> TopicSelector:
        """What `topic` says. Raises SettingError: it cannot be."""
        return topics_of(self.topic, self.config.dead_letter_topic)

    @property
    def only_topic(self) -> str:
        """The only topic that there can be; empty: there may be several."""
        return only_topic(self.topic)

    @property
    def batch_interval(self) -> float:
        """Seconds."""
        return self.batch_interval_ms / 1000

    def lane_of(self, partition: Partition, count: int) -> int:
        """The number of the lane that reads a partition, if the stream has `count` lanes."""
        return lane_of(partition, count, self.config.partitions, self.only_topic)

    def reads(self, partitions: Iterable[Partition]) -> frozenset[Partition]:
        """Those of its topics' partitions that the stream reads, or its lane."""
        chosen, (number, count) = self.config.partitions, self.lane
        read = (partition for partition in partitions if not chosen or partition.number in chosen)
        return frozenset(partition for partition in read if self.lane_of(partition, count) == number)

    @property
    def title(self) -> str:
        """Its name for the log, with its lane where it has several."""
        return self.name if self.lane == WHOLE else f"{self.name}, {self.lane}"


@dataclass(frozen=True)
class Desired:
    """A stream that should run: which nodes it has, what it is, and in which run (generation) it is."""

    stream_id: VertexId
    checkpoint_id: CheckpointId
    spec: StreamSpec
    generation: int
    "Counts the STARTs; a run that ends by itself ends this generation only."
    limit_batches: int | None
    "After this number of batches in this generation the stream stops by itself; None: never."

    @property
    def key(self) -> str:
        """As `key_of` its stream and lane."""
        return key_of(self.spec.uid, self.spec.lane.number)


@dataclass(frozen=True)
class Checkpoint:
    """How far a stream got, as its checkpoint node says: the truth about what is in the graph."""

    positions: Mapping[Partition, int]
    "partition -> offset of the next message to read; absent when nothing of it was read."
    topic: str = ""
    "The only topic that the stream reads, which the node does not name; empty: there may be several."
    batches: int = 0
    messages: int = 0
    "Those that took effect."
    failed: int = 0
    "Messages that the stream passed without applying them."
    parked: int = 0
    "How many messages the stream has ever parked; the number of the last one."
    retry_completed: int = 0
    "The number of the last `RetryRequest` that was answered."
    history: tuple[FailedMessage, ...] = ()
    "The latest of those, and of what the stream stopped at or Kafka no longer had; the newest last."
    topic_ids: Mapping[str, str] = field(default_factory=dict)
    "topic -> Kafka's id of the one that the positions are of; without those to which the broker gives none."
    leader_epochs: Mapping[Partition, Position] = field(default_factory=dict)
    "partition -> a position with its leader epoch, which counts while this is the partition's position."
    generation: int = 0
    "The run that wrote last."
    generation_batches: int = 0
    "Batches written in that run."
    ended_generation: int = 0
    "The last run that ended by itself."
    ended_status: Status = Status.STOPPED
    error: str | None = None
    "Why that run ended, if by an error."
    ended_at: str | None = None
    "When it ended, in UTC, ISO 8601."
    session: str = ""
    "Which sessions may move it: none that began before this one, whatever is still on its way to the server."

    @property
    def places(self) -> dict[Partition, Position]:
        """The positions, each with its leader epoch where that is known."""
        known = {(p, place.offset): place for p, place in self.leader_epochs.items()}
        return {p: known.get((p, offset), Position(offset)) for p, offset in self.positions.items()}

    def moved(self, places: Mapping[Partition, Position]) -> Checkpoint:
        """At these places, and elsewhere where it was."""
        offsets = {partition: place.offset for partition, place in places.items()}
        return dataclasses.replace(
            self, positions={**self.positions, **offsets}, leader_epochs={**self.leader_epochs, **places}
        )

    def batches_in(self, generation: int) -> int:
        """How many batches the run `generation` has written."""
        return self.generation_batches if self.generation == generation else 0


@dataclass(frozen=True)
class Folding:
    """How a worker's queries were folded. Immutable: a new one replaces it."""

    given: int = 0
    "Number of queries that the transform returned, for what is in the graph."
    sent: int = 0
    "Number of queries that they became."
    texts: Mapping[str, str] = field(default_factory=dict)
    "How queries of a text are folded, or why not, in one line; the last texts that were met, long ones cut."

    def after(self, given: int, sent: int, news: Sequence[tuple[str, str]]) -> Folding:
        """The same with more queries, and with what was found out about texts."""
        texts = self.texts
        if news:
            texts = dict([*texts.items(), *news][-MAX_TEXTS_PER_BATCH:])
        return Folding(self.given + given, self.sent + sent, texts)

    def as_map(self) -> dict[str, Any]:
        """As `streams.info` shows it."""
        return {"queries": self.given, "sent": self.sent, "texts": dict(self.texts)}


def effective_status(*, running: bool, generation: int, checkpoint: Checkpoint) -> Status:
    """The status that SHOW reports: what was requested, unless this run has ended by itself."""
    if running and checkpoint.ended_generation != generation:
        return Status.RUNNING
    if running:
        return checkpoint.ended_status
    return Status.STOPPED


def check_name(name: object) -> None:
    """Raises SettingError unless `name` can be a stream's name."""
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise SettingError(f"the name of a Kafka stream must be printable text and not empty, got {name!r}")


def check_text(name: str, what: str, value: object) -> None:
    """Raises SettingError unless `value` is printable text."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise SettingError(f"Kafka stream {name}, {what} must be printable text and not empty, got {value!r}")


def check_count(name: str, what: str, value: object) -> None:
    """Raises SettingError unless `value` is a positive integer of 31 bits, which is what librdkafka can take."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_INT32:
        raise SettingError(f"Kafka stream {name}, {what} must be an integer from 1 to {MAX_INT32}, got {value!r}")
