"""Asks Kafka for the offsets of a topic: where its partitions begin and end, and which message came when."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Any

from confluent_kafka import (
    OFFSET_INVALID,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import OffsetSpec

from sluice.brokers import clients
from sluice.errors import BrokerError
from sluice.values.model import StreamSpec
from sluice.values.position import Partition, Position

log = logging.getLogger("sluice.offsets")

STALE = frozenset(
    {
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError._NOENT,  # "No leaders found", while the broker has just come back
    }
)
"""
Answers to a client that knows an earlier leader than there is, such as after a broker's restart. librdkafka's admin
client goes on with what it knows until somebody asks it for the topic's metadata.
"""

AGAIN = 0.1
"Seconds between two tries after such an answer."

NO_MESSAGE = -1
"Kafka's answer for a time after which no message came. Any other offset below 0 is no answer."


NOWHERE = Position(OFFSET_INVALID)
"The place of a partition that is only asked about."


def is_offset(told: int) -> bool:
    """
    Whether what came from Kafka's client is an offset: librdkafka gives -1001 where it knows none, such as where the
    broker did not answer in time, and does not call that an error.
    """
    return told >= 0


def asked_for(partition: Partition, at: Position = NOWHERE) -> TopicPartition:
    """A partition, and a place in it, as the client wants it."""
    return TopicPartition(*partition, at.offset, leader_epoch=at.leader_epoch)


def partition_at(place: TopicPartition) -> Partition:
    """The partition of a place that the client gives."""
    return Partition(place.topic, place.partition)


class TopicOffsets:
    """
    The offsets of a stream's partitions, as a reader sees them: what an open transaction holds back is not there.

    Threads: for the thread that made it. Waiting leaves the interpreter lock alone.
    """

    def __init__(self, spec: StreamSpec, partitions: Iterable[Partition], deadline: float) -> None:
        """
        Args:
            partitions: those that there are.
            deadline: until when the broker may answer, as `time.monotonic` counts.
        """
        self._spec = spec
        self._partitions = sorted(partitions)
        self._deadline = deadline
        self._client = clients.admin(spec.name, spec.uri, spec.config)

    def bounds(self) -> dict[Partition, tuple[int, int]]:
        """
        Partition -> its first offset, and the one that its next message gets. Raises BrokerError: no answer in time, or
        a refusal.
        """
        low, high = self._answers(OffsetSpec.earliest(), OffsetSpec.latest())
        return {partition: (low[partition], high[partition]) for partition in self._partitions}

    def at_time(self, milliseconds: int) -> dict[Partition, int | None]:
        """
        Partition -> its first offset that is not older; None where there is none. Raises as `bounds`.

        Args:
            milliseconds: since 1970, UTC.
        """
        (found,) = self._answers(OffsetSpec.for_timestamp(milliseconds), or_none=True)
        return {partition: None if offset == NO_MESSAGE else offset for partition, offset in found.items()}

    def _asked(self, which: OffsetSpec) -> Mapping[TopicPartition, Future[Any]]:
        timeout = max(0.1, self._deadline - time.monotonic())
        wanted = {asked_for(partition): which for partition in self._partitions}
        asked: Mapping[TopicPartition, Future[Any]] = self._client.list_offsets(
            wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=timeout
        )
        return asked

    def _answers(self, *specs: OffsetSpec, or_none: bool = False) -> list[dict[Partition, int]]:
        """Partition -> offset for each question, all asked at once; again while the client's metadata is stale."""
        if not self._partitions:
            return [{} for _ in specs]
        while True:
            asked = [self._asked(which) for which in specs]
            try:
                return [
                    {
                        partition_at(place): self._offset(place, future, or_none=or_none)
                        for place, future in each.items()
                    }
                    for each in asked
                ]
            except _Stale as stale:
                if time.monotonic() + AGAIN >= self._deadline:
                    raise stale.meaning from stale.__cause__
                self._renew()
                time.sleep(AGAIN)

    def _offset(self, place: TopicPartition, future: Future[Any], *, or_none: bool) -> int:
        try:
            offset = int(future.result(max(0.1, self._deadline - time.monotonic())).offset)
        except NotYet:
            raise self._silence(partition_at(place)) from None
        except KafkaException as error:
            meaning = self._error(partition_at(place), error.args[0].str())
            raise (_Stale(meaning) if error.args[0].code() in STALE else meaning) from error
        if not is_offset(offset) and not (or_none and offset == NO_MESSAGE):
            raise self._silence(partition_at(place))
        return offset

    def _renew(self) -> None:
        """Has the client learn who leads the partitions now."""
        timeout = max(0.1, self._deadline - time.monotonic())
        topics = sorted({partition.topic for partition in self._partitions})
        try:
            described = self._client.describe_topics(TopicCollection(topics), request_timeout=timeout)
            for topic in topics:
                described[topic].result(timeout)
        except (NotYet, KafkaException) as error:
            log.debug("stream %s: no metadata: %s", self._spec.name, error)

    def _silence(self, partition: Partition) -> BrokerError:
        return self._error(partition, f"the broker at {self._spec.uri} did not answer in time")

    def _error(self, partition: Partition, reason: str) -> BrokerError:
        return BrokerError(f"Kafka stream {self._spec.name}, {partition}: its offsets are not known: {reason}")


class _Stale(Exception):
    """The client has to ask for metadata first."""

    def __init__(self, meaning: BrokerError) -> None:
        super().__init__(str(meaning))
        self.meaning = meaning
        "What it means if it stays so."
