"""
The Kafka side of a stream: reads a topic from given positions, batch by batch.

Partitions are assigned, never subscribed to: positions come from the graph, so no group is joined and nobody
rebalances us. Nothing is committed here either: closing a consumer whose commit has no broker to go to never ends
(librdkafka 2.x), and what lag monitors want to know is told by `reporter`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, NamedTuple

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from sluice.errors import BrokerError, TopicNotFound
from sluice.settings import Settings

log = logging.getLogger("sluice.consumer")

SLICE = 0.2
"Seconds between two looks at whether the owner wants to stop."

HOPELESS = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._RESOLVE})
"What ends the wait for a broker's answer before its time."

NO_SUCH_TOPIC = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError.TOPIC_EXCEPTION})


class Batch(NamedTuple):
    """Messages in the order they came, which is Kafka's order within each partition."""

    payloads: list[bytes | None]
    "The messages' values; None for a tombstone."
    end: dict[int, int]
    "partition -> offset behind the batch's last message of it; only partitions that have messages in the batch."


class Consumer:
    """
    Reads one topic for one stream.

    Threads: for the thread that made it, librdkafka's own threads aside. Nothing here waits holding the interpreter
        lock.
    """

    def __init__(self, name: str, uri: str, topic: str, settings: Settings, *, to_the_end: bool = False) -> None:
        """
        Args:
            name: the stream, for the group and for errors.
            to_the_end: make `poll_batch` notice where the partitions end (`at_end`).

        Raises:
            BrokerError: librdkafka cannot work with `uri`.
        """
        self._name = name
        self._uri = uri
        self._topic = topic
        self._timeout = settings.broker_timeout
        self._trouble: KafkaError | None = None
        self._partitions: frozenset[int] = frozenset()
        self._ended: set[int] = set()
        configuration: dict[str, Any] = {
            "bootstrap.servers": uri,
            "group.id": group_of(name),
            "client.id": group_of(name),
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "allow.auto.create.topics": False,
            "enable.partition.eof": to_the_end,
            "isolation.level": "read_committed",
            "queued.max.messages.kbytes": settings.fetch_buffer_kb,
            "reconnect.backoff.max.ms": 2000,
            "error_cb": self._note,
            "logger": log,
            "log_level": 2,  # only what is critical: errors come to `error_cb`
        }
        try:
            self._consumer = confluent_kafka.Consumer(configuration)
        except KafkaException as error:
            text = f"Kafka stream {name}, cannot use the URI {uri}: {error.args[0].str()}"
            raise BrokerError(text, retryable=False) from error

    def __enter__(self) -> Consumer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leaves the brokers. Whatever was not committed to the graph will be read again."""
        self._consumer.close()

    def partitions(self) -> frozenset[int]:
        """
        The partitions that the topic has.

        Raises:
            TopicNotFound: the broker answers and has no such topic.
            BrokerError: no answer within the settings' `broker_timeout`, or a refusal.
        """
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                metadata = self._consumer.list_topics(self._topic, timeout=min(0.5, self._timeout))
                break
            except KafkaException as error:
                self._consumer.poll(0)  # serves the error callback, which knows more
                hopeless = self._trouble is not None and self._trouble.code() in HOPELESS
                if hopeless or time.monotonic() >= deadline:
                    raise BrokerError(self._unreachable(self._trouble or error.args[0])) from error
        topic = metadata.topics[self._topic]
        if topic.error is not None and topic.error.code() not in NO_SUCH_TOPIC:
            raise BrokerError(f"Kafka stream {self._name}, topic {self._topic} at {self._uri}: {topic.error.str()}")
        if topic.error is not None or not topic.partitions:
            raise TopicNotFound(f"Kafka stream {self._name}, topic not found")
        return frozenset(topic.partitions)

    def assign(self, partitions: Iterable[int], positions: Mapping[int, int]) -> None:
        """Begins to read: each partition from its position, or from the earliest message where it has none."""
        self._partitions = frozenset(partitions)
        self._ended.clear()
        self._consumer.assign(
            [
                TopicPartition(self._topic, partition, positions.get(partition, confluent_kafka.OFFSET_BEGINNING))
                for partition in sorted(self._partitions)
            ]
        )

    @property
    def at_end(self) -> bool:
        """Whether every partition was read up to its end; for consumers made with `to_the_end`."""
        return bool(self._partitions) and self._ended >= self._partitions

    def poll_batch(self, size: int, interval: float, wants_stop: Callable[[], bool]) -> Batch | None:
        """
        Waits for a message, then gathers until there are `size` of them or `interval` seconds have passed since the
        first.

        Returns None when `wants_stop` answers True first, or when the topic's end is reached with nothing gathered
        (`at_end`).

        Raises:
            BrokerError: the broker refuses to go on; what was gathered will be read again.
        """
        payloads: list[bytes | None] = []
        end: dict[int, int] = {}
        deadline = None
        while len(payloads) < size:
            if wants_stop():
                return None
            # The first message is awaited alone, so that the interval counts from its arrival.
            wanted, wait = (1, SLICE) if deadline is None else (size - len(payloads), deadline - time.monotonic())
            if wait <= 0:
                break
            for message in self._consumer.consume(wanted, min(wait, SLICE)):
                if message.error() is not None:
                    self._judge(message)
                    continue
                self._trouble = None
                payloads.append(message.value())
                end[message.partition()] = message.offset() + 1
            if payloads and deadline is None:
                deadline = time.monotonic() + interval
            if self.at_end:
                break
        return Batch(payloads, end) if payloads else None

    def _judge(self, message: confluent_kafka.Message) -> None:
        """Raises what a message that is an error means, unless it means nothing."""
        error = message.error()
        code = error.code()
        place = f"topic {self._topic}, partition {message.partition()}"
        if code == KafkaError._PARTITION_EOF:
            self._ended.add(message.partition())
        elif code in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            text = f"{place}: the messages at offset {message.offset()} are no longer there: {error.str()}"
            raise BrokerError(f"Kafka stream {self._name}, {text}", retryable=False)
        else:
            raise BrokerError(f"Kafka stream {self._name}, {place}: {error.str()}")

    def _note(self, error: KafkaError) -> None:
        # Called by librdkafka from within poll and consume, over and over while it goes on trying by itself: only the
        # first is news. "All brokers are down" says that there is no hope for now, what came before it says why.
        if self._trouble is None:
            log.warning("stream %s: %s; librdkafka goes on trying", self._name, error.str())
        if error.code() == KafkaError._ALL_BROKERS_DOWN and self._trouble is not None:
            error = KafkaError(error.code(), self._trouble.str())
        self._trouble = error

    def _unreachable(self, reason: KafkaError) -> str:
        return f"Kafka stream {self._name}, broker unreachable at {self._uri}: {reason.str()}"


def group_of(name: str) -> str:
    """The consumer group of a stream, which exists for lag monitors only."""
    return f"sluice.{name}"


def check_topic(name: str, uri: str, topic: str, settings: Settings) -> None:
    """Raises TopicNotFound or BrokerError unless the topic can be read about; leaves nothing behind."""
    with Consumer(name, uri, topic, settings) as consumer:
        consumer.partitions()
