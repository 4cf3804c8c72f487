"""The producer of a round: feeds a topic as far as it is told, whatever happens to the broker."""

from __future__ import annotations

import threading
import time
from contextlib import closing, suppress
from types import TracebackType

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from tests.faults.content import Content
from tests.faults.plan import Layout
from tests.kafka.topics import log

SETTINGS = {
    # Every message once and in order, however often the broker goes away.
    "enable.idempotence": True,
    "message.timeout.ms": 0,
    "linger.ms": 5,
    "reconnect.backoff.max.ms": 500,
    "queue.buffering.max.messages": 50_000,
}

STUCK = 30.0
"""
Seconds without any delivery after which the producer is made anew. librdkafka's idempotent one does not always find its
way back to a broker that was restarted while everything was slow; another begins where the topic ends.
"""


class Feeder:
    """
    Puts the messages of `content` into topics, in the order of its runs.

    Threads: its own produces; any may call the methods.
    """

    def __init__(self, content: Content, bootstrap: str, layout: Layout) -> None:
        self._content = content
        self._layout = layout
        self._brokers = {"bootstrap.servers": bootstrap, "logger": log}
        self._producer = Producer({**self._brokers, **SETTINGS})
        self._there = dict.fromkeys(range(content.partitions), 0)
        "How many messages each partition had when the producer was made."
        self._delivered = 0  # by this producer
        self._moved = time.monotonic()
        self._refused = False  # whether a message was not delivered
        self.renewed = 0
        "How often the producer was made anew."
        self._allowed = 0
        self._change = threading.Condition()  # guards _allowed and _closing
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="feeder", daemon=True)

    def __enter__(self) -> Feeder:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._change:
            self._closing = True
            self._change.notify()
        self._thread.join()

    def allow(self, count: int) -> None:
        """Feed on until there are at least so many messages in all."""
        with self._change:
            self._allowed = max(self._allowed, count)
            self._change.notify()

    @property
    def delivered(self) -> int:
        """How many messages the topics have, as far as is known."""
        return sum(self._there.values()) + self._delivered

    def finish(self, timeout: float) -> None:
        """Feed all there is, and wait until the broker has it."""
        self.allow(self._content.size)
        self._thread.join(timeout)
        assert not self._thread.is_alive(), f"the broker did not take everything within {timeout:g} s"

    def _run(self) -> None:
        while not self._feed() and not self._closing:
            self._renew()

    def _feed(self) -> bool:
        """Feeds whatever is not there yet, as far as it is allowed; False if the producer is stuck."""
        count = 0
        self._moved, self._refused = time.monotonic(), False
        for partition, sequences in self._content.runs:
            while not self._may(count):
                self._producer.poll(0)
                if self._stuck():
                    return False
            for sequence in sequences:
                if sequence >= self._there[partition] and not self._produce(partition, sequence):
                    return False
            count += len(sequences)
        while self._producer.flush(0.2) and not self._closing:
            if self._stuck():
                return False
        return True

    def _may(self, count: int) -> bool:
        """Waits a moment for leave to feed more than so many."""
        with self._change:
            return self._change.wait_for(lambda: self._closing or self._allowed > count, timeout=0.2)

    def _produce(self, partition: int, sequence: int) -> bool:
        value = self._content.message(partition, sequence)
        topic, number = self._layout.place(partition)
        while not self._closing:
            try:
                self._producer.produce(topic, value, partition=number, on_delivery=self._note)
            except BufferError:  # the queue is full
                self._producer.poll(0.1)
                if self._stuck():
                    return False
            except KafkaException:  # what is wrong with it is for good
                return False
            else:
                self._producer.poll(0)
                return True
        return False

    def _stuck(self) -> bool:
        if not len(self._producer):
            self._moved = time.monotonic()
        return self._refused or time.monotonic() - self._moved > STUCK

    def _note(self, error: KafkaError | None, _message: Message) -> None:
        self._refused |= error is not None
        self._delivered += error is None
        self._moved = time.monotonic()

    def _renew(self) -> None:
        self._producer.purge()
        self._producer.flush(1)
        self.renewed += 1
        while not self._closing:
            with suppress(KafkaException), closing(Consumer({**self._brokers, "group.id": "feeder"})) as consumer:
                places = {number: TopicPartition(*self._layout.place(number)) for number in self._there}
                ends = {n: consumer.get_watermark_offsets(place, timeout=5)[1] for n, place in places.items()}
                self._there, self._delivered = ends, 0
                break
        self._producer = Producer({**self._brokers, **SETTINGS})
