"""
Asks Kafka for the offsets of a topic: where its partitions begin and end, and which message came when.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Any

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from sluice.brokers import clients
from sluice.errors import BrokerError
from sluice.values.model import StreamSpec


class TopicOffsets:
    """
    The offsets of a stream's topic, as a reader sees them: what an open transaction holds back is not there.

    Threads: for the thread that made it. Waiting leaves the interpreter lock alone.
    """

    def __init__(self, spec: StreamSpec, partitions: Iterable[int], deadline: float) -> None:
        """
        Args:
            partitions: those that the topic has.
            deadline: until when the broker may answer, as `time.monotonic` counts.
        """
        self._spec = spec
        self._partitions = sorted(partitions)
        self._deadline = deadline
        self._client = clients.admin(spec.name, spec.uri, spec.config)

    def bounds(self) -> dict[int, tuple[int, int]]:
        """
        Partition -> its first offset, and the one that its next message gets.

        Raises:
            BrokerError: no answer in time, or a refusal.
        """
        lows, highs = self._asked(OffsetSpec.earliest()), self._asked(OffsetSpec.latest())
        low, high = self._answers(lows), self._answers(highs)
        return {partition: (low[partition], high[partition]) for partition in self._partitions}

    def at_time(self, milliseconds: int) -> dict[int, int | None]:
        """
        Partition -> its first offset that is not older; None where there is none. Raises as `bounds`.

        Args:
            milliseconds: since 1970, UTC.
        """
        found = self._answers(self._asked(OffsetSpec.for_timestamp(milliseconds)))
        return {partition: None if offset < 0 else offset for partition, offset in found.items()}

    def _asked(self, which: OffsetSpec) -> Mapping[TopicPartition, Future[Any]]:
        timeout = max(0.1, self._deadline - time.monotonic())
        wanted = {TopicPartition(self._spec.topic, partition): which for partition in self._partitions}
        asked: Mapping[TopicPartition, Future[Any]] = self._client.list_offsets(
            wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=timeout
        )
        return asked

    def _answers(self, asked: Mapping[TopicPartition, Future[Any]]) -> dict[int, int]:
        offsets = {}
        for place, future in asked.items():
            try:
                offsets[place.partition] = int(future.result(max(0.1, self._deadline - time.monotonic())).offset)
            except NotYet:
                raise self._error(place.partition, f"the broker at {self._spec.uri} did not answer in time") from None
            except KafkaException as error:
                raise self._error(place.partition, error.args[0].str()) from error
        return offsets

    def _error(self, partition: int, reason: str) -> BrokerError:
        place = f"topic {self._spec.topic}, partition {partition}"
        return BrokerError(f"Kafka stream {self._spec.name}, {place}: its offsets are not known: {reason}")
