"""
Sees to it that a stream reads the topic that it believes it reads, from where it believes: no silent jump over what
retention took, no going on in a topic that was made anew, no partition left out.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Any

from confluent_kafka import KafkaException, TopicCollection

from sluice.brokers import clients
from sluice.brokers.consumer import Consumer
from sluice.brokers.topic import Topic, described
from sluice.engine.committer import Committer
from sluice.errors import BrokerError, GapFound, OffsetGone, Stopped, TopicNotFound
from sluice.host.settings import Settings
from sluice.values.configuration import OnGap
from sluice.values.failed_message import of_gap
from sluice.values.model import StreamSpec
from sluice.values.position import UNKNOWN, Position

log = logging.getLogger("sluice.topic_guard")

SLICE = 0.2
"Seconds between two looks at whether the owner wants to stop."

IDENTITY_PATIENCE = 0.5
"Seconds that CREATE waits for the topic's id, which some brokers do not give, once it knows all else."

ASK_TIMEOUT = 0.5
"Seconds that a stream waits for the partitions of its topic while it runs."


class TopicIdentity:
    """
    Asks Kafka which id a topic has: it gets another when it is deleted and created anew.

    Threads: for the thread that made it.
    """

    def __init__(self, spec: StreamSpec, timeout: float) -> None:
        """
        Args:
            timeout: seconds that the broker has for each answer.
        """
        self._spec = spec
        self._timeout = timeout
        self._client = clients.admin(spec.name, spec.uri, spec.config)
        self._asked: Future[Any] | None = None

    def close(self) -> None:
        """
        Lets go of the client, which other streams may share, and its threads with it: what holds this object is part of
        a cycle, and in an idle server the collector does not come by.
        """
        self._asked = None
        del self._client

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


class TopicGuard:
    """
    Where a stream's reading begins, and whether it is still right.

    Threads: for the thread that owns consumer and applier.
    """

    def __init__(
        self,
        spec: StreamSpec,
        settings: Settings,
        consumer: Consumer,
        applier: Committer,
        identity: TopicIdentity,
        wants_stop: Callable[[], bool],
    ) -> None:
        self._spec = spec
        self._interval = settings.topic_interval
        self._consumer = consumer
        self._applier = applier
        self._identity = identity
        self._wants_stop = wants_stop
        self._next_look = 0.0

    def begin(self) -> None:
        """
        Begins to read where the checkpoint says.

        Raises:
            GapFound: the topic was made anew, and the stream's policy is to stop at that.
            BrokerError: it is not there, for now.
        """
        try:
            # A trouble is told at once: it is tried again anyway.
            partitions = self._consumer.topic.partitions(patience=ASK_TIMEOUT)
        except TopicNotFound as error:
            raise self._away() from error
        held = self._applier.held
        if held.positions and held.topic_id:
            self._compare(self._identity.wait(self._wants_stop))
        else:
            self._identity.ask()
        self._consumer.assign(partitions, self._applier.held.places)
        self._next_look = time.monotonic() + self._interval

    @property
    def asking(self) -> bool:
        """Whether an answer is due, for which it is to `look`."""
        return self._identity.asking

    @property
    def pause(self) -> float:
        """Seconds until it is to `look` at the latest, where nothing is asked."""
        return max(0.0, self._next_look - time.monotonic())

    def woke(self, *, changed: bool) -> None:
        """The watch has looked until now, and found the topic changed, or as it was."""
        self._next_look = time.monotonic() + (0.0 if changed else self._interval)
        self._identity.ask()

    def look(self) -> None:
        """To be called again and again: now and then, looks whether all is as it was. Raises as `begin`."""
        topic_id = self._identity.answer()
        if topic_id and self._compare(topic_id):
            self.begin()
        elif time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + self._interval
            try:
                partitions = self._consumer.topic.partitions(timeout=ASK_TIMEOUT)
                self._consumer.extend(partitions, self._applier.held.places)
            except TopicNotFound as error:
                raise self._away() from error
            except BrokerError as error:
                # Reading may go on all the same; if not, the consumer says so.
                log.debug("stream %s: %s", self._spec.name, error)
            else:
                self._identity.ask()

    def pass_gap(self, gone: OffsetGone) -> None:
        """
        Goes on where a partition begins now, if the stream's policy is to do so.

        Raises:
            GapFound: it is not.
            BrokerError: Kafka says now that nothing is gone, or nothing at all.
        """
        self._applier.drain()
        if self._applier.held.topic_id and self._compare(self._identity.wait(self._wants_stop)):
            self.begin()
            return
        partition, held = gone.partition, self._applier.held
        low, high = self._consumer.topic.watermarks(partition)
        position = held.positions.get(partition)
        if position is None or (gone.log_end is None and low <= position <= high):
            raise gone
        log_end, leader_epoch = gone.log_end, held.places[partition].leader_epoch
        if log_end is None and position > high and leader_epoch != UNKNOWN:
            log_end = self._consumer.log_end(partition, high, leader_epoch)
        place = f"topic {self._spec.topic}, partition {partition}"
        if position < low:
            resume, count = low, low - position
            what = f"{place}, offsets {position} to {low - 1} are gone, at most {count} messages: retention took them"
        elif log_end is not None:
            # From there on the log is another one, whatever it has at the offsets that were read.
            resume, count = max(low, min(position, log_end)), 0
            what = f"{place} lost messages that the stream has read, from offset {resume} on: what it has there is new"
        else:
            # The same topic with less in it, and it is not known from where on it is new. Where ids are unknown it may
            # be another topic.
            resume, count = (high, high - low) if held.topic_id else (low, 0)
            what = f"{place} ends at offset {high}, before the stream's position {position}: it lost messages"
            what += f", and up to {count} of those it has may be new" if count else ""
        self._permit(what, f"go on from offset {resume}")
        entry = of_gap(self._spec.topic, partition, position, count, what)
        moved = held.moved({partition: Position(resume)})
        self._applier.move([entry], positions=moved.positions, leader_epochs=moved.leader_epochs)
        self.begin()

    def _compare(self, topic_id: str) -> bool:
        """
        Compares the topic's id with the one that the positions are of, and takes note of it if there was none.

        Returns:
            whether the positions have become others.

        Raises:
            GapFound: the ids differ, and the policy is to stop at that.
        """
        if topic_id in ("", self._applier.held.topic_id):
            return False
        self._applier.drain()
        held = self._applier.held
        if not held.topic_id or not held.positions:
            self._applier.move(topic_id=topic_id)
            return False
        what = f"topic {self._spec.topic} was deleted and created anew: the stream's positions are not of this topic"
        self._permit(what, "read the new topic from its beginning")
        entries = [
            of_gap(self._spec.topic, partition, offset, 0, what) for partition, offset in sorted(held.positions.items())
        ]
        self._applier.move(entries, positions={}, topic_id=topic_id)
        return True

    def _permit(self, what: str, remedy: str) -> None:
        name = self._spec.name
        if self._spec.config.on_gap is OnGap.STOP:
            how = f"CALL streams.configure('{name}', {{on_gap: 'skip'}}) and START STREAM {name}"
            raise GapFound(f"Kafka stream {name}, {what}; to {remedy}: {how}")
        log.warning("stream %s: %s; goes on, as on_gap says", name, what)

    def _away(self) -> BrokerError:
        spec = self._spec
        text = f"topic {spec.topic} is not there at {spec.uri}; the stream goes on when it is again"
        return BrokerError(f"Kafka stream {spec.name}, {text}")


def check_topics(spec: StreamSpec, settings: Settings) -> Topic:
    """
    Looks whether the stream's topic, and that of its dead letters, are there; leaves nothing behind.

    Raises:
        TopicNotFound, BrokerError: they are not, or cannot be read about.
    """
    with Consumer(spec, settings) as consumer:
        identity = TopicIdentity(spec, settings.broker_timeout)
        identity.ask()
        partitions = consumer.topic.partitions()
        consumer.topic.check_leaders()
        letters = spec.config.dead_letter_topic
        try:
            if letters is not None:
                consumer.topic.partitions(letters)
        except TopicNotFound:
            raise TopicNotFound(f"Kafka stream {spec.name}, dead_letter_topic {letters} not found") from None
        return Topic(identity.answer(patience=IDENTITY_PATIENCE), partitions)
