"""
Tells Kafka how far a stream is, for lag monitors only. What is told here is never read back: the graph holds the truth.

It goes over the stream's own consumer. An admin client would be easier to let go of, but has ended whole processes when
it was used for this (librdkafka#4605, seen with 2.16 inside Memgraph).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from sluice.values.position import Partition

log = logging.getLogger("sluice.reporter")

INTERVAL = 0.5
"Seconds between two reports: lag monitors look no closer."

LAST_WORDS = 1.0
"Seconds that each of the last two reports of a consumer has to be answered; its coordinator may have to be found."


class Reporter:
    """
    Reports positions to the group `sluice.<stream>`, which has no members.

    Threads: for the thread that owns the consumer.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._news: Mapping[Partition, int] = {}
        self._told: Mapping[Partition, int] = {}
        self.unanswered = False
        "Whether the answer to the last report is due, which is heard when the consumer is polled."
        self._next = 0.0

    def answered(self, error: KafkaError | None, _: list[TopicPartition]) -> None:
        """To be called by librdkafka with the answer (`on_commit`)."""
        self.unanswered = False
        if error is not None:
            self._told = {}
            log.debug("stream %s: progress not reported: %s", self._name, error.str())

    @property
    def pending(self) -> bool:
        """Whether something is to be reported yet, or to be answered."""
        return self.unanswered or bool(self._news and self._news != self._told)

    def report(self, consumer: Any, positions: Mapping[Partition, int]) -> None:
        """Reports the positions if it is time to. Does not wait for the answer, and asks nothing more until it came."""
        self._news = positions
        if time.monotonic() >= self._next and not self.unanswered and positions and positions != self._told:
            self._next = time.monotonic() + INTERVAL
            self._tell(consumer)

    def finish(self, consumer: Any) -> bool:
        """
        Reports what is still to be reported; waits for the answer, but not for long. Returns whether all is answered.
        While it is not, closing the consumer would not end.
        """
        self._await_answer(consumer)
        if not self.unanswered and self._news and self._news != self._told:
            self._tell(consumer)
            self._await_answer(consumer)
        return not self.unanswered

    def _await_answer(self, consumer: Any) -> None:
        deadline = time.monotonic() + LAST_WORDS
        while self.unanswered and time.monotonic() < deadline:
            consumer.poll(0.05)

    def _tell(self, consumer: Any) -> None:
        self._told = dict(self._news)
        offsets = [TopicPartition(*partition, offset) for partition, offset in self._told.items()]
        try:
            consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            log.debug("stream %s: progress not reported: %s", self._name, error)
        else:
            self.unanswered = True


def group_of(name: str) -> str:
    """The consumer group of a stream, which exists for lag monitors only."""
    return f"sluice.{name}"
