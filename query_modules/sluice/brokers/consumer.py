"""
The Kafka side of a stream: reads a topic from given positions, batch by batch.

Partitions are assigned, never subscribed to: positions come from the graph, so no group is joined and nobody
rebalances us. Positions are told to the stream's group all the same, for lag monitors (`reporter`).
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import TracebackType

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from sluice.brokers import clients
from sluice.brokers.offsets import is_offset
from sluice.brokers.reporter import Reporter, group_of
from sluice.errors import BrokerError, BrokerUnreachable, OffsetGone, TopicNotFound
from sluice.host.ending import interpreter_ends
from sluice.host.settings import Settings
from sluice.values.batch import Batch, Group, Messages, cut
from sluice.values.model import StreamSpec

log = logging.getLogger("sluice.consumer")

QUEUED = 10_000
"""
Messages that librdkafka holds before it stops to ask for more. It counts the bytes of payloads only, and each message
costs it some 300 more: with its default of 100,000 small ones take more memory than `SLUICE_FETCH_BUFFER_KB` allows.
"""

FETCH_BYTES = 1 << 20
"Of a broker's answer, over all partitions: what is in it comes on top of what is held. One message may be larger."

SLICE = 0.5
"Seconds between two looks at whether the owner wants to stop."

SPEAKS_OTHERWISE = "if that port wants TLS or SASL, the config needs security.protocol"

PATIENCE = 1.5
"Seconds of the wait for a broker's answer after which a known trouble, such as a refused connection, ends it."

HOPELESS = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._RESOLVE})
"What ends the wait for a broker's answer before its time."

TOPIC_PATIENCE = 1.0
"Seconds for which a broker that has just started, or has just made the topic, may say that there is none."

OF_THE_GROUP = frozenset({KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.INVALID_GROUP_ID})
"What is wrong with the group alone keeps nobody from reading."

GROUP_BYTES = 1 << 20
"Bytes of payloads in a group of several batches."

NO_SUCH_TOPIC = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError.TOPIC_EXCEPTION})
"What a broker says of a topic that is not there."


_UNCLOSED: list[confluent_kafka.Consumer] = []
"Clients that no thread could be started for any more; the end of the process takes them along."


class Consumer:
    """
    Reads one topic for one stream.

    Threads: for the thread that made it, librdkafka's own threads aside. Nothing here waits holding the interpreter
        lock.
    """

    def __init__(
        self,
        spec: StreamSpec,
        settings: Settings,
        *,
        to_the_end: bool = False,
        doubt: Callable[[str], None] = lambda _: None,
    ) -> None:
        """
        Args:
            to_the_end: make `poll` notice where the partitions end (`at_end`).
            doubt: called with what librdkafka has to get over, again and again until it has.

        Raises:
            SettingError: a secret of the stream's configuration cannot be resolved.
            BrokerError: librdkafka cannot work with the URI or the configuration.
        """
        self._name = spec.name
        self._uri = spec.uri
        self._topic = spec.topic
        self._timeout = settings.broker_timeout
        self._max_bytes = settings.batch_max_bytes
        self._doubt = doubt
        self._trouble: KafkaError | None = None
        self._partitions: frozenset[int] = frozenset()
        self._ended: set[int] = set()
        self._taken: Messages = []
        "Messages that came and were not given out."
        self._arrivals: deque[tuple[int, float]] = deque()
        "How many of them came when, in their order."
        self._reporter = Reporter(spec.name, spec.topic)
        self._given: dict[int, int] = {}
        "Partition -> the offset after its last message that was given out."
        self._deferred: BrokerError | None = None
        "What is to be raised once the messages that came before it are given out."
        defaults = {
            "client.id": group_of(spec.name),
            "isolation.level": "read_committed",
            "queued.max.messages.kbytes": settings.fetch_buffer_kb,
            "queued.min.messages": QUEUED,
            "fetch.queue.backoff.ms": 10,  # else it is a second before more is asked for once that many were held
            "reconnect.backoff.max.ms": 500,
        }
        if "message.max.bytes" not in dict(spec.config.kafka):  # librdkafka wants this to be less
            defaults["fetch.max.bytes"] = FETCH_BYTES
        own = {
            "group.id": group_of(spec.name),
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "allow.auto.create.topics": False,
            "enable.partition.eof": to_the_end,
            "error_cb": self._note,
            "on_commit": self._reporter.answered,
            "logger": log,
            "log_level": 2,  # only what is critical: errors come to `error_cb`
        }
        kind = confluent_kafka.Consumer
        self._make = partial(clients.make, kind, spec.name, spec.uri, spec.config, defaults=defaults, own=own)
        self._consumer: confluent_kafka.Consumer | None = self._make()
        "None: asleep."
        self._resume_at: Mapping[int, int] = {}

    def __enter__(self) -> Consumer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leaves the brokers. Whatever was not committed to the graph will be read again."""
        client, self._consumer = self._consumer, None
        if client is None:
            return
        if self._reporter.finish(client):
            client.close()
            return
        # Closing would wait for the answer for ever, dropping the last reference for most of a minute: that is left to
        # a thread, which writes nothing and which the end of the process need not wait for.
        last = [client]
        del client
        try:
            threading.Thread(target=last.pop, name="sluice-closer", daemon=True).start()
        except RuntimeError as error:
            if not interpreter_ends(error):
                raise
            _UNCLOSED.extend(last)

    def sleep(self, positions: Mapping[int, int]) -> None:
        """
        Leaves the brokers, and the same partitions are read on from these positions once there is something to ask the
        brokers, as `poll` does. To be called while nothing is `held_back` nor to be reported.
        """
        self._resume_at = dict(positions)
        self.close()

    def _awake(self) -> confluent_kafka.Consumer:
        if self._consumer is None:
            self._consumer = self._make()
            self._trouble = None
            self._consumer.assign(self._places(self._partitions, self._resume_at))
        return self._consumer

    def partitions(self, topic: str | None = None, *, patience: float = PATIENCE) -> frozenset[int]:
        """
        The partitions that the stream's topic, or another one, has.

        Args:
            patience: seconds of the wait after which a known trouble, such as a refused connection, ends it.

        Raises:
            TopicNotFound: the broker answers and has no such topic.
            BrokerUnreachable: no answer within the settings' `broker_timeout`.
            BrokerError: a refusal.
        """
        began = time.monotonic()
        while True:
            try:
                return self._ask(topic or self._topic, min(0.5, self._timeout))
            except TopicNotFound:
                if time.monotonic() - began >= min(TOPIC_PATIENCE, self._timeout):
                    raise
                time.sleep(0.1)
            except KafkaException as error:
                self._awake().poll(0)  # serves the error callback, which knows more
                waited = time.monotonic() - began
                hopeless = self._trouble is not None and (self._trouble.code() in HOPELESS or waited >= patience)
                if hopeless or waited >= self._timeout:
                    raise BrokerUnreachable(self._unreachable(self._trouble or error.args[0])) from error

    def partitions_now(self, timeout: float) -> frozenset[int]:
        """As `partitions`, by a single question; whoever asks waits for `timeout` seconds at the most."""
        try:
            return self._ask(self._topic, timeout)
        except KafkaException as error:
            raise BrokerUnreachable(self._unreachable(error.args[0])) from error

    def _ask(self, topic: str, timeout: float) -> frozenset[int]:
        found = self._awake().list_topics(topic, timeout=timeout).topics[topic]
        if found.error is not None and found.error.code() not in NO_SUCH_TOPIC:
            raise BrokerError(f"Kafka stream {self._name}, topic {topic} at {self._uri}: {found.error.str()}")
        self._trouble = None
        if found.error is not None or not found.partitions:
            raise TopicNotFound(f"Kafka stream {self._name}, topic not found")
        return frozenset(found.partitions)

    def watermarks(self, partition: int) -> tuple[int, int]:
        """
        A partition's first offset, and the one that its next message gets.

        Raises:
            BrokerError: no answer, or a refusal.
        """
        try:
            told = self._awake().get_watermark_offsets(TopicPartition(self._topic, partition), timeout=self._timeout)
        except KafkaException as error:
            place = f"topic {self._topic}, partition {partition}"
            raise BrokerError(f"Kafka stream {self._name}, {place}: {error.args[0].str()}") from error
        low, high = told or (-1, -1)  # confluent-kafka gives None when time is over
        if not (is_offset(low) and is_offset(high)):
            place = f"topic {self._topic}, partition {partition}"
            raise BrokerError(f"Kafka stream {self._name}, {place}: the broker at {self._uri} did not answer in time")
        return low, high

    def assign(self, partitions: Iterable[int], positions: Mapping[int, int]) -> None:
        """Begins to read: each partition from its position, or from the earliest message where it has none."""
        self._partitions = frozenset(partitions)
        self._ended.clear()
        self._taken = []
        self._arrivals.clear()
        self._given = {}
        self._deferred = None
        self._awake().assign(self._places(self._partitions, positions))

    def report(self, positions: Mapping[int, int]) -> None:
        """Lets lag monitors know that these positions are in the graph. Does not wait; may be called at any rate."""
        if self._consumer is None:
            return
        if self._reporter.unanswered and self._deferred is None:
            self._take(1, 0)  # which hears the answer, where a long group keeps `poll` from being called
        self._reporter.report(self._consumer, positions)

    @property
    def reporting(self) -> bool:
        """Whether there is something to `report` yet, or its answer is due."""
        return self._reporter.pending

    def extend(self, partitions: Iterable[int], positions: Mapping[int, int]) -> None:
        """Reads these partitions as well, if it does not yet, and begins as `assign` does; all others go on."""
        new = frozenset(partitions) - self._partitions
        if new:
            log.info("stream %s: topic %s has new partitions: %s", self._name, self._topic, sorted(new))
            client = self._awake()
            self._partitions |= new
            client.incremental_assign(self._places(new, positions))

    def _places(self, partitions: Iterable[int], positions: Mapping[int, int]) -> list[TopicPartition]:
        return [
            TopicPartition(self._topic, partition, positions.get(partition, confluent_kafka.OFFSET_BEGINNING))
            for partition in sorted(partitions)
        ]

    @property
    def assigned(self) -> frozenset[int]:
        """The partitions that it reads."""
        return self._partitions

    def ends(self) -> dict[int, int]:
        """partition -> the offset after its last message, as reported with the messages that came; where it was."""
        ends = {}
        for partition in self._partitions:
            place = TopicPartition(self._topic, partition)
            told = self._awake().get_watermark_offsets(place, cached=True)
            if told is not None and is_offset(told[1]):
                ends[partition] = told[1]
        return ends

    def reached(self, positions: Mapping[int, int]) -> dict[int, int]:
        """
        Partition -> where reading is, where that is after the position though there is no message between: offsets of
        transaction markers and of aborted records are passed without a word. Does not wait.

        Args:
            positions: the stream's. Nothing is reached while a message that came is not before them.
        """
        if (
            self._consumer is None
            or self.held_back
            or any(end > positions.get(p, -1) for p, end in self._given.items())
        ):
            return {}
        self._take(1, 0)  # librdkafka passes such offsets only while it is asked for messages
        return {p: offset for p, offset in self._positions().items() if offset > positions.get(p, -1)}

    def _positions(self) -> dict[int, int]:
        """Partition -> where reading is, if all that came was given out, and as far as it has begun."""
        if self.held_back or not self._partitions:
            return {}
        places = [TopicPartition(self._topic, partition) for partition in sorted(self._partitions)]
        told = self._awake().position(places)
        return {place.partition: place.offset for place in told if place.error is None and is_offset(place.offset)}

    @property
    def held_back(self) -> bool:
        """Whether something has come that was not given out yet."""
        return bool(self._taken) or self._deferred is not None

    @property
    def at_end(self) -> bool:
        """Whether every partition was read up to its end and given out; for consumers made with `to_the_end`."""
        return self._exhausted and not self._taken

    @property
    def ended(self) -> frozenset[int]:
        """The partitions that were read up to their end and given out; for consumers made with `to_the_end`."""
        return frozenset() if self._taken else frozenset(self._ended)

    @property
    def _exhausted(self) -> bool:
        return bool(self._partitions) and self._ended >= self._partitions

    def poll(
        self,
        size: int,
        interval: float,
        wants_stop: Callable[[], bool],
        *,
        patience: float | None = None,
        most: int = 1,
    ) -> Group | None:
        """
        The batches that are due. A batch is, once it has `size` messages, as many bytes of payloads as the settings
        allow, or `interval` seconds after its first message was taken.

        Waits for the first; further ones come along if their messages wait already. What is not due yet is kept for the
        next call.

        Args:
            patience: seconds to wait for a batch; None: until there is one.
            most: batches in the group. Groups also end before their payloads exceed `GROUP_BYTES`.

        Returns:
            None when no batch came in time, when `wants_stop` answered True, or when the topic's end is reached with
            nothing left to give out (`at_end`).

        Raises:
            OffsetGone: a partition has nothing at the position any more.
            BrokerError: the broker refuses to go on. All messages that came before were given out.
        """
        give_up = None if patience is None else time.monotonic() + patience
        waited = False
        while True:
            in_vain = waited and not self._taken
            if not in_vain and len(self._taken) < size * most and sum(map(len, self._taken)) < self._max_bytes:
                self._take(size * most - len(self._taken), 0)
            group = self._due(size, interval, most)
            now = time.monotonic()
            if group is not None or wants_stop() or self.at_end or (give_up is not None and now >= give_up):
                return group
            wait = SLICE if give_up is None else min(SLICE, give_up - now)
            if self._taken:
                self._take(size - len(self._taken), max(0, min(wait, self._arrivals[0][1] + interval - now)))
            else:
                self._take(1, wait)  # alone, so that the interval counts from its arrival
                waited = True

    def _due(self, size: int, interval: float, most: int) -> Group | None:
        """The batches that are due, at most `most`, taken out of the messages that came; None if none is."""
        if not self._taken:
            return None
        now = time.monotonic()
        batches = cut(self._taken[: size * most], size, self._max_bytes, GROUP_BYTES)
        if self._may_grow(batches, size) and now < self._came(len(self._taken) - len(batches[-1])) + interval:
            del batches[-1]
        if not batches:
            return None
        group = Group(batches, now - self._came(0))
        self._give_out(group.messages)
        batches[-1].reached = self._positions()
        self._given.update(group.end)
        return group

    def _may_grow(self, batches: list[Batch], size: int) -> bool:
        """Whether the last of the batches is neither full nor the last that will ever come."""
        last = batches[-1]
        is_last = sum(map(len, batches)) == len(self._taken) and not self._exhausted and self._deferred is None
        return is_last and len(last) < size and last.weight < self._max_bytes

    def _came(self, index: int) -> float:
        """When the message of that number among those that were taken came."""
        for count, came in self._arrivals:
            if index < count:
                return came
            index -= count
        raise IndexError(index)

    def _give_out(self, count: int) -> None:
        del self._taken[:count]
        while count:
            number, came = self._arrivals.popleft()
            if number > count:
                self._arrivals.appendleft((number - count, came))
            count -= min(number, count)

    def _take(self, most: int, wait: float) -> None:
        """
        Takes at most `most` messages from librdkafka, events sorted out; waits `wait` seconds if there are fewer. An
        event that is an error is raised once there are no messages before it.
        """
        if self._deferred is not None:
            if self._taken:
                return
            error, self._deferred = self._deferred, None
            raise error
        # librdkafka waits for whole milliseconds: less than one would be none, over and over until that one is gone.
        arrived = self._awake().consume(most, math.ceil(round(1000 * wait, 3)) / 1000)
        errors = [message.error() for message in arrived]
        if not set(map(type, errors)) <= {type(None)}:  # a KafkaError cannot be compared with None
            found = [self._meaning(event) for event in arrived if event.error() is not None]
            self._deferred = next((error for error in found if error is not None), None)
            arrived = [message for message, error in zip(arrived, errors, strict=True) if error is None]
        if arrived:
            self._trouble = None
            self._taken += arrived
            self._arrivals.append((len(arrived), time.monotonic()))

    def _meaning(self, message: confluent_kafka.Message) -> BrokerError | None:
        """What a message that is an error means; None if it is no error."""
        error = message.error()
        code = error.code()
        place = f"Kafka stream {self._name}, topic {self._topic}, partition {message.partition()}"
        if code == KafkaError._PARTITION_EOF:
            self._ended.add(message.partition())
            return None
        if code in OF_THE_GROUP:
            log.debug("stream %s: %s", self._name, error.str())
            return None
        if code in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            return OffsetGone(f"{place}: {error.str()}", partition=message.partition())
        return BrokerError(f"{place}: {error.str()}")

    def note(self, error: KafkaError) -> None:
        """Another client of the same brokers has met this error: it is looked into as if it were this one's."""
        self._note(error)

    def _note(self, error: KafkaError) -> None:
        # Called by librdkafka from within poll and consume, over and over while it goes on trying by itself. "All
        # brokers are down" says that there is no hope for now, what came before it says why.
        log.debug("stream %s: %s; librdkafka goes on trying", self._name, error.str())
        if error.code() == KafkaError._ALL_BROKERS_DOWN and self._trouble is not None:
            error = KafkaError(error.code(), self._trouble.str())
        self._trouble = error
        self._doubt(self._unreachable(error))

    def _unreachable(self, reason: KafkaError) -> str:
        text = f"Kafka stream {self._name}, broker unreachable at {self._uri}: {reason.str()}"
        # librdkafka gives no reason where a listener hangs up on a client that does not speak as it does.
        return f"{text}; {SPEAKS_OTHERWISE}" if reason.str().endswith("brokers are down") else text
