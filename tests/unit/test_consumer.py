"""A consumer waits for the messages of a batch, and knows how far reading got."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, Message, TopicPartition

from sluice.brokers import consumer, reporter
from sluice.brokers import reader as reader_module
from sluice.brokers import topic as topic_module
from sluice.brokers.consumer import Consumer
from sluice.errors import BrokerError, BrokerUnreachable, OffsetGone
from sluice.host.settings import Settings
from sluice.values.model import StreamSpec, Transform
from sluice.values.position import Partition, Position
from tests.unit.partitions import P0, P1, P2

INTERVAL = 0.1


class FakeKafka:
    """librdkafka, and the clock: what is to come, and when. Waiting lets the time pass."""

    def __init__(self) -> None:
        self.now = 100.0
        self.coming: list[tuple[float, Message]] = []
        self.waits: list[float] = []
        self.reported: list[int] = []
        self.answer: Callable[[None, list[TopicPartition]], None] | None = None
        self.reached: dict[Partition, int] = {}
        self.assigned: list[TopicPartition] = []
        self.refusals = 0
        self.sought: list[tuple[int, int, int | None]] = []
        self.collects: list[bool] = []
        "Of each call of `consume`: whether Python's garbage collector may run."

    def assign(self, places: list[TopicPartition]) -> None:
        self.assigned, self.reached, self.sought = places, {}, []

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def seek(self, place: TopicPartition) -> None:
        if self.refusals:
            self.refusals -= 1
            raise KafkaException(KafkaError(KafkaError._STATE))
        self.sought.append((place.partition, place.offset, place.leader_epoch))

    def position(self, places: list[TopicPartition]) -> list[TopicPartition]:
        """Where reading is: librdkafka answers -1001 for a partition of which nothing has come."""
        return [
            TopicPartition(
                "t", place.partition, self.reached.get(Partition(place.topic, place.partition), -1001), leader_epoch=3
            )
            for place in places
        ]

    def commit(self, offsets: list[TopicPartition], *, asynchronous: bool) -> None:
        assert asynchronous
        self.reported += [place.offset for place in offsets]

    def list_topics(self, topic: str, *, timeout: float) -> None:
        self.now += timeout
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    def poll(self, wait: float) -> Message | None:
        return next(iter(self.consume(1, wait)), None)

    def monotonic(self) -> float:
        return self.now

    def at(self, seconds: float, *messages: Message) -> FakeKafka:
        """These come so many seconds after the beginning."""
        self.coming += [(100.0 + seconds, message) for message in messages]
        return self

    def consume(self, most: int, wait: float) -> list[Message]:
        assert most > 0
        until = self.now + int(1000 * wait) / 1000  # as librdkafka, which is told milliseconds
        self.waits.append(wait)
        self.collects.append(gc.isenabled())
        if self.answer is not None:
            self.answer(None, [])
        assert len(self.waits) < 1000, "it waits over and over for nothing"
        found: list[Message] = []
        while self.coming and len(found) < most and self.coming[0][0] <= until:
            at, message = self.coming.pop(0)
            self.now = max(self.now, at)
            found.append(message)
        if len(found) < most:
            self.now = until
        return found


def message(offset: int, size: int = 1, error: int | None = None) -> Message:
    reason = None if error is None else KafkaError(error)
    return Message(topic="t", partition=0, offset=offset, value=b"x" * size, error=reason)


def numbered(start: int, stop: int, size: int = 1) -> list[Message]:
    return [message(offset, size) for offset in range(start, stop)]


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> FakeKafka:
    fake = FakeKafka()
    monkeypatch.setattr(consumer, "time", fake)
    monkeypatch.setattr(reporter, "time", fake)
    monkeypatch.setattr(reader_module, "time", fake)
    monkeypatch.setattr(topic_module, "time", fake)
    return fake


class Polled:
    """A consumer of a stream with batches of ten, one of its messages in bytes at the most 100."""

    def __init__(self, kafka: FakeKafka) -> None:
        spec = StreamSpec("u", "people", "localhost:1", "t", Transform("/t.py", "", ""))
        self.consumer = Consumer(spec, Settings(batch_max_bytes=100))
        reader: Any = self.consumer._reader
        self.real, reader.client = reader.client, kafka
        self.stop = False

    def poll(self, *, most: int = 100, patience: float | None = 1.0) -> list[list[int]] | None:
        group = self.consumer.poll(10, INTERVAL, lambda: self.stop, patience=patience, most=most)
        if group is None:
            return None
        return [[message.offset() for message in batch.messages] for batch in group.batches]


@pytest.fixture
def reader(kafka: FakeKafka) -> Iterator[Polled]:
    made = Polled(kafka)
    yield made
    made.real.close()


def of(*ranges: range) -> list[list[int]]:
    return list(map(list, ranges))


def test_all_whole_batches_that_wait_travel_together_and_the_tail_stays(kafka: FakeKafka, reader: Polled):
    kafka.at(0, *numbered(0, 34))
    assert reader.poll() == of(range(10), range(10, 20), range(20, 30))
    assert kafka.now == 100.0


def test_what_is_read_ahead_is_given_out_in_order_and_is_no_more_than_a_group(kafka: FakeKafka, reader: Polled):
    kafka.at(0, *numbered(0, 34))
    assert reader.poll(most=1) == of(range(10))
    reader.consumer.read_ahead(10, 2)
    assert len(kafka.coming) == 34 - 30
    reader.consumer.read_ahead(10, 2)
    assert len(kafka.coming) == 34 - 30, "it holds as much as the next group may have"
    assert reader.consumer.held_back
    assert reader.poll(most=2) == of(range(10, 20), range(20, 30))
    assert reader.poll() == of(range(30, 34))


def test_an_error_that_is_met_ahead_comes_after_the_messages_before_it(kafka: FakeKafka, reader: Polled):
    kafka.at(0, *numbered(0, 13), message(13, error=KafkaError._AUTO_OFFSET_RESET), message(14))
    reader.consumer.read_ahead(10, 100)
    reader.consumer.read_ahead(10, 100)
    assert reader.poll() == [*of(range(10)), [10, 11, 12, 14]]
    with pytest.raises(OffsetGone):
        reader.poll()


def test_the_interval_counts_from_when_something_was_read_ahead(kafka: FakeKafka, reader: Polled):
    kafka.at(0, *numbered(0, 3))
    reader.consumer.read_ahead(10, 100)
    kafka.now += 0.07
    assert reader.poll() == of(range(3))
    assert kafka.now == pytest.approx(100.0 + INTERVAL)


def test_the_interval_of_what_came_while_nobody_looked_counts_from_the_last_look(kafka: FakeKafka, reader: Polled):
    assert reader.poll(patience=0) is None
    kafka.at(0.05, *numbered(0, 3))
    kafka.now += 0.08
    assert reader.poll() == of(range(3))
    assert kafka.now == pytest.approx(100.0 + INTERVAL)


def test_the_tail_waits_for_its_interval_and_no_longer(kafka: FakeKafka, reader: Polled):
    kafka.at(0, *numbered(0, 12)).at(0.03, *numbered(12, 14))
    assert reader.poll() == of(range(10))
    assert reader.poll() == of(range(10, 14))
    assert kafka.now == pytest.approx(100.0 + INTERVAL)


def test_a_tail_that_fills_up_goes_at_once(kafka: FakeKafka, reader: Polled):
    kafka.at(0, *numbered(0, 12)).at(0.03, *numbered(12, 25))
    assert reader.poll() == of(range(10))
    assert reader.poll() == of(range(10, 20))
    assert kafka.now == pytest.approx(100.03)
    # The interval of what is left counts from when that came.
    assert reader.poll() == of(range(20, 25))
    assert kafka.now == pytest.approx(100.03 + INTERVAL)


def test_a_lone_message_waits_for_its_interval(kafka: FakeKafka, reader: Polled):
    kafka.at(0.5, message(0))
    assert reader.poll() == [[0]]
    assert kafka.now == pytest.approx(100.5 + INTERVAL)


def test_a_part_of_a_millisecond_is_waited_for_once(kafka: FakeKafka, reader: Polled):
    assert reader.poll(patience=0.0207) is None
    assert len(kafka.waits) <= 3
    assert kafka.now == pytest.approx(100.021, abs=1e-5)


def test_nothing_in_time_is_nothing_and_a_tail_is_kept(kafka: FakeKafka, reader: Polled):
    assert reader.poll(patience=0) is None
    assert kafka.now == 100.0
    kafka.at(0, *numbered(0, 3))
    assert reader.poll(patience=0.04) is None
    assert reader.poll(patience=0.04) is None
    assert reader.poll(patience=0.04) == of(range(3))
    assert kafka.now == pytest.approx(100.0 + INTERVAL)


def test_an_error_comes_after_the_messages_before_it(kafka: FakeKafka, reader: Polled):
    kafka.at(0, *numbered(0, 13), message(13, error=KafkaError._AUTO_OFFSET_RESET))
    assert reader.poll() == of(range(10), range(10, 13))
    with pytest.raises(OffsetGone):
        reader.poll()
    kafka.at(0, message(14, error=KafkaError.TOPIC_AUTHORIZATION_FAILED), message(15))
    assert reader.poll() == [[15]]
    with pytest.raises(BrokerError):
        reader.poll()


def test_what_is_wrong_with_the_group_alone_keeps_nobody_from_reading(kafka: FakeKafka, reader: Polled):
    cut_off = KafkaError(KafkaError._BAD_MSG, "FindCoordinator response error: Local: Bad message format")
    not_allowed = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)
    events = [Message(topic="t", partition=0, error=error) for error in (cut_off, not_allowed)]
    kafka.at(0, *events, *numbered(0, 10))
    assert reader.poll() == of(range(10))


def test_no_garbage_is_looked_for_while_what_waits_is_taken(kafka: FakeKafka, reader: Polled):
    kafka.at(0.5, *numbered(0, 10))
    assert reader.poll() == of(range(10))
    assert kafka.collects == [bool(wait) for wait in kafka.waits]
    assert set(kafka.collects) == {True, False}


def test_a_stop_ends_the_wait(kafka: FakeKafka, reader: Polled):
    reader.stop = True
    kafka.at(0, *numbered(0, 3))
    assert reader.poll(patience=None) is None


def test_reading_begins_anew_without_what_was_taken(kafka: FakeKafka, reader: Polled):
    kafka.at(0, *numbered(0, 13))
    assert reader.poll() == of(range(10))
    reader.consumer.assign([P0], {P0: Position(10)})
    kafka.at(0, *numbered(10, 20))
    assert reader.poll() == of(range(10, 20))


def test_positions_are_reported_while_nothing_is_polled_and_no_message_is_lost_by_it(kafka: FakeKafka, reader: Polled):
    kafka.at(0, *numbered(0, 10))
    for position in (5, 6, 7):
        reader.consumer.report({P0: position})
        kafka.now += 1
    assert kafka.reported == [5]  # no answer yet
    kafka.answer = reader.consumer._reporter.answered
    for position in (8, 9):
        reader.consumer.report({P0: position})
        kafka.now += 1
    assert kafka.reported == [5, 8, 9]
    assert reader.poll() == of(range(10))


def test_no_message_is_lost_while_the_topic_is_asked_about_and_nobody_answers(kafka: FakeKafka, reader: Polled):
    kafka.at(0, *numbered(0, 20))
    assert reader.poll(most=1) == of(range(10))
    with pytest.raises(BrokerUnreachable):
        reader.consumer.topic.partitions(timeout=0.5)
    assert reader.poll() == of(range(10, 20))


def test_an_error_of_reading_is_not_taken_for_one_of_the_topic(kafka: FakeKafka, reader: Polled):
    kafka.at(0, message(0, error=KafkaError._AUTO_OFFSET_RESET))
    with pytest.raises(BrokerUnreachable):
        reader.consumer.topic.partitions(timeout=0.5)
    with pytest.raises(OffsetGone):
        reader.poll()


def test_a_group_that_leaves_nothing_ends_where_reading_is(kafka: FakeKafka, reader: Polled):
    reader.consumer.assign([P0, P1], {})
    kafka.at(0, *numbered(0, 25))
    kafka.reached = {P0: 25}
    first = reader.consumer.poll(10, INTERVAL, lambda: False, most=100)
    assert first is not None
    assert first.end == {P0: (20, -1)}
    kafka.reached = {P0: 27, P1: 3}
    last = reader.consumer.poll(10, INTERVAL, lambda: False, most=100)
    assert last is not None
    assert last.end == {P0: (27, 3), P1: (3, 3)}
    assert [half.end for half in last.halves()] == [{P0: (22, -1)}, {P0: (27, 3), P1: (3, 3)}]


def test_offsets_that_no_message_has_are_reached_once_all_before_them_is_applied(kafka: FakeKafka, reader: Polled):
    reader.consumer.assign([P0, P1, P2], {P0: Position(5)})
    assert reader.consumer.reached({P0: 5}) == {}  # nothing has come
    kafka.reached = {P0: 7, P1: 4}
    assert reader.consumer.reached({P0: 5}) == {P0: (7, 3), P1: (4, 3)}
    assert reader.consumer.reached({P0: 7, P1: 4, P2: 9}) == {}
    kafka.at(0, *numbered(7, 17))
    kafka.reached = {P0: 17}
    assert reader.poll() == of(range(7, 17))
    kafka.reached = {P0: 18}
    assert reader.consumer.reached({P0: 7}) == {}  # they may never be applied
    assert reader.consumer.reached({P0: 17}) == {P0: (18, 3)}
    kafka.at(0, *numbered(18, 19))
    kafka.reached = {P0: 19}
    assert reader.consumer.reached({P0: 18}) == {}  # a message came instead, and is given out
    assert reader.poll() == of(range(18, 19))
    reader.consumer.assign([P0], {P0: Position(3)})
    assert reader.consumer.reached({P0: 3}) == {}


def test_reading_begins_with_the_leader_epoch_of_each_position(kafka: FakeKafka, reader: Polled):
    reader.consumer.assign([P0, P1, P2], {P0: Position(10, 4), P2: Position(7)})
    assigned = {place.partition: (place.offset, place.leader_epoch) for place in kafka.assigned}
    assert assigned == {0: (10, 4), 1: (OFFSET_BEGINNING, None), 2: (7, None)}
    assert kafka.sought == [(0, 10, 4)]  # where librdkafka asks the broker about it


def test_reading_begins_once_librdkafka_can_seek_or_not_at_all(kafka: FakeKafka, reader: Polled):
    kafka.refusals = 3
    reader.consumer.assign([P0], {P0: Position(10, 4)})
    assert kafka.sought == [(0, 10, 4)]
    kafka.refusals = 1_000_000
    with pytest.raises(BrokerError, match="topic t: reading cannot begin: Local: Erroneous state"):
        reader.consumer.assign([P0], {P0: Position(10, 4)})


@pytest.mark.parametrize(
    ("reason", "log_end"),
    [
        ("Partition log truncation detected at offset 20 (leader epoch 0): broker end offset is 12 (offset ...", 12),
        ("No epoch found less or equal to offset 20 (leader epoch 2): broker end offset is -1 (offset leader ...", 0),
        ("fetch failed due to requested offset not available on the broker: Broker: Offset out of range", None),
    ],
)
def test_a_log_that_was_truncated_tells_up_to_where_it_is_the_one_that_was_read(
    kafka: FakeKafka, reader: Polled, reason: str, log_end: int | None
):
    error = KafkaError(KafkaError._AUTO_OFFSET_RESET, reason)
    kafka.at(0, Message(topic="t", partition=3, offset=-1001, error=error))
    with pytest.raises(OffsetGone) as caught:
        reader.poll()
    assert (caught.value.partition, caught.value.log_end) == (Partition("t", 3), log_end)


@pytest.mark.parametrize(("reason", "log_end"), [("broker end offset is 12 (", 12), (None, 15)])
def test_a_log_that_ends_before_the_position_is_asked_about_its_leader_epoch_at_its_end(
    kafka: FakeKafka, reader: Polled, reason: str | None, log_end: int
):
    if reason is not None:
        error = KafkaError(KafkaError._AUTO_OFFSET_RESET, reason)
        kafka.at(0.3, Message(topic="t", partition=0, offset=-1001, error=error))
    assert reader.consumer.log_end(P0, 15, 4) == log_end
    assert kafka.sought == [(0, 15, 4)]
    assert kafka.now <= 100 + reader_module.CHECKED + 0.2
    assert reader.consumer.log_end(P0, 0, 4) == 0
