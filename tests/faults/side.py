"""A partition of a round's topic to which only the faults write, so that its log may lose what it has."""

from __future__ import annotations

import enum
from collections.abc import Callable
from contextlib import suppress

from confluent_kafka import KafkaException, Producer

from tests.faults.compare import stored
from tests.faults.content import GOOD
from tests.faults.plan import Layout
from tests.kafka import KafkaBroker
from tests.kafka.topics import log

TIMEOUT = 10.0  # seconds that a broker has to do what it is asked


class Ending(enum.Enum):
    """What becomes of a producer's transaction."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    OPEN = "left open"
    "Until the next producer ends it, or `close` does."


class SidePartition:
    """
    Its messages are numbered over all its logs.

    Threads: the round's.
    """

    def __init__(self, broker: KafkaBroker, layout: Layout) -> None:
        self.number = layout.count
        "By which messages and the harness know it."
        self.topic, self.partition = layout.place(self.number)
        self.gone: list[bytes] = []
        "Messages that took effect, and that Kafka no longer has."
        self._broker = broker
        self._written = 0
        self._id = f"side-of-{self.topic}"

    @property
    def end(self) -> int:
        """The offset that its next message gets."""
        return self._broker.topics.watermarks(self.topic, self.partition)[1]

    @property
    def messages(self) -> int:
        """How many messages, of all its logs, are to take effect."""
        return len(self.gone) + sum(1 for _ in stored(self._broker.bootstrap, self.topic, self.partition))

    def write(self, count: int) -> None:
        """Messages that belong to no transaction."""
        self._broker.topics.produce(self.topic, self._messages(count), partition=self.partition)

    def write_in_transaction(self, count: int, ending: Ending, meanwhile: Callable[[], None] = lambda: None) -> None:
        """
        Messages of one transaction. If a broker goes away meanwhile, what becomes of it is decided by Kafka.

        Args:
            meanwhile: what is done while it is open.
        """
        producer = self._producer()
        with suppress(KafkaException):
            producer.begin_transaction()
            for message in self._messages(count):
                producer.produce(self.topic, message, partition=self.partition)
            producer.flush(TIMEOUT)
            meanwhile()
            if ending is Ending.COMMITTED:
                producer.commit_transaction(TIMEOUT)
            elif ending is Ending.ABORTED:
                producer.abort_transaction(TIMEOUT)

    def close(self) -> None:
        """Ends a transaction that was left open."""
        self._producer()

    def forget(self) -> None:
        """Everything that it has took effect, and is about to go."""
        self.gone += stored(self._broker.bootstrap, self.topic, self.partition)

    def _producer(self) -> Producer:
        """The next producer of its id: Kafka aborts what the one before has left open."""
        settings = {"bootstrap.servers": self._broker.bootstrap, "transactional.id": self._id, "logger": log}
        while True:
            producer = Producer(settings)
            with suppress(KafkaException):
                producer.init_transactions(TIMEOUT)
                return producer

    def _messages(self, count: int) -> list[bytes]:
        first, self._written = self._written, self._written + count
        return [f"{self.number} {sequence} {GOOD} {'side' * 10}".encode() for sequence in range(first, first + count)]
