"""Topics with a benchmark's messages."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from confluent_kafka import Producer

from sandbox.mock_broker import MockBroker
from tests.kafka import KafkaBroker

Broker = KafkaBroker | MockBroker
"""
Memgraph 2.14's own streams, as packaged, are not for Kafka 4, but can read from the broker that librdkafka carries. It
keeps 5 MB of each partition.
"""


def new_topic(broker: Broker, partitions: int = 1) -> str:
    """A topic that nobody else has."""
    if isinstance(broker, KafkaBroker):
        return broker.topics.create(partitions=partitions)
    name = f"topic_{uuid.uuid4().hex[:12]}"
    broker.create_topic(name, partitions)
    return name


def produce(broker: Broker, messages: Sequence[bytes], topics: int = 1, partitions: int = 1) -> list[str]:
    """The messages in turns over so many new topics, and in each over its partitions; the topics' names."""
    names = [new_topic(broker, partitions) for _ in range(topics)]
    producer = Producer(
        {"bootstrap.servers": broker.bootstrap, "queue.buffering.max.messages": 1 << 20, "linger.ms": 50}
    )
    for number, message in enumerate(messages):
        while True:
            try:
                producer.produce(names[number % topics], message, partition=number // topics % partitions)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush()
    return names
