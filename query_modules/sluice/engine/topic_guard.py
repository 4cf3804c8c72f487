"""
Finds out whether a stream reads the topic that it believes it reads, and all of its partitions. What follows from that
is decided in `gaps`, and done by the loop.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Any, NamedTuple

from confluent_kafka import KafkaException, TopicCollection

from sluice.brokers import clients
from sluice.brokers.consumer import Consumer
from sluice.brokers.topic import Topic, described
from sluice.engine.run import Run
from sluice.errors import BrokerError, SettingError, Stopped, TopicNotFound
from sluice.host.settings import Settings
from sluice.values.model import Checkpoint, StreamSpec

log = logging.getLogger("sluice.topic_guard")

SLICE = 0.2
"Seconds between two looks at whether the owner wants to stop."

IDENTITY_PATIENCE = 0.5
"Seconds that CREATE waits for the topic's id, which some brokers do not give, once it knows all else."

ASK_TIMEOUT = 0.5
"Seconds that a stream waits for the partitions of its topic while it runs."


class TopicIdentity:
    """
    Asks Kafka which id a topic has: it gets another when it is deleted and recreated.

    Threads: for the thread that made it.
    """

    def __init__(self, spec: StreamSpec, timeout: float) -> None:
        """`timeout`: seconds that the broker has for each answer."""
        self._spec = spec
        self._timeout = timeout
        self._client = clients.admin(spec.name, spec.uri, spec.config)
        self._asked: Future[Any] | None = None

    def close(self) -> None:
        """As `BrokerHealth.close`."""
        del self._client
        self._asked = None

    @property
    def asking(self) -> bool:
        """Whether it was asked, and the answer was not taken yet."""
        return self._asked is not None

    def ask(self) -> None:
        """Asks, unless an answer is due already. Does not wait."""
        if self._asked is None:
            self._asked = self._described()

    def answer(self, patience: float = 0.0) -> str:
        """
        The id, once for each time it was asked for; empty if none has come, or the broker has none to give.

        Args:
            patience: seconds to wait for it.
        """
        if self._asked is None:
            return ""
        try:
            answer = described(self._asked.result(patience)).id
        except NotYet:
            return ""
        except KafkaException as error:
            log.debug("stream %s: the topic's id is not known: %s", self._spec.name, error)
            answer = ""
        self._asked = None
        return answer

    def wait(self, wants_stop: Callable[[], bool]) -> str:
        """
        The id, asked for now and waited for.

        Raises:
            BrokerError: there is no answer.
            Stopped: `wants_stop` answered True meanwhile.
        """
        asked = self._described()
        while not wants_stop():
            try:
                return described(asked.result(SLICE)).id
            except NotYet:
                continue
            except KafkaException as error:
                where = f"topic {self._spec.topic} at {self._spec.uri}"
                raise BrokerError(f"Kafka stream {self._spec.name}, {where}: {error.args[0].str()}") from error
        raise Stopped

    def _described(self) -> Future[Any]:
        topic = self._spec.topic
        described: Future[Any] = self._client.describe_topics(TopicCollection([topic]), request_timeout=self._timeout)[
            topic
        ]
        return described


class TopicChanged(NamedTuple):
    """The topic has another id than the one that the positions are of, or that of the positions is not known."""

    topic_id: str


class PartitionsFound(NamedTuple):
    """The topic has these partitions that the stream reads."""

    partitions: frozenset[int]


class TopicGuard:
    """Where a stream's reading begins, and whether it is still right. Threads: for the thread that owns the source."""

    def __init__(self, run: Run, source: Consumer, identity: TopicIdentity) -> None:
        self._run = run
        self._source = source
        self._identity = identity
        self._next_look = 0.0

    def begin(self, held: Checkpoint) -> Topic:
        """
        The topic that is to be read from the checkpoint on; its id is empty where that makes no difference yet.

        Raises:
            BrokerError: it is not there, for now.
            Stopped: the run is to end.
        """
        try:
            # A trouble is reported at once: it is tried again anyway.
            partitions = self._run.spec.reads(self._source.topic.partitions(patience=ASK_TIMEOUT))
        except TopicNotFound as error:
            raise self._away() from error
        self._next_look = time.monotonic() + self._run.settings.topic_interval
        if held.positions and held.topic_id:
            return Topic(self.topic_id(), partitions)
        self._identity.ask()
        return Topic("", partitions)

    def topic_id(self) -> str:
        """The topic's id, asked for now and waited for. Raises as `begin`."""
        return self._identity.wait(self._run.cancel.is_set)

    @property
    def asking(self) -> bool:
        """Whether an answer is due, for which it is to be polled."""
        return self._identity.asking

    @property
    def pause(self) -> float:
        """Seconds until it is to be polled at the latest, where nothing is asked."""
        return max(0.0, self._next_look - time.monotonic())

    def woke(self, *, changed: bool) -> None:
        """The idle watcher has looked until now, and found the topic changed, or as it was."""
        self._next_look = time.monotonic() + (0.0 if changed else self._run.settings.topic_interval)
        self._identity.ask()

    def poll(self, held: Checkpoint) -> TopicChanged | PartitionsFound | None:
        """
        To be called again and again: now and then, looks whether all is as it was; what it has found. Raises
        BrokerError: the topic is not there, for now.
        """
        topic_id = self._identity.answer()
        if topic_id not in ("", held.topic_id):
            return TopicChanged(topic_id)
        if time.monotonic() < self._next_look:
            return None
        self._next_look = time.monotonic() + self._run.settings.topic_interval
        try:
            partitions = self._source.topic.partitions(timeout=ASK_TIMEOUT)
        except TopicNotFound as error:
            raise self._away() from error
        except BrokerError as error:
            # Reading may go on all the same; if not, the consumer says so.
            log.debug("stream %s: %s", self._run.spec.name, error)
            return None
        self._identity.ask()
        return PartitionsFound(self._run.spec.reads(partitions))

    def _away(self) -> BrokerError:
        spec = self._run.spec
        text = f"topic {spec.topic} does not exist at {spec.uri}; the stream continues when it exists again"
        return BrokerError(f"Kafka stream {spec.name}, {text}")


def check_topics(spec: StreamSpec, settings: Settings) -> Topic:
    """
    Looks whether the stream's topic, with the partitions that it reads, and that of its dead letters are there; leaves
    nothing behind. Returns the topic with these partitions. Raises TopicNotFound, BrokerError: they are not, or cannot
    be read about; SettingError: the topic has not all of the partitions.
    """
    with Consumer(spec, settings) as consumer:
        identity = TopicIdentity(spec, settings.broker_timeout)
        identity.ask()
        partitions = consumer.topic.partitions()
        if missing := sorted(set(spec.config.partitions) - partitions):
            what = f"topic {spec.topic} has no partition {missing[0]}, only 0 to {max(partitions)}"
            raise SettingError(f"Kafka stream {spec.name}, config: partitions: {what}")
        consumer.topic.check_leaders()
        letters = spec.config.dead_letter_topic
        try:
            if letters is not None:
                consumer.topic.partitions(letters)
        except TopicNotFound:
            raise TopicNotFound(f"Kafka stream {spec.name}, dead_letter_topic {letters} not found") from None
        return Topic(identity.answer(patience=IDENTITY_PATIENCE), spec.reads(partitions))
