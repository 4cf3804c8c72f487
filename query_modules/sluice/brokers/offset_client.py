"""
Asks Kafka for offsets on behalf of all streams that have the same brokers and settings, in threads of its own.

The admin client's `list_offsets` would need no threads, and answers for brokers that others do not. It is not used: it
can end the process, and so the database, when the client learns of a topic in the very moment in which it is asked.

Source: `rd_kafka_topic_partition_list_query_leaders_async` in `rdkafka_partition.c`, v2.16.0: it runs in the thread
    that asks, and may meanwhile run a second time in the client's own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import confluent_kafka
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    OFFSET_INVALID,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from sluice.brokers import clients
from sluice.brokers.offsets import partition_at
from sluice.brokers.reporter import group_of
from sluice.values.configuration import Configuration
from sluice.values.position import Partition

log = logging.getLogger("sluice.offsets")

BEGIN, END = OFFSET_BEGINNING, OFFSET_END
"In place of a time: the partition's first offset, and the one that its next message gets. So Kafka's protocol has it."

THREADS = 8
"Questions that wait for brokers at a time; a broker that hangs keeps one waiting until its time is over."

STALE = frozenset(
    {
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
    }
)
"""
Answers to a client that knows an earlier leader than there is, such as after a broker's restart. librdkafka goes on
with what it knows until somebody asks it for the topic's metadata.
"""

AGAIN = 0.1
"Seconds between two tries after such an answer."

Asked = Mapping[Partition, Future[int]]
"Partition -> the answer, once there is one."


class OffsetClient:
    """
    Answers with futures, one for each partition.

    Threads: any may ask. A consumer for each isolation level, made when it is first needed, belongs to the threads that
        answer, which end when nobody has this object any more.
    """

    def __init__(self, new: Callable[[IsolationLevel], confluent_kafka.Consumer]) -> None:
        """`new`: makes a consumer, which nothing is assigned to."""
        self._new = new
        self._lock = threading.Lock()  # guards _consumers
        self._consumers: dict[IsolationLevel, confluent_kafka.Consumer] = {}
        self._executor = ThreadPoolExecutor(THREADS, "sluice-offsets")

    def ask(
        self,
        partitions: Iterable[Partition],
        when: int,
        timeout: float,
        isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED,
    ) -> Asked:
        """
        Partition -> its first offset that is not older, -1 if there is none, any other below 0 if it is not known; or a
        KafkaException. Does not wait.

        Args:
            when: milliseconds since 1970, UTC; or BEGIN, or END.
            timeout: seconds that the brokers have to answer.
            isolation: READ_COMMITTED does not see what an open transaction holds back.
        """
        asked: Asked = {partition: Future() for partition in partitions}
        if asked:
            try:
                self._executor.submit(self._answer, asked, when, time.monotonic() + timeout, isolation)
            except RuntimeError as error:  # the interpreter ends, or there can be no more threads
                _fail(asked, KafkaException(KafkaError(KafkaError._FAIL, str(error))))
        return asked

    def _answer(self, asked: Asked, when: int, deadline: float, isolation: IsolationLevel) -> None:
        topics = sorted({partition.topic for partition in asked})
        told: list[TopicPartition] | None = None
        try:
            told = _told(self._consumer(isolation), [TopicPartition(*partition, when) for partition in asked], deadline)
        except Exception as error:  # it is theirs who asked
            if len(topics) == 1 or not isinstance(error, KafkaException) or error.args[0].code() < 0:
                _fail(asked, error)
                return
        if told is None:  # a broker has refused one of the topics, and then librdkafka tells nothing of the others
            for topic in topics:
                self._answer({p: future for p, future in asked.items() if p.topic == topic}, when, deadline, isolation)
            return
        for place in told:
            future = asked[partition_at(place)]
            if place.error is not None:
                future.set_exception(KafkaException(place.error))
            else:
                # Where nobody answered the time itself comes back.
                future.set_result(OFFSET_INVALID if place.offset == when >= 0 else place.offset)

    def _consumer(self, isolation: IsolationLevel) -> confluent_kafka.Consumer:
        with self._lock:
            if isolation not in self._consumers:
                self._consumers[isolation] = self._new(isolation)
            return self._consumers[isolation]


def _fail(asked: Asked, error: Exception) -> None:
    for future in asked.values():
        future.set_exception(error.with_traceback(None))  # which would keep this client alive


def _told(consumer: confluent_kafka.Consumer, places: list[TopicPartition], deadline: float) -> list[TopicPartition]:
    """What the brokers say; while the consumer's metadata is stale it is asked again, until time is over."""
    while True:
        told: list[TopicPartition] = []
        failure: KafkaError | None = None
        try:
            told = consumer.offsets_for_times(places, timeout=max(0.01, deadline - time.monotonic()))
        except KafkaException as error:
            code = error.args[0].code()
            # An unknown partition is what librdkafka says if none of them has a leader.
            failure = KafkaError(KafkaError.LEADER_NOT_AVAILABLE if code == KafkaError._UNKNOWN_PARTITION else code)
        errors = [place.error for place in told] if failure is None else [failure]
        if time.monotonic() + AGAIN >= deadline or not any(error and error.code() in STALE for error in errors):
            if failure is not None:
                raise KafkaException(failure)
            return told
        _learn(consumer, {place.topic for place in places}, deadline)
        time.sleep(AGAIN)


def _learn(consumer: confluent_kafka.Consumer, topics: Collection[str], deadline: float) -> None:
    """Has the consumer learn who leads the partitions now."""
    for topic in sorted(topics):
        try:
            consumer.list_topics(topic, timeout=max(0.01, deadline - time.monotonic()))
        except KafkaException as error:
            log.debug("no metadata of %s: %s", topic, error)


def _offset_client(name: str, uri: str, configuration: Configuration) -> OffsetClient:
    defaults = {"client.id": "sluice-offsets", "reconnect.backoff.max.ms": 250}
    group = {"group.id": group_of(name)}  # librdkafka wants one
    own = {**clients.POSITIONS_OF_THE_GRAPH, **clients.READS_LITTLE, **group, "log_level": 0}

    def new(isolation: IsolationLevel) -> confluent_kafka.Consumer:
        level = {"isolation.level": isolation.name.lower()}
        kind = confluent_kafka.Consumer
        return clients.make(kind, name, uri, configuration, defaults=defaults, own={**own, **level})

    return OffsetClient(new)


offset_clients = clients.Shared(_offset_client)
