"""One client of Kafka that reads a stream's topic: a thin layer over librdkafka's consumer."""

from __future__ import annotations

import logging
import math
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from sluice.brokers import clients
from sluice.brokers.complaints import Complaints
from sluice.brokers.offsets import asked_for, is_offset, partition_at
from sluice.brokers.reporter import Reporter, group_of
from sluice.errors import BrokerError, OffsetGone
from sluice.host.collector import collector_paused
from sluice.host.ending import interpreter_ends
from sluice.host.settings import Settings
from sluice.values.batch import Messages, partition_of
from sluice.values.model import StreamSpec
from sluice.values.position import UNKNOWN, Partition, Position

log = logging.getLogger("sluice.consumer")

QUEUED = 10_000
"""
Messages that librdkafka holds before it stops to ask for more. It counts the bytes of payloads only, and each message
costs it some 300 more: with its default of 100,000 small ones take more memory than `SLUICE_FETCH_BUFFER_KB` allows.
"""

FETCH_BYTES = 1 << 20
"Of a broker's answer, over all partitions: what is in it comes on top of what is held. One message may be larger."

OF_THE_GROUP = frozenset({KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.INVALID_GROUP_ID})
"What is wrong with the group alone keeps nobody from reading."

COORDINATOR = "FindCoordinator response error"
"How librdkafka's text begins if the answer to who leads the group is of no use, such as one that was cut off."

SEEKABLE = 2.0
"Seconds that librdkafka has to begin with the partitions that it was assigned."

CHECKED = 2.0
"Seconds in which a broker says that a log was truncated, if it was."

LOG_END = re.compile(r"broker end offset is (-?\d+)")
"""
Where librdkafka says that a log was truncated. There is no other way to learn the offset; -1: no message is left that
is as old as the stream's position.

Source: `rd_kafka_toppar_handle_OffsetForLeaderEpoch` in `rdkafka_offset.c`, v2.16.0.
"""

_UNCLOSED: list[confluent_kafka.Consumer] = []
"Clients that no thread could be started for any more; the end of the process takes them along."


class TopicReader:
    """
    Reads partitions from given offsets, in the order of each.

    Threads: for the thread that made it, librdkafka's own threads aside. Waiting leaves the interpreter lock alone.
    """

    def __init__(
        self, spec: StreamSpec, settings: Settings, complaints: Complaints, reporter: Reporter, *, to_the_end: bool
    ) -> None:
        """
        Args:
            to_the_end: notice where the partitions end (`ended`).

        Raises:
            SettingError: a secret of the stream's configuration cannot be resolved.
            BrokerError: librdkafka cannot work with the URI or the configuration.
        """
        self._spec = spec
        self._complaints = complaints
        self._reporter = reporter
        self.failure: BrokerError | None = None
        "What `take` raises next: it came after the messages that were taken."
        self.ended: set[Partition] = set()
        "The partitions that were read up to their end."
        defaults = {
            "client.id": group_of(spec.name),
            "isolation.level": "read_committed",
            "queued.max.messages.kbytes": settings.fetch_buffer_kb,
            "queued.min.messages": QUEUED,
            "fetch.queue.backoff.ms": 10,  # else it is a second before more is asked for once that many were held
            "reconnect.backoff.max.ms": 500,
            "socket.connection.setup.timeout.ms": 8000,  # or an address that nobody answers at is named after 30 s
        }
        if "message.max.bytes" not in dict(spec.config.kafka):  # librdkafka wants this to be less
            defaults["fetch.max.bytes"] = FETCH_BYTES
        own = {
            **clients.POSITIONS_OF_THE_GRAPH,
            "group.id": group_of(spec.name),
            "enable.partition.eof": to_the_end,
            "error_cb": complaints.note,
            "on_commit": reporter.answered,
            "logger": log,
            "log_level": 2,  # only what is critical: errors come to `error_cb`
        }
        kind = confluent_kafka.Consumer
        self.client = clients.make(kind, spec.name, spec.uri, spec.config, defaults=defaults, own=own)

    def close(self) -> None:
        """Leaves the brokers. It is of no use any more."""
        if self._reporter.finish(self.client):
            self.client.close()
            return
        # Closing would wait for the answer for ever, dropping the last reference for most of a minute: that is left to
        # a thread, which writes nothing and which the end of the process need not wait for.
        last = [self.client]
        del self.client
        try:
            threading.Thread(target=last.pop, name="sluice-closer", daemon=True).start()
        except RuntimeError as error:
            if not interpreter_ends(error):
                raise
            _UNCLOSED.extend(last)

    def assign(self, partitions: Iterable[Partition], places: Mapping[Partition, Position]) -> None:
        """
        Reads these partitions and no others: each from its place, or from its first message if it has none. Raises
        BrokerError: librdkafka cannot.
        """
        self.failure = None
        self.ended.clear()
        try:
            begin_at(self.client, self.client.assign, self._at(partitions, places))
        except KafkaException as error:
            place = f"Kafka stream {self._spec.name}, topic {self._spec.topic}"
            raise BrokerError(f"{place}: reading cannot begin: {error.args[0].str()}") from error

    def extend(self, partitions: Iterable[Partition], places: Mapping[Partition, Position]) -> None:
        """Reads these partitions as well, of which nothing was read."""
        self.client.incremental_assign(self._at(partitions, places))

    def take(self, most: int, wait: float) -> Messages:
        """
        At most `most` messages; waits `wait` seconds if there are fewer.

        Raises:
            OffsetGone: a partition has nothing at the position any more. All messages before that were taken.
            BrokerError: the broker refuses to go on; the same.
        """
        if self.failure is not None:
            error, self.failure = self.failure, None
            raise error
        arrived = self._consume(most, wait)
        events = [message for message in arrived if message.error() is not None]
        if events:
            found = [self._meaning(event) for event in events]
            self.failure = next((error for error in found if error is not None), None)
            arrived = [message for message in arrived if message.error() is None]
        if arrived:
            self._complaints.answered()
        return arrived

    def _consume(self, most: int, wait: float) -> Messages:
        # librdkafka waits for whole milliseconds: less than one would be none, over and over until that one is gone.
        seconds = math.ceil(round(1000 * wait, 3)) / 1000
        with nullcontext() if seconds else collector_paused():  # each message is a new object
            arrived: Messages = self.client.consume(most, seconds)
        return arrived

    def positions(self, partitions: Iterable[Partition]) -> dict[Partition, Position]:
        """Partition -> where reading is, after all that was taken; without those where it has not begun."""
        told = self.client.position([asked_for(partition) for partition in sorted(partitions)])
        known = [place for place in told if place.error is None and is_offset(place.offset)]
        return {partition_at(place): _position(place.offset, place.leader_epoch) for place in known}

    def log_end(self, partition: Partition, end: int, leader_epoch: int) -> int:
        """
        Up to which offset a partition's log, which goes up to `end`, is the one that was read up to this leader epoch.
        What was assigned before is no longer. Raises BrokerError: as `assign` and `take`.
        """
        if end == 0:
            return 0
        self.assign([partition], {partition: Position(end, leader_epoch)})
        deadline = time.monotonic() + CHECKED
        while time.monotonic() < deadline:
            try:
                self.take(1, 0.1)
            except OffsetGone as gone:
                return end if gone.log_end is None else gone.log_end
        return end

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Partition -> the offset after its last message, as the messages that came have told; where they have."""
        told = {p: self.client.get_watermark_offsets(asked_for(p), cached=True) for p in partitions}
        return {p: marks[1] for p, marks in told.items() if marks is not None and is_offset(marks[1])}

    def _at(
        self, partitions: Iterable[Partition], places: Mapping[Partition, Position]
    ) -> list[confluent_kafka.TopicPartition]:
        first = Position(confluent_kafka.OFFSET_BEGINNING)
        return [asked_for(partition, places.get(partition, first)) for partition in sorted(partitions)]

    def _meaning(self, event: confluent_kafka.Message) -> BrokerError | None:
        """What an event that is an error means; None if it is not one."""
        error, partition = event.error(), partition_of(event)
        code = error.code()
        place = f"Kafka stream {self._spec.name}, {partition}"
        if code == KafkaError._PARTITION_EOF:
            self.ended.add(partition)
            return None
        if code in OF_THE_GROUP or error.str().startswith(COORDINATOR):
            log.debug("stream %s: %s", self._spec.name, error.str())
            return None
        if code in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            return OffsetGone(f"{place}: {error.str()}", partition=partition, log_end=log_end_in(error.str()))
        return BrokerError(f"{place}: {error.str()}")


def begin_at(
    client: confluent_kafka.Consumer,
    assign: Callable[[list[confluent_kafka.TopicPartition]], None],
    places: list[confluent_kafka.TopicPartition],
) -> None:
    """
    Begins to read, and has brokers asked whether their logs are still those that were read, where leader epochs are
    known. If they are not, that comes instead of messages. Nothing may be consumed meanwhile.

    Seeking asks, assigning does not. If the log ends before the place, a fetch may find that out first. Raises
    KafkaException: it cannot seek within `SEEKABLE` seconds.

    Source: `rd_kafka_toppar_seek` and `rd_kafka_toppar_fetch_start` in `rdkafka_partition.c`, v2.16.0.
    """
    assign(places)
    deadline = time.monotonic() + SEEKABLE
    for place in places:
        while place.leader_epoch is not None:
            try:
                client.seek(place)
                break
            except KafkaException:  # it has not yet left the place where it was before
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.01)


def log_end_in(reason: str) -> int | None:
    """Up to which offset a log is the one that was read, if librdkafka's reason is that it was truncated."""
    found = LOG_END.search(reason)
    return None if found is None else max(0, int(found[1]))


def _position(offset: int, leader_epoch: int | None) -> Position:
    return Position(offset, UNKNOWN if leader_epoch is None else leader_epoch)
