"""Asks Kafka for the offsets of a topic: where its partitions begin and end, and which message came when."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet

from confluent_kafka import IsolationLevel, KafkaException

from sluice.brokers.offset_client import BEGIN, END, offset_clients
from sluice.brokers.offsets import NO_MESSAGE, is_offset
from sluice.errors import BrokerError
from sluice.values.model import StreamSpec
from sluice.values.position import Partition


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
        self._client = offset_clients.get(spec.name, spec.uri, spec.config)

    def bounds(self) -> dict[Partition, tuple[int, int]]:
        """
        Partition -> its first offset, and the one that its next message gets. Raises BrokerError: no answer in time, or
        a refusal.
        """
        low, high = self._answers(BEGIN, END)
        return {partition: (low[partition], high[partition]) for partition in self._partitions}

    def at_time(self, milliseconds: int) -> dict[Partition, int | None]:
        """
        Partition -> its first offset that is not older; None where there is none. Raises as `bounds`.

        Args:
            milliseconds: since 1970, UTC.
        """
        (found,) = self._answers(milliseconds, or_none=True)
        return {partition: None if offset == NO_MESSAGE else offset for partition, offset in found.items()}

    def _answers(self, *times: int, or_none: bool = False) -> list[dict[Partition, int]]:
        """Partition -> offset for each time, all asked at once."""
        timeout = max(0.1, self._deadline - time.monotonic())
        committed = IsolationLevel.READ_COMMITTED
        asked = [self._client.ask(self._partitions, when, timeout, committed) for when in times]
        return [{p: self._offset(p, future, or_none=or_none) for p, future in each.items()} for each in asked]

    def _offset(self, partition: Partition, future: Future[int], *, or_none: bool) -> int:
        try:
            # Not `result`, which would raise it: what it is raised in would stay, and the client's threads with that.
            error = future.exception(max(0.1, self._deadline - time.monotonic()))
        except NotYet:
            raise self._silence(partition) from None
        if isinstance(error, KafkaException):
            raise self._error(partition, error.args[0].str()) from error
        offset = future.result()
        if not is_offset(offset) and not (or_none and offset == NO_MESSAGE):
            raise self._silence(partition)
        return offset

    def _silence(self, partition: Partition) -> BrokerError:
        return self._error(partition, f"the broker at {self._spec.uri} did not answer in time")

    def _error(self, partition: Partition, reason: str) -> BrokerError:
        return BrokerError(f"Kafka stream {self._spec.name}, {partition}: its offsets are not known: {reason}")
