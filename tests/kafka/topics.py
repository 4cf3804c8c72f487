"""What tests do with a broker's topics, through confluent_kafka, whichever broker it is."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from typing import Any, NamedTuple

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

TIMEOUT = 20.0  # seconds for any one answer of the broker
NOT_YET = (
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
)

AWAY = (KafkaError._TIMED_OUT, KafkaError.INVALID_REPLICATION_FACTOR)
"What is said while a busy broker's session with the controller is over, which then knows of no broker that is up."

# A broker that a test kills makes librdkafka write to stderr; only the lines of a failing test are wanted.
log = logging.getLogger("tests.kafka")


class Stored(NamedTuple):
    """A message as the topic holds it; `headers` in their order, empty when there are none."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class Topics:
    """
    The topics of one broker.

    Every method makes the client it needs and closes it, so nothing goes on when it returns, and a broker that was
    away meanwhile makes no difference.
    """

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    def create(
        self,
        name: str | None = None,
        partitions: int = 1,
        config: Mapping[str, str] | None = None,
        replicas: int = 1,
        *,
        nodes: Sequence[int] = (),
    ) -> str:
        """
        Create a topic and wait until the broker leads its partitions.

        Args:
            name: None makes a fresh one.
            config: the topic's settings, such as `{"message.timestamp.type": "LogAppendTime"}`.
            replicas: how many brokers have each partition.
            nodes: the ids of these brokers, the leader's first; empty: the broker chooses.
        """
        name = name or f"topic-{uuid.uuid4().hex[:12]}"
        where: dict[str, Any] = {"replication_factor": replicas}
        if nodes:
            where = {"replica_assignment": [list(nodes)] * partitions}
        topic = NewTopic(name, num_partitions=partitions, config=dict(config or {}), **where)
        exists = KafkaError.TOPIC_ALREADY_EXISTS
        self._answer(lambda admin: admin.create_topics([topic], operation_timeout=TIMEOUT)[name], done=exists)
        self._wait_until_led(name, partitions)
        return name

    def add_partitions(self, topic: str, total: int) -> None:
        """Make `topic` have `total` partitions, which must be more than it has."""
        wanted = [NewPartitions(topic, total)]
        has_them = KafkaError.INVALID_PARTITIONS
        self._answer(lambda admin: admin.create_partitions(wanted, operation_timeout=TIMEOUT)[topic], done=has_them)
        self._wait_until_led(topic, total)

    def delete(self, topic: str) -> None:
        """Delete `topic` and what it holds."""
        gone = KafkaError.UNKNOWN_TOPIC_OR_PART
        self._answer(lambda admin: admin.delete_topics([topic], operation_timeout=TIMEOUT)[topic], done=gone)

    def trim(self, topic: str, offset: int, partition: int = 0) -> None:
        """What retention does, at once: the partition begins at `offset` from now on."""
        place = TopicPartition(topic, partition, offset)
        self._answer(lambda admin: next(iter(admin.delete_records([place]).values())))

    def names(self) -> set[str]:
        """Every topic there is. Asks for no topic by name, so it creates none."""
        return set(self._admin().list_topics(timeout=TIMEOUT).topics)

    def partitions(self, topic: str) -> list[int]:
        """The partitions of `topic`, in order; none if there is no such topic."""
        metadata = self._admin().list_topics(timeout=TIMEOUT).topics.get(topic)
        return sorted(metadata.partitions) if metadata else []

    def groups(self) -> set[str]:
        """Every consumer group the broker knows, whether it has members or offsets only."""
        listed = self._answer(lambda admin: admin.list_consumer_groups(request_timeout=TIMEOUT))
        return {group.group_id for group in listed.valid}

    def produce(
        self,
        topic: str,
        values: Iterable[str | bytes | None],
        partition: int | None = None,
        key: str | bytes | None = None,
        headers: list[tuple[str, bytes | None]] | None = None,
    ) -> list[tuple[int, int]]:
        """
        Put one message per value into `topic`, in order, and wait until the broker has them all.

        Args:
            partition: None lets the key decide, or, without a key, librdkafka.

        Returns:
            the partition and the offset of each message, in the order of `values`.
        """
        # Not idempotent: asking the broker for a producer id costs half a second, each time.
        settings = {"max.in.flight": 1, "linger.ms": 2, "message.timeout.ms": int(TIMEOUT * 1000)}
        producer = Producer(self._settings(settings))
        places: dict[int, tuple[int, int]] = {}
        errors: list[KafkaError] = []
        same: dict[str, Any] = {"key": key, "headers": headers}
        if partition is not None:
            same["partition"] = partition
        count = 0
        for count, value in enumerate(values, start=1):
            self._send(producer, topic, _Delivery(count, places, errors), value=value, **same)
        producer.flush(TIMEOUT + 1)
        if errors:
            raise KafkaException(errors[0])
        assert len(places) == count, f"{count - len(places)} of {count} messages to {topic} were not confirmed"
        return [places[number] for number in range(1, count + 1)]

    @staticmethod
    def _send(producer: Producer, topic: str, delivery: _Delivery, **message: Any) -> None:
        while True:
            try:
                producer.produce(topic, on_delivery=delivery, **message)
            except BufferError:  # the queue is full
                producer.poll(0.1)
            else:
                producer.poll(0)
                return

    def watermarks(self, topic: str, partition: int = 0) -> tuple[int, int]:
        """The offset of the first message that a partition holds, and of the next one that it will get."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            # Another client each time: one can stay with what it was told first.
            with closing(self._consumer()) as consumer:
                try:
                    low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=TIMEOUT)
                except KafkaException as error:
                    # The call asks once only, and a broker that has just started or made the partition may say "not I".
                    if time.monotonic() > deadline or error.args[0].code() not in NOT_YET:
                        raise
                else:
                    return low, high
            time.sleep(0.05)

    def read(self, topic: str) -> list[Stored]:
        """
        Everything that `topic` holds now, partition by partition in the order of the offsets.

        Joins no group and commits nothing.
        """
        ends = {number: self.watermarks(topic, number) for number in self.partitions(topic)}
        wanted = {number for number, (low, high) in ends.items() if low < high}
        stored: list[Stored] = []
        with closing(self._consumer({"enable.partition.eof": True})) as consumer:
            consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in wanted])
            while wanted:
                message = consumer.poll(TIMEOUT)
                assert message is not None, f"{topic} gave nothing for {TIMEOUT:g} s"
                error = message.error()
                if error is None:
                    stored.append(_stored(message))
                elif error.code() == KafkaError._PARTITION_EOF:
                    wanted.discard(message.partition())
                else:
                    raise KafkaException(error)
        return sorted(stored, key=lambda message: message[:2])

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """The offset that `group` has committed for each partition of `topic`; partitions without one are absent."""
        asked = [TopicPartition(topic, number) for number in self.partitions(topic)]
        request = ConsumerGroupTopicPartitions(group, asked)
        answer = self._answer(
            lambda admin: admin.list_consumer_group_offsets([request], request_timeout=TIMEOUT)[group]
        )
        return {place.partition: place.offset for place in answer.topic_partitions if place.offset >= 0}

    def _wait_until_led(self, topic: str, partitions: int) -> None:
        for number in range(partitions):
            self.watermarks(topic, number)

    def _answer(self, ask: Callable[[AdminClient], Future[Any]], done: int | None = None) -> Any:
        """
        The answer to a question. It is put again, by another client, when there is none in time: one that looks for the
        controller just when the broker is not let in looks again after minutes.

        Args:
            done: the code of the error that says that a question that was not answered had its effect.
        """
        deadline = time.monotonic() + 2 * TIMEOUT
        unanswered = False
        while True:
            admin = self._admin()
            try:
                return ask(admin).result(TIMEOUT)
            except (TimeoutError, KafkaException) as error:
                code = error.args[0].code() if isinstance(error, KafkaException) else KafkaError._TIMED_OUT
                if unanswered and code == done:
                    return None
                if code not in AWAY or time.monotonic() >= deadline:
                    raise
                unanswered |= code == KafkaError._TIMED_OUT
            time.sleep(0.1)

    def _admin(self) -> AdminClient:
        """A client for one question. Its futures fail when it goes, so the caller keeps it until it has the answer."""
        return AdminClient(self._settings({}))

    def _consumer(self, settings: Mapping[str, Any] | None = None) -> Consumer:
        # librdkafka wants a group of every consumer; without subscribing or committing the broker never hears of it.
        own = {
            "group.id": "tests-read-only",
            "enable.auto.commit": False,
            "allow.auto.create.topics": False,
            "fetch.wait.max.ms": 10,
        }
        return Consumer(self._settings({**own, **(settings or {})}))

    def _settings(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        return {"bootstrap.servers": self._bootstrap, "logger": log, **settings}


class _Delivery:
    """Notes where the broker put one message, or why it did not."""

    def __init__(self, number: int, places: dict[int, tuple[int, int]], errors: list[KafkaError]) -> None:
        self._number = number
        self._places = places
        self._errors = errors

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._places[self._number] = (message.partition(), message.offset())
        else:
            self._errors.append(error)


def _stored(message: Message) -> Stored:
    return Stored(message.partition(), message.offset(), message.key(), message.value(), tuple(message.headers() or ()))
