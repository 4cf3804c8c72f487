"""Lag monitors are told how far a stream is; nobody waits long for the answer, and one question is asked at a time."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from sluice.brokers.reporter import Reporter
from tests.unit.partitions import P0


class FakeConsumer:
    """Notes what is committed; answers when it is polled, if `answers`."""

    def __init__(self, told: Reporter, *, answers: bool = True, error: KafkaError | None = None) -> None:
        self.commits: list[dict[int, int]] = []
        self._told = told
        self._answers = answers
        self._error = error

    def commit(self, offsets, *, asynchronous: bool) -> None:
        assert asynchronous
        self.commits.append({place.partition: place.offset for place in offsets})

    def poll(self, timeout: float) -> None:
        if self._answers:
            self._told.answered(self._error, [])


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by 0.01 s with each look."""
    now = [100.0]

    def monotonic() -> float:
        now[0] += 0.01
        return now[0]

    monkeypatch.setattr("sluice.brokers.reporter.time.monotonic", monotonic)
    return now


def test_positions_are_told_at_intervals_once_each(clock):
    told = Reporter("s")
    consumer = FakeConsumer(told)
    for count in range(1, 1001):
        told.report(consumer, {P0: count})
        consumer.poll(0)
    assert consumer.commits == [{0: 1}, *({0: n} for n in range(51, 1000, 50))]
    clock[0] += 60
    for _ in range(3):
        told.report(consumer, {P0: 1000})
        consumer.poll(0)
        clock[0] += 60
    assert consumer.commits[20:] == [{0: 1000}]


def test_nothing_is_told_while_an_answer_is_due_or_nothing_was_read(clock):
    told = Reporter("s")
    consumer = FakeConsumer(told, answers=False)
    told.report(consumer, {})
    for count in range(5):
        told.report(consumer, {P0: count})
        clock[0] += 60
    assert consumer.commits == [{0: 0}]


def test_what_was_refused_is_told_again(clock):
    told = Reporter("s")
    consumer = FakeConsumer(told, error=KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))
    for _ in range(2):
        told.report(consumer, {P0: 5})
        consumer.poll(0)
        clock[0] += 60
    assert consumer.commits == [{0: 5}, {0: 5}]


def test_the_last_position_is_told_at_the_end(clock):
    told = Reporter("s")
    consumer = FakeConsumer(told)
    told.report(consumer, {P0: 1})
    told.report(consumer, {P0: 9})
    assert told.finish(consumer)
    assert consumer.commits == [{0: 1}, {0: 9}]


def test_the_end_does_not_wait_for_a_broker_that_is_away(clock):
    told = Reporter("s")
    told.report(FakeConsumer(told, answers=False), {P0: 1})
    began = clock[0]
    assert not told.finish(FakeConsumer(told, answers=False))
    assert clock[0] - began < 1.1


def test_the_last_position_is_told_though_the_answer_to_the_one_before_is_late(clock):
    class Slow(FakeConsumer):
        def poll(self, timeout: float) -> None:
            clock[0] += 0.8  # the time for the last report is not what the one before has left of it
            super().poll(timeout)

    told = Reporter("s")
    consumer = Slow(told)
    told.report(consumer, {P0: 1})
    told.report(consumer, {P0: 9})
    assert told.finish(consumer)
    assert consumer.commits == [{0: 1}, {0: 9}]


def test_a_consumer_that_cannot_commit_is_no_trouble(clock):
    class Refusing(FakeConsumer):
        def commit(self, offsets, *, asynchronous: bool) -> None:
            raise KafkaException(KafkaError(KafkaError._STATE))

    told = Reporter("s")
    told.report(Refusing(told), {P0: 1})
    assert told.finish(Refusing(told))
