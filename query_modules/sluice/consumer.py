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
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from sluice.errors import BrokerError, TopicNotFound
from sluice.settings import Settings

log = logging.getLogger("sluice.consumer")

SLICE = 0.2
"Seconds between two looks at whether the owner wants to stop."

PATIENCE = 1.5
"Seconds of the wait for a broker's answer after which a known trouble, such as a refused connection, ends it."

HOPELESS = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._RESOLVE})
"What ends the wait for a broker's answer before its time."

NO_SUCH_TOPIC = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError.TOPIC_EXCEPTION})


class Batch:
    """
    Messages in the order they came, which is Kafka's order within each partition. Never empty.
    """

    def __init__(self, messages: list[confluent_kafka.Message]) -> None:
        self.messages = messages

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def payloads(self) -> list[bytes | None]:
        """The messages' values; None for a tombstone."""
        return [message.value() for message in self.messages]

    @property
    def end(self) -> dict[int, int]:
        """partition -> offset behind the batch's last message of it; only partitions with messages in the batch."""
        return {message.partition(): message.offset() + 1 for message in self.messages}

    def halves(self) -> tuple[Batch, Batch]:
        """The batch in two; it has at least two messages."""
        middle = len(self.messages) // 2
        return Batch(self.messages[:middle]), Batch(self.messages[middle:])


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
        began = time.monotonic()
        while True:
            try:
                metadata = self._consumer.list_topics(self._topic, timeout=min(0.5, self._timeout))
                break
            except KafkaException as error:
                self._consumer.poll(0)  # serves the error callback, which knows more
                waited = time.monotonic() - began
                hopeless = self._trouble is not None and (self._trouble.code() in HOPELESS or waited >= PATIENCE)
                if hopeless or waited >= self._timeout:
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

    def poll_batch(
        self, size: int, interval: float, wants_stop: Callable[[], bool], *, patience: float | None = None
    ) -> Batch | None:
        """
        Waits for a message, then gathers until there are `size` of them or `interval` seconds have passed since the
        first.

        Args:
            patience: seconds to wait for the first message; None: until there is one.

        Returns:
            None when no message came in time, when `wants_stop` answered True, or when the topic's end is reached with
            nothing gathered (`at_end`).

        Raises:
            BrokerError: the broker refuses to go on; what was gathered will be read again.
        """
        messages = self._consume(size, 0) or self._await_first(patience, wants_stop)
        complete_by = time.monotonic() + interval
        while messages and len(messages) < size and not self.at_end:
            wait = min(complete_by - time.monotonic(), SLICE)
            if wait <= 0:
                break
            if wants_stop():
                return None
            messages += self._consume(size - len(messages), wait)
        return Batch(messages) if messages else None

    def _await_first(self, patience: float | None, wants_stop: Callable[[], bool]) -> list[confluent_kafka.Message]:
        """The next message, alone, so that the interval counts from its arrival; nothing if it does not come."""
        give_up = None if patience is None else time.monotonic() + patience
        while not wants_stop() and not self.at_end:
            wait = SLICE if give_up is None else min(give_up - time.monotonic(), SLICE)
            if wait <= 0:
                break
            if found := self._consume(1, wait):
                return found
        return []

    def _consume(self, most: int, wait: float) -> list[confluent_kafka.Message]:
        """At most `most` messages, events sorted out; waits `wait` seconds if there are fewer."""
        arrived = self._consumer.consume(most, wait)
        events = [message for message in arrived if message.error() is not None]
        for event in events:
            self._judge(event)
        if len(events) < len(arrived):
            self._trouble = None
        return [message for message in arrived if message.error() is None] if events else arrived

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
