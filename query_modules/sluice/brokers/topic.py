"""What Kafka says of a stream's topics."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from sluice.brokers.complaints import HOPELESS, Complaints
from sluice.brokers.offsets import asked_for, is_offset
from sluice.brokers.topic_client import TopicClient
from sluice.errors import BrokerError, BrokerUnreachable, TopicNotFound
from sluice.values.model import StreamSpec
from sluice.values.position import Partition

PATIENCE = 1.5
"Seconds of the wait for a broker's answer after which a known trouble, such as a refused connection, ends it."

TOPIC_PATIENCE = 1.0
"Seconds for which a broker that has just started, or has just made the topic, may say that there is none."

AFTER_FETCH = 1.0
"Seconds in which a broker answers a consumer that waits for messages: it first answers the fetch, after half a second."

SLICE = 0.3
"Seconds of a question to a leader, after which it is looked whether the connection could be made."

NO_SUCH_TOPIC = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError.TOPIC_EXCEPTION})
"What a broker says of a topic that is not there."


Answer = TypeVar("Answer")


class Topics(NamedTuple):
    """Topics as they are now."""

    ids: Mapping[str, str]
    "topic -> Kafka's id, another when the topic is made anew; without those that are not known, or have none."
    partitions: frozenset[Partition]


def described(answer: Any) -> Topics:
    """What an admin client's answer says of one."""
    topic_id = _text(answer.topic_id)
    partitions = frozenset(Partition(answer.name, partition.id) for partition in answer.partitions)
    return Topics({answer.name: topic_id} if topic_id else {}, partitions)


def _text(topic_id: Any) -> str:
    # Old brokers give zero for none.
    known = topic_id.get_most_significant_bits() or topic_id.get_least_significant_bits()
    return str(topic_id) if known else ""


class TopicMetadata:
    """
    A stream's topic, asked about over the connections of its consumer.

    Threads: for the thread that owns the consumer. Waiting leaves the interpreter lock alone.
    """

    def __init__(
        self,
        client: confluent_kafka.Consumer,
        spec: StreamSpec,
        timeout: float,
        complaints: Complaints,
        serve: Callable[[], None],
    ) -> None:
        """
        Args:
            timeout: seconds in which a broker is to answer.
            serve: has the client call its error callback, which knows more. `poll` of the client would, and would drop
                the message that comes along.
        """
        self._client = client
        self._spec = spec
        self._timeout = timeout
        self._complaints = complaints
        self._serve = serve

    def partitions(
        self, *, patience: float = PATIENCE, timeout: float | None = None, admin: TopicClient | None = None
    ) -> frozenset[Partition]:
        """
        The partitions that the stream's topics have; without topics of a list that are not there.

        Args:
            patience: seconds of the wait after which a known trouble, such as a refused connection, ends it.
            timeout: seconds after which anything does; None: the settings' `broker_timeout`.
            admin: which to ask for all topics, where there may be several; None: the consumer, which answers within
                half a second only while it reads nothing.

        Raises:
            TopicNotFound: the broker answers, and there is none of the topics, nor may a pattern match some later.
            BrokerUnreachable: no answer in time.
            BrokerError: a refusal.
        """
        topics, timeout = self._spec.topics, self._timeout if timeout is None else timeout
        if self._spec.only_topic:
            return self.partitions_of(self._spec.only_topic, patience=patience, timeout=timeout)
        there = self._answered(lambda wait: self._all(admin or self._client, wait), patience, timeout)
        found = topics.matching(there) | (set(topics.names) & there.keys())
        partitions = frozenset[Partition]().union(*(there[topic] for topic in found))
        missing: TopicNotFound | None = None
        for name in sorted(set(topics.names) - found):
            try:
                # Asked for by name the broker says why it does not list it, and has it a moment after it was made.
                # The admin client would make it, where brokers make what they are asked for.
                partitions |= self.partitions_of(name, timeout=max(timeout, AFTER_FETCH))
            except TopicNotFound as error:
                missing = error
        if missing is not None and not partitions and not topics.has_patterns:
            raise missing
        return partitions

    def partitions_of(
        self, topic: str, *, patience: float = PATIENCE, timeout: float | None = None
    ) -> frozenset[Partition]:
        """The partitions of one topic. Raises as `partitions`."""
        return self._answered(
            lambda wait: self._ask(topic, wait), patience, self._timeout if timeout is None else timeout
        )

    def _answered(self, ask: Callable[[float], Answer], patience: float, timeout: float) -> Answer:
        began = time.monotonic()
        while True:
            try:
                return ask(min(AFTER_FETCH, timeout))
            except TopicNotFound:
                if time.monotonic() - began >= min(TOPIC_PATIENCE, timeout):
                    raise
                time.sleep(0.1)
            except KafkaException as error:
                self._serve()
                known, waited = self._complaints.latest, time.monotonic() - began
                hopeless = known is not None and (known.code() in HOPELESS or waited >= patience)
                if hopeless or waited >= timeout:
                    raise BrokerUnreachable(self._complaints.unreachable(known or error.args[0])) from error

    def check_leaders(self, partitions: frozenset[Partition]) -> None:
        """
        Finds out if leaders of the partitions have addresses that are not in the stream's URI and cannot be reached:
        the broker that is asked for metadata need not be among them. To be called once `partitions` are known.

        Raises BrokerUnreachable: so it is.
        """
        deadline = time.monotonic() + self._timeout
        topics = sorted({partition.topic for partition in partitions})
        led: dict[str, Partition] = {}
        for topic in topics[:1] if self._spec.topics.has_patterns else topics:
            try:
                metadata = self._client.list_topics(topic, timeout=self._timeout)
            except KafkaException:
                return  # it has answered a moment ago: a passing trouble
            for number, place in metadata.topics[topic].partitions.items():
                if (broker := metadata.brokers.get(place.leader)) is not None:
                    led[f"{broker.host}:{broker.port}"] = Partition(topic, number)
        for address, partition in led.items():
            if self._complaints.is_foreign(address):
                self._check_leader(address, partition, deadline)

    def _check_leader(self, address: str, partition: Partition, deadline: float) -> None:
        while True:
            try:
                if self._client.get_watermark_offsets(asked_for(partition), timeout=SLICE) is not None:
                    return
            except KafkaException as error:
                if error.args[0].code() > 0:
                    return  # a broker's answer
                time.sleep(0.1)
            self._serve()
            refused = self._complaints.advertised == address
            if refused or time.monotonic() >= deadline:
                silent = KafkaError(KafkaError._TIMED_OUT, f"{address} does not answer")
                raise BrokerUnreachable(self._complaints.unreachable((refused and self._complaints.latest) or silent))

    def watermarks(self, partition: Partition) -> tuple[int, int]:
        """
        A partition's first offset, and the one that its next message gets. Raises BrokerError: no answer, or a refusal.
        """
        place = f"Kafka stream {self._spec.name}, {partition}"
        try:
            told = self._client.get_watermark_offsets(asked_for(partition), timeout=self._timeout)
        except KafkaException as error:
            raise BrokerError(f"{place}: {error.args[0].str()}") from error
        low, high = told or (-1, -1)  # confluent-kafka gives None when time is over
        if not (is_offset(low) and is_offset(high)):
            raise BrokerError(f"{place}: the broker at {self._spec.uri} did not answer in time")
        return low, high

    def _ask(self, topic: str, timeout: float) -> frozenset[Partition]:
        found = self._client.list_topics(topic, timeout=timeout).topics[topic]
        if found.error is not None and found.error.code() not in NO_SUCH_TOPIC:
            place = f"Kafka stream {self._spec.name}, topic {topic} at {self._spec.uri}"
            raise BrokerError(f"{place}: {found.error.str()}")
        self._complaints.answered()
        if found.error is not None or not found.partitions:
            which = "" if topic == self._spec.only_topic else f" {topic}"
            raise TopicNotFound(f"Kafka stream {self._spec.name}, topic{which} not found")
        return frozenset(Partition(topic, number) for number in found.partitions)

    def _all(self, client: TopicClient | confluent_kafka.Consumer, timeout: float) -> dict[str, frozenset[Partition]]:
        there = client.list_topics(timeout=timeout).topics
        self._complaints.answered()
        found = {
            name: frozenset(Partition(name, number) for number in topic.partitions) for name, topic in there.items()
        }
        return {name: partitions for name, partitions in found.items() if partitions}
