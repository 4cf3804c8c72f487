"""
Knows whether the brokers answer, and where a stream's partitions begin and end, without making the stream wait.

It asks over the admin client, which several streams share: on the consumer's own connection a question has to wait
until the broker has answered the fetch before it, which takes half a second while there is nothing to read.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

from confluent_kafka import KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from sluice.brokers.offsets import is_offset

log = logging.getLogger("sluice.broker_health")

BUSY_INTERVAL = 1.0
"Seconds between two looks at where partitions end, while messages come."

IDLE_INTERVAL = 5.0
"... and while none come: the consumer hears of the next one by itself."

RESTING_INTERVAL = 15.0
"... and while the stream rests: the watch hears of the next one, and of brokers that do not answer."

LOWS_INTERVAL = 30.0
"Seconds between two looks at where they begin: only retention moves that."

PATIENCE = 0.4
"Seconds that brokers in doubt have to answer before they are said not to."

SUSPECT_INTERVAL = 0.25
"Seconds between two questions to brokers that are in doubt."

SUSPECT_TIMEOUT = 0.5
"Seconds that such a question is tried for, after which it is asked anew."

TIMEOUT = 2.0
"Seconds that any other question is tried for, after which the brokers are in doubt."

Clock = Callable[[], float]

Watermarks = Mapping[int, tuple[int, int]]
"partition -> first offset, and the offset that its next message gets."


class Health(NamedTuple):
    """How the brokers are."""

    trouble: str | None = None
    "What keeps them from answering, in one line; None: they do, or nothing says otherwise."
    watermarks: Watermarks | None = None
    "Those of all partitions; None until all are known."
    suspect: bool = False
    "Whether it is in doubt that they answer."
    asking: bool = False
    "Whether an answer is due."


class BrokerHealth:
    """
    One stream's view of its brokers.

    librdkafka tells of every connection that it lost or could not make (`doubt`), which need not keep a stream from
    reading: another broker may lead its partitions by then. So what it says is looked into: where the leader of each
    partition says how far it goes, or is there at least, all is well. Leaders that do not say are in doubt as well, for
    of a broker that hangs librdkafka tells after a minute only.

    Threads: for the thread that made it, which calls `poll` again and again: a few times a second while `asking` or
        `suspect`. Nothing here waits.
    """

    def __init__(self, admin: AdminClient, topic: str, place: str, clock: Clock = time.monotonic) -> None:
        """
        Args:
            place: what a trouble is about, for its text.
        """
        self.trouble: str | None = None
        "What keeps the brokers from answering; None: they do, or nobody has doubted it."
        self._admin = admin
        self._topic = topic
        self._place = place
        self._clock = clock
        self._partitions: frozenset[int] = frozenset()
        self._ends = _Question(_offset)
        self._begins = _Question(_offset)
        self._leaders = _Question(_leaders)
        self._lows: Mapping[int, int] = {}
        self._highs: Mapping[int, int] = {}
        self._watermarks: Watermarks | None = None
        self._doubted: float | None = None
        self._reason = ""

    def poll(self, partitions: frozenset[int], ends: Mapping[int, int], *, busy: bool, resting: bool = False) -> Health:
        """
        How the brokers are, by what was answered; asks what is due.

        Args:
            partitions: those to know about.
            ends: partition -> how far it goes at least, as messages that came say.
            busy: whether messages come.
            resting: whether the watch waits for them.
        """
        self._follow(partitions)
        self._look(busy=busy, resting=resting)
        self._hear_of(ends)
        return Health(self.trouble, self.watermarks, self.suspect, self._ends.asking or self._begins.asking)

    def _follow(self, partitions: frozenset[int]) -> None:
        if partitions != self._partitions:
            self._partitions = partitions
            self._watermarks = None
            self._ends.drop()
            self._begins.drop()

    def _hear_of(self, ends: Mapping[int, int]) -> None:
        if any(end > self._highs.get(partition, -1) for partition, end in ends.items()):
            self._watermarks = None
            self._highs = {p: max(ends.get(p, -1), self._highs.get(p, -1)) for p in self._partitions}

    @property
    def suspect(self) -> bool:
        """Whether it is in doubt that the brokers answer."""
        return self._doubted is not None

    @property
    def watermarks(self) -> Watermarks | None:
        """Those of all partitions; None until all are known."""
        if self._watermarks is None:
            known = {p: (self._lows.get(p, -1), self._highs.get(p, -1)) for p in self._partitions}
            if known and all(low >= 0 and high >= 0 for low, high in known.values()):
                self._watermarks = known
        return self._watermarks

    def doubt(self, reason: str) -> None:
        """Something went wrong on the way to a broker."""
        self._reason = reason
        if self._doubted is None:
            self._doubted = self._clock()
            # What was asked before says nothing about now.
            self._ends.drop(due=self._ends.asked_at + SUSPECT_INTERVAL)
            self._leaders.drop(due=self._leaders.asked_at + SUSPECT_INTERVAL)
        if self.trouble is not None:
            self.trouble = reason

    def _look(self, *, busy: bool, resting: bool) -> None:
        """Hears what was answered and asks what is due."""
        if not self._partitions:
            return
        now = self._clock()
        self._hear(now)
        if self._doubted is not None:
            self._ends.ask(now, SUSPECT_INTERVAL, lambda: self._ask(OffsetSpec.latest(), SUSPECT_TIMEOUT))
            # Where a partition had no leader the client takes that for granted until it is asked for the topic itself.
            self._leaders.ask(now, SUSPECT_INTERVAL, self._ask_leaders)
            return
        interval = BUSY_INTERVAL if busy else RESTING_INTERVAL if resting else IDLE_INTERVAL
        self._ends.ask(now, interval, lambda: self._ask(OffsetSpec.latest(), TIMEOUT))
        if (lows := self._begins.answer()) is not None and len(lows) == len(self._partitions):
            self._lows, self._watermarks = lows, None
        self._begins.ask(now, LOWS_INTERVAL, lambda: self._ask(OffsetSpec.earliest(), TIMEOUT))

    def _hear(self, now: float) -> None:
        answer, leaders = self._ends.answer(), self._leaders.answer()
        if answer is not None:
            self._highs, self._watermarks = {**self._highs, **answer}, None
        if self._partitions in ((answer or {}).keys(), (leaders or {}).keys()):
            self._doubted, self.trouble = None, None
        elif answer is not None and self._doubted is None:
            self.doubt(f"{self._place}: {self._ends.error}")
        if self._doubted is not None and now - self._doubted >= PATIENCE:
            self.trouble = self._reason

    def _ask(self, which: OffsetSpec, timeout: float) -> Answers:
        places = {TopicPartition(self._topic, partition): which for partition in sorted(self._partitions)}
        asked: Answers = self._admin.list_offsets(places, request_timeout=timeout)
        return asked

    def _ask_leaders(self) -> Answers:
        topic = TopicCollection([self._topic])
        asked: Answers = self._admin.describe_topics(topic, request_timeout=SUSPECT_TIMEOUT)
        return asked


Answers = Mapping[Any, Future[Any]]


def _offset(place: Any, answer: Any) -> dict[int, int]:
    return {place.partition: answer.offset} if is_offset(answer.offset) else {}


def _leaders(_: Any, answer: Any) -> dict[int, int]:
    led = [partition for partition in answer.partitions if partition.leader is not None and partition.leader.id >= 0]
    return {partition.id: partition.leader.id for partition in led}


class _Question:
    """Something that is asked again and again, one answer at a time."""

    def __init__(self, read: Callable[[Any, Any], dict[int, int]]) -> None:
        """
        Args:
            read: what was asked about, and what was told of it, as partition -> number.
        """
        self.asked_at = 0.0
        self._read = read
        self.error = ""
        "Why there was no answer to the last question, or not to all of it."
        self._due = 0.0
        self._answers: Answers | None = None

    def ask(self, now: float, interval: float, ask: Callable[[], Answers]) -> None:
        """Asks if the last time is so long ago, and was answered or dropped."""
        if self._answers is None and now >= max(self._due, self.asked_at + interval):
            self.asked_at = now
            try:
                self._answers = ask()
            except KafkaException as error:
                log.debug("not asked: %s", error)

    @property
    def asking(self) -> bool:
        """Whether it was asked, and the answer was not taken yet."""
        return self._answers is not None

    def answer(self) -> dict[int, int] | None:
        """partition -> what was told of it, once, without partitions that nothing was told of; None: no answer yet."""
        if self._answers is None or not all(future.done() for future in self._answers.values()):
            return None
        answers, self._answers = self._answers, None
        told: dict[int, int] = {}
        self.error = "the brokers do not answer"
        for place, future in answers.items():
            try:
                told |= self._read(place, future.result())
            except KafkaException as error:
                self.error = error.args[0].str()
        return told

    def drop(self, due: float = 0.0) -> None:
        """What was asked is not waited for any more; it may be asked anew at once, or when it is due."""
        self._answers = None
        self._due = due
        self.asked_at = 0.0
