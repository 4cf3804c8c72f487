"""Something that the brokers are asked again and again, one answer at a time, without waiting for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaException

from sluice.brokers.offsets import is_offset
from sluice.values.position import Partition

log = logging.getLogger("sluice.broker_health")

Answers = Mapping[Any, Future[Any]]
"What was asked about -> what a client answers."


class RepeatedQuestion:
    """One question. Threads: for the thread that made it."""

    def __init__(self, read: Callable[[Any, Any], dict[Partition, int]]) -> None:
        """`read`: makes what was asked about, and the answer, to partition -> number."""
        self.asked_at = 0.0
        self.error = ""
        "Why there was no answer to the last question, or not to all of it."
        self.refused = False
        "Whether that came from a broker: it answers, and says no."
        self._read = read
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

    def answer(self) -> dict[Partition, int] | None:
        """Partition -> number, once, without partitions that were not answered for; None: no answer yet."""
        if self._answers is None or not all(future.done() for future in self._answers.values()):
            return None
        answers, self._answers = self._answers, None
        told: dict[Partition, int] = {}
        self.error, self.refused = "the brokers do not answer", False
        for place, future in answers.items():
            try:
                told |= self._read(place, future.result())
            except KafkaException as error:
                self.error, self.refused = error.args[0].str(), error.args[0].code() > 0
        return told

    def drop(self, due: float = 0.0) -> None:
        """What was asked is no longer waited for; it may be asked again at once, or when it is due."""
        self._answers = None
        self._due = due
        self.asked_at = 0.0


def offset_of(partition: Partition, answer: int) -> dict[Partition, int]:
    """For answers of an `OffsetClient`."""
    return {partition: answer} if is_offset(answer) else {}


def leaders_of(topic: str, answer: Any) -> dict[Partition, int]:
    """For answers to `describe_topics`: which broker leads each partition, where one does."""
    led = [partition for partition in answer.partitions if partition.leader is not None and partition.leader.id >= 0]
    return {Partition(topic, partition.id): partition.leader.id for partition in led}
