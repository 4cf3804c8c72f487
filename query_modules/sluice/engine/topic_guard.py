"""
Finds out whether a stream reads the topics that it believes it reads, and all of their partitions. What follows from
that is decided in `gaps`, and done by the loop.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Any, NamedTuple

from confluent_kafka import KafkaException

from sluice.brokers.consumer import Consumer
from sluice.brokers.topic import Topics, described
from sluice.brokers.topic_client import topic_clients
from sluice.engine.run import Run
from sluice.errors import BrokerError, SettingError, Stopped, TopicNotFound
from sluice.host.settings import Settings
from sluice.values.model import Checkpoint, StreamSpec
from sluice.values.position import Partition

log = logging.getLogger("sluice.topic_guard")

SLICE = 0.2
"Seconds between two looks at whether the owner wants to stop."

IDENTITY_PATIENCE = 0.5
"Seconds that CREATE waits for the topic's id, which some brokers do not give, once it knows all else."

ASK_TIMEOUT = 0.5
"Seconds that a stream waits for the partitions of its topic while it runs."


class TopicIdentity:
    """
    Asks Kafka which ids topics have: one gets another when it is deleted and recreated.

    Threads: for the thread that made it.
    """

    def __init__(self, spec: StreamSpec, timeout: float) -> None:
        """`timeout`: seconds that the broker has for each answer."""
        self._spec = spec
        self._timeout = timeout
        self.client = topic_clients.get(spec.name, spec.uri, spec.config)
        self._asked: Mapping[str, Future[Any]] | None = None

    def close(self) -> None:
        """As `BrokerHealth.close`."""
        del self.client
        self._asked = None

    @property
    def asking(self) -> bool:
        """Whether it was asked, and the answer was not taken yet."""
        return self._asked is not None

    def ask(self, topics: Collection[str]) -> None:
        """Asks, unless an answer is due already. Does not wait."""
        if self._asked is None and topics:
            self._asked = self._described(topics)

    def answer(self, patience: float = 0.0) -> dict[str, str]:
        """
        topic -> id, once for each time it was asked for; empty if not all have come, and without those that the broker
        does not give.

        Args:
            patience: seconds to wait for each.
        """
        found: dict[str, str] = {}
        for topic, future in (self._asked or {}).items():
            try:
                found |= described(future.result(patience)).ids
            except NotYet:
                return {}
            except KafkaException as error:
                log.debug("stream %s: the id of topic %s is not known: %s", self._spec.name, topic, error)
        self._asked = None
        return found

    def wait(self, topics: Collection[str], wants_stop: Callable[[], bool]) -> dict[str, str]:
        """
        topic -> id, asked for now and waited for.

        Raises:
            BrokerError: there is no answer.
            Stopped: `wants_stop` answered True meanwhile.
        """
        asked, found = dict(self._described(topics)), dict[str, str]()
        while asked and not wants_stop():
            topic = next(iter(asked))
            try:
                found |= described(asked[topic].result(SLICE)).ids
            except NotYet:
                continue
            except KafkaException as error:
                where = f"topic {topic} at {self._spec.uri}"
                raise BrokerError(f"Kafka stream {self._spec.name}, {where}: {error.args[0].str()}") from error
            del asked[topic]
        if asked:
            raise Stopped
        return found

    def _described(self, topics: Collection[str]) -> Mapping[str, Future[Any]]:
        return self.client.describe_topics(topics, self._timeout)


class TopicChanged(NamedTuple):
    """These topics have other ids than those that the positions are of, or those of the positions are not known."""

    topic_ids: Mapping[str, str]


class PartitionsFound(NamedTuple):
    """The topics have these partitions that the stream reads."""

    partitions: frozenset[Partition]


class TopicsCameOrWent(NamedTuple):
    """Of several topics some do not exist any more, or some exist again, of which the stream has read before."""

    gone: frozenset[str]


class TopicGuard:
    """Where a stream's reading begins, and whether it is still right. Threads: for the thread that owns the source."""

    def __init__(self, run: Run, source: Consumer, identity: TopicIdentity) -> None:
        self._run = run
        self._source = source
        self._identity = identity
        self._next_look = 0.0
        self._names: frozenset[str] = frozenset()
        "Of the topics that are there."
        self.trouble: str | None = None
        "Which topics the stream would read that do not exist, in one line; None: none."

    def begin(self, held: Checkpoint) -> Topics:
        """
        The topics that are to be read from the checkpoint on; without ids where those make no difference yet.

        Raises:
            BrokerError: it is not there, for now.
            Stopped: the run is to end.
        """
        try:
            # A trouble is reported at once: it is tried again anyway.
            partitions = self._source.topic.partitions(patience=ASK_TIMEOUT)
        except TopicNotFound as error:
            raise self._away() from error
        self._next_look = time.monotonic() + self._run.settings.topic_interval
        self._take(partitions)
        if any(partition.topic in held.topic_ids for partition in held.positions):
            return Topics(self.topic_ids(), self._run.spec.reads(partitions))
        self._identity.ask(self._names)
        return Topics({}, self._run.spec.reads(partitions))

    def topic_ids(self) -> dict[str, str]:
        """The topics' ids, asked for now and waited for. Raises as `begin`."""
        return self._identity.wait(self._names, self._run.cancel.is_set)

    @property
    def asking(self) -> bool:
        """Whether an answer is due, for which it is to be polled."""
        return self._identity.asking

    @property
    def pause(self) -> float:
        """Seconds until it is to be polled at the latest, where nothing is asked."""
        return max(0.0, self._next_look - time.monotonic())

    def woke(self, *, changed: bool) -> None:
        """The idle watcher has looked until now, and found a topic changed, or all as it was."""
        self._next_look = time.monotonic() + (0.0 if changed else self._run.settings.topic_interval)
        self._identity.ask(self._names)

    def poll(self, held: Checkpoint) -> TopicChanged | PartitionsFound | TopicsCameOrWent | None:
        """
        To be called again and again: now and then, looks whether all is as it was; what it has found. Raises
        BrokerError: the topic is not there, for now.
        """
        topic_ids = self._identity.answer()
        if not topic_ids.items() <= held.topic_ids.items():
            return TopicChanged(topic_ids)
        if time.monotonic() < self._next_look:
            return None
        self._next_look = time.monotonic() + self._run.settings.topic_interval
        try:
            partitions = self._source.topic.partitions(timeout=ASK_TIMEOUT, admin=self._identity.client)
        except TopicNotFound as error:
            raise self._away() from error
        except BrokerError as error:
            # Reading may go on all the same; if not, the consumer says so, where it has anything to read.
            log.debug("stream %s: %s", self._run.spec.name, error)
            self.trouble = self.trouble if self._names else str(error)
            return None
        before = self._names
        self._take(partitions)
        gone, came = before - self._names, self._names - before
        if gone or not came.isdisjoint(partition.topic for partition in held.positions):
            return TopicsCameOrWent(gone)  # what came may be another topic: nothing of it is read before that is known
        self._identity.ask(self._names)
        return PartitionsFound(self._run.spec.reads(partitions))

    def _take(self, partitions: frozenset[Partition]) -> None:
        spec = self._run.spec
        self._names = frozenset(partition.topic for partition in partitions)
        missing = sorted(set(spec.topics.names) - self._names)
        if missing:
            what = f"topic {', '.join(missing)} does not exist at {spec.uri}; the stream reads its other topics"
        else:
            what = f"no topic at {spec.uri} matches {spec.topic} yet; it reads those that come to match"
        self.trouble = f"Kafka stream {spec.name}, {what}" if missing or not self._names else None

    def _away(self) -> BrokerError:
        spec = self._run.spec
        text = f"topic {spec.topic} does not exist at {spec.uri}; the stream continues when it exists again"
        return BrokerError(f"Kafka stream {spec.name}, {text}")


def check_topics(spec: StreamSpec, settings: Settings) -> Topics:
    """
    Looks whether the stream's topics, with the partitions that it reads, and that of its dead letters are there; leaves
    nothing behind. Returns the topics with these partitions. Raises TopicNotFound, BrokerError: they are not, or cannot
    be read about; SettingError: no topic has one of the partitions.
    """
    with Consumer(spec, settings) as consumer:
        identity = TopicIdentity(spec, settings.broker_timeout)
        partitions = consumer.topic.partitions()
        found = {partition.topic for partition in partitions}
        for name in spec.topics.names:
            if name not in found:
                raise TopicNotFound(f"Kafka stream {spec.name}, topic {name} not found")
        numbers = {partition.number for partition in partitions}
        if numbers and (missing := sorted(set(spec.config.partitions) - numbers)):
            what = f"topic {spec.topic} has no partition {missing[0]}, only 0 to {max(numbers)}"
            raise SettingError(f"Kafka stream {spec.name}, config: partitions: {what}")
        identity.ask(found)
        consumer.topic.check_leaders(partitions)
        letters = spec.config.dead_letter_topic
        try:
            if letters is not None:
                consumer.topic.partitions_of(letters)
        except TopicNotFound:
            raise TopicNotFound(f"Kafka stream {spec.name}, dead_letter_topic {letters} not found") from None
        return Topics(identity.answer(patience=IDENTITY_PATIENCE), spec.reads(partitions))
