"""
Knows whether the brokers answer, and where a stream's partitions begin and end, without making the stream wait.

It asks over clients that several streams share: on the consumer's own connection a question has to wait until the
broker has answered the fetch before it, which takes half a second while there is nothing to read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from confluent_kafka import IsolationLevel

from sluice.brokers.offset_client import BEGIN, END, OffsetClient, offset_clients
from sluice.brokers.question import Answers, RepeatedQuestion, leaders_of, offset_of
from sluice.brokers.standstill import Standstill
from sluice.brokers.topic_client import TopicClient, topic_clients
from sluice.values.model import StreamSpec
from sluice.values.position import Partition

BUSY_INTERVAL = 1.0
"Seconds between two looks at where partitions end, while messages come."

IDLE_INTERVAL = 5.0
"... and while none come: the consumer hears of the next one by itself."

RESTING_INTERVAL = 15.0
"... and while the stream rests: the watch hears of the next one, and of brokers that do not answer."

LOWS_INTERVAL = 8.0
"Seconds between two looks at where they begin: only retention moves that."

STABLE_INTERVAL = 2.0
"Seconds between two questions for the last stable offsets, while a partition does not get on."

RENEW_AFTER = 60.0
"Seconds of trouble that no answer explains, after which the clients are to be replaced."

PATIENCE = 0.4
"Seconds that brokers in doubt have to answer before they are said not to."

SUSPECT_INTERVAL = 0.25
"Seconds between two questions to brokers that are in doubt."

SUSPECT_TIMEOUT = 0.5
"Seconds that such a question is tried for, after which it is asked anew."

TIMEOUT = 2.0
"Seconds that any other question is tried for, after which the brokers are in doubt."

Clock = Callable[[], float]

Watermarks = Mapping[Partition, tuple[int, int]]
"partition -> first offset, and the offset that its next message gets."


class Reading(NamedTuple):
    """What a stream reads."""

    partitions: frozenset[Partition]
    positions: Mapping[Partition, int] | None = None
    "partition -> offset that it reads next; None: that is not known."
    ends: Mapping[Partition, int] | None = None
    "partition -> how far it goes at least, as messages that came say; None: that was not looked at."
    obstacle: str | None = None
    "What the consumer has met that lasts, though the brokers answer, in one line; None: nothing."


class Health(NamedTuple):
    """How the brokers are."""

    trouble: str | None = None
    "What keeps the stream from reading, as far as it is known, in one line; None: nothing."
    watermarks: Watermarks | None = None
    "Those of all partitions; None until all are known."
    suspect: bool = False
    "Whether it is in doubt that they answer."
    asking: bool = False
    "Whether an answer is due."
    stuck: str | None = None
    "Why the clients are to be replaced; None: they are not. librdkafka may stay disconnected for good."


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

    def __init__(
        self, admin: TopicClient, offsets: OffsetClient, spec: StreamSpec, clock: Clock = time.monotonic
    ) -> None:
        self._obstacle: str | None = None
        self._silence: str | None = None
        "What keeps the brokers from answering; None: they do, or nobody has doubted it."
        self._explained = False
        "Whether a broker has said why: it has answered, then."
        self._standstill = Standstill(spec.name)
        self._idle_since: float | None = None
        self._admin = admin
        self._offsets = offsets
        self._place = f"Kafka stream {spec.name}, topic {spec.topic} at {spec.uri}"
        self._clock = clock
        self._partitions: frozenset[Partition] = frozenset()
        self._ends = RepeatedQuestion(offset_of)
        self._begins = RepeatedQuestion(offset_of)
        self._stable = RepeatedQuestion(offset_of)
        self._leaders = RepeatedQuestion(leaders_of)
        self._lows: Mapping[Partition, int] = {}
        self._highs: Mapping[Partition, int] = {}
        self._watermarks: Watermarks | None = None
        self._doubted: float | None = None
        self._reason = ""

    def poll(self, reading: Reading, *, busy: bool, resting: bool = False) -> Health:
        """
        How the brokers are, by what was answered; asks what is due.

        Args:
            busy: whether messages come.
            resting: whether the watch waits for them.
        """
        self._follow(reading.partitions)
        self._obstacle = reading.obstacle
        self._look(reading.positions, busy=busy, resting=resting)
        ends = reading.ends or {}
        if any(end > self._highs.get(partition, -1) for partition, end in ends.items()):
            self._watermarks = None
            self._highs = {p: max(ends.get(p, -1), self._highs.get(p, -1)) for p in self._partitions}
        asking = self._ends.asking or self._begins.asking or self._stable.asking
        return Health(self.trouble, self.watermarks, self.suspect, asking, self.stuck)

    def close(self) -> None:
        """
        Lets go of the clients, which other streams may share, and so of their threads: what holds this object is part
        of a cycle, and in an idle server the collector does not come by.
        """
        del self._admin, self._offsets
        for question in (self._ends, self._begins, self._stable, self._leaders):
            question.drop()

    def give_up_clients(self) -> None:
        """Whoever makes clients from now on gets others; those that share these may use them on."""
        topic_clients.forget(self._admin)
        offset_clients.forget(self._offsets)

    def _follow(self, partitions: frozenset[Partition]) -> None:
        if partitions != self._partitions:
            self._partitions = partitions
            self._watermarks = None
            self._lows = {p: low for p, low in self._lows.items() if p in partitions}
            self._highs = {p: high for p, high in self._highs.items() if p in partitions}
            self._ends.drop()
            self._begins.drop()
            self._stable.drop()

    @property
    def trouble(self) -> str | None:
        """What keeps the stream from reading, as far as it is known; None: nothing."""
        return self._silence or self._obstacle or self._standstill.reason

    @property
    def stuck(self) -> str | None:
        """Why the clients are to be replaced; None: they are not. librdkafka may stay disconnected for good."""
        now = self._clock()
        if self._silence is not None and self._doubted is not None and not self._explained:
            if now - self._doubted >= RENEW_AFTER:
                return f"{self._silence}; no answer for {RENEW_AFTER:g} s: replaces its clients"
        elif self._obstacle is None and self._idle_since is not None:
            waited = min(now - self._idle_since, self._standstill.unexplained(now))
            if waited >= RENEW_AFTER:
                return f"{self._place}: messages wait and none has come for {waited:.0f} s: replaces its clients"
        return None

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
        if self._silence is not None:
            self._silence = reason

    def _look(self, positions: Mapping[Partition, int] | None, *, busy: bool, resting: bool) -> None:
        """Hears what was answered and asks what is due."""
        if not self._partitions:
            return
        now = self._clock()
        self._idle_since = None if busy or resting else self._idle_since or now
        if positions is not None:
            begins = {p: max(low, positions.get(p, 0)) for p, low in self._lows.items()}
            self._standstill.follow(begins, self._highs, now)
        self._hear(now)
        if self._doubted is not None:
            self._ends.ask(now, SUSPECT_INTERVAL, lambda: self._ask(END, SUSPECT_TIMEOUT))
            # Where a partition had no leader the client takes that for granted until it is asked for the topic itself.
            self._leaders.ask(now, SUSPECT_INTERVAL, self._ask_leaders)
            return
        interval = BUSY_INTERVAL if busy else RESTING_INTERVAL if resting else IDLE_INTERVAL
        self._ends.ask(now, interval, lambda: self._ask(END, TIMEOUT))
        if (lows := self._begins.answer()) is not None and len(lows) == len(self._partitions):
            self._lows, self._watermarks = lows, None
        self._begins.ask(now, LOWS_INTERVAL, lambda: self._ask(BEGIN, TIMEOUT))
        if (stable := self._stable.answer()) is not None:
            self._standstill.hear(stable, now)
        if self._standstill.asks(now):
            committed = IsolationLevel.READ_COMMITTED
            self._stable.ask(now, STABLE_INTERVAL, lambda: self._ask(END, TIMEOUT, committed))

    def _hear(self, now: float) -> None:
        answer, leaders = self._ends.answer(), self._leaders.answer()
        if answer is not None:
            self._highs, self._watermarks = {**self._highs, **answer}, None
        if self._partitions in ((answer or {}).keys(), (leaders or {}).keys()):
            self._doubted, self._silence, self._explained = None, None, False
        elif answer is not None:
            self._explained = self._ends.refused
            if self._doubted is None:
                self.doubt(f"{self._place}: {self._ends.error}")
        if self._doubted is not None and now - self._doubted >= PATIENCE:
            self._silence = self._reason

    def _ask(self, when: int, timeout: float, isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED) -> Answers:
        return self._offsets.ask(sorted(self._partitions), when, timeout, isolation)

    def _ask_leaders(self) -> Answers:
        return self._admin.describe_topics({partition.topic for partition in self._partitions}, SUSPECT_TIMEOUT)
