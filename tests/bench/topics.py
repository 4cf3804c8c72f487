"""Topics with a benchmark's messages."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import Producer

from tests.kafka import KafkaBroker


def produce(broker: KafkaBroker, messages: Sequence[bytes], topics: int = 1, partitions: int = 1) -> list[str]:
    """The messages in turns over so many new topics, and in each over its partitions; the topics' names."""
    names = [broker.topics.create(partitions=partitions) for _ in range(topics)]
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
