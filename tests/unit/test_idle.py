"""When a stream goes to rest and for how long; what a watch waits for, and whom it rouses."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition, Uuid

from sluice.brokers import clients, idle_watcher
from sluice.brokers.idle_watcher import Watched
from sluice.brokers.topic import Topics
from sluice.brokers.topic_client import topic_clients
from sluice.engine.idle import LONGER, IdleDetector
from sluice.host.settings import Settings
from sluice.values.configuration import Configuration
from sluice.values.model import Checkpoint, StreamSpec, Transform
from sluice.values.position import Partition, Position
from tests.eventually import eventually
from tests.unit.partitions import P0, P1

SPEC = StreamSpec("orders", "localhost:1", "t", "t", Transform("/t.py", "", ""))
SETTINGS = Settings(rest_after=10.0, topic_interval=0.05)
ID = Uuid(0, 7)


class FakeKafka:
    """A consumer and an admin client of brokers that have one topic; tells what is assigned."""

    def __init__(self) -> None:
        self.assigned: dict[tuple[str, int], int] = {}
        self.log: list[str] = []
        self.coming: list[Message] = []
        self.topics = ["t"]
        self.topic_id = ID
        self.partitions = [0]
        self.error: KafkaError | None = None
        self.closed = False
        self.asked = 0
        self.settings: dict[str, Any] = {}
        self._came = threading.Event()

    def send(self, offset: int, partition: int = 0, error: int | None = None) -> None:
        reason = None if error is None else KafkaError(error)
        self.coming.append(Message(topic="t", partition=partition, offset=offset, value=b"", error=reason))
        self._came.set()

    def consume(self, most: int, wait: float) -> list[Message]:
        self._came.wait(min(wait, 0.01))
        self._came.clear()
        came = [message for message in self.coming if (message.topic(), message.partition()) in self.assigned]
        self.coming = [message for message in self.coming if message not in came]
        return came

    def list_topics(self, topic: str = "", *, timeout: float) -> Any:
        """What is known of the topic is renewed; or all topics."""
        return SimpleNamespace(topics=dict.fromkeys(self.topics))

    def incremental_assign(self, places: list[TopicPartition]) -> None:
        for place in places:
            assert (place.topic, place.partition) not in self.assigned
            self.assigned[place.topic, place.partition] = place.offset
        self.log.append("assigned " + " ".join(f"{place.partition}@{place.offset}" for place in places))

    def seek(self, place: TopicPartition) -> None:
        assert self.assigned[place.topic, place.partition] == place.offset
        self.log.append(f"sought {place.partition}@{place.offset} of {place.leader_epoch}")

    def incremental_unassign(self, places: list[TopicPartition]) -> None:
        for place in places:
            del self.assigned[place.topic, place.partition]
        self.log.append("unassigned " + " ".join(str(place.partition) for place in places))

    def close(self) -> None:
        self.closed = True

    def describe_topics(self, topics: Any, timeout: float) -> dict[str, Future[Any]]:
        self.asked += 1
        told: Future[Any] = Future()
        if self.error is not None:
            told.set_exception(KafkaException(self.error))
        else:
            found = SimpleNamespace(
                name="t", topic_id=self.topic_id, partitions=[SimpleNamespace(id=i) for i in self.partitions]
            )
            told.set_result(found)
        return {"t": told}


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKafka]:
    fake = FakeKafka()

    def make(kind: Any, name: str, uri: str, config: Any, *, defaults: Any, own: Any) -> FakeKafka:
        fake.settings = {**defaults, **own}
        return fake

    monkeypatch.setattr(clients, "make", make)
    monkeypatch.setattr(topic_clients, "get", lambda *_: fake)
    yield fake
    eventually(lambda: not any(thread.name == "sluice-watch" for thread in threading.enumerate()))


@pytest.fixture
def enter(kafka: FakeKafka) -> Iterator[Callable[..., Watched]]:
    entered: list[Watched] = []

    def make(
        position: int | None = 5,
        partitions: tuple[Partition, ...] = (P0,),
        topic_id: str = str(ID),
        topic_interval: float = SETTINGS.topic_interval,
        spec: StreamSpec = SPEC,
    ) -> Watched:
        positions = {} if position is None else dict.fromkeys(partitions, Position(position, 3))
        topics = Topics({"t": topic_id} if topic_id else {}, frozenset(partitions))
        watched = Watched(spec, topics, positions, lambda: None)
        entered.append(watched)
        idle_watcher.enter(watched, SPEC, topic_interval)
        eventually(lambda: watched.armed)
        return watched

    yield make
    for watched in entered:
        idle_watcher.leave(watched)


Enter = Callable[..., Watched]


def test_a_message_rouses_those_who_rest_at_its_partition(kafka: FakeKafka, enter: Enter):
    kafka.partitions = [0, 1]
    both, again = enter(partitions=(P0, P1)), enter(partitions=(P0, P1), position=7)
    kafka.send(5, partition=1)
    eventually(lambda: both.roused and again.roused)
    assert not both.topic_changed
    assert both.trouble is None


def test_a_partition_is_watched_from_where_the_furthest_back_is(kafka: FakeKafka, enter: Enter):
    first = enter(position=9)
    enter(position=12)
    enter(position=4)
    enter(position=None)
    idle_watcher.leave(first)
    begun = [[f"assigned 0@{offset}", f"sought 0@{offset} of 3"] for offset in (9, 4)]
    assert kafka.log == [*begun[0], "unassigned 0", *begun[1], "unassigned 0", "assigned 0@-2"]


def test_what_nobody_waits_for_any_more_is_let_go(kafka: FakeKafka, enter: Enter):
    first = enter(topic_interval=60.0)
    enter(partitions=(P1,))
    assert kafka.assigned == {("t", 0): 5, ("t", 1): 5}
    idle_watcher.leave(first)
    eventually(lambda: kafka.assigned, equals={("t", 1): 5})


def test_the_last_that_leaves_ends_the_watch_and_the_next_begins_another(kafka: FakeKafka, enter: Enter):
    idle_watcher.leave(enter())
    eventually(lambda: kafka.closed)
    kafka.assigned.clear()
    again = enter()
    kafka.send(5)
    eventually(lambda: again.roused)


def test_positions_that_are_gone_rouse(kafka: FakeKafka, enter: Enter):
    watched = enter()
    kafka.send(5, error=KafkaError._AUTO_OFFSET_RESET)
    eventually(lambda: watched.roused)


def test_brokers_in_trouble_rouse_all_and_say_why(kafka: FakeKafka, enter: Enter):
    watched = enter()
    kafka.settings["error_cb"](KafkaError(KafkaError._TRANSPORT, "gone"))
    assert watched.roused
    assert watched.trouble is not None
    assert watched.trouble.str() == "gone"


@pytest.mark.parametrize("change", ["made anew", "more partitions", "deleted"])
def test_a_topic_that_is_another_rouses(kafka: FakeKafka, enter: Enter, change: str):
    watched = enter()
    if change == "made anew":
        kafka.topic_id = Uuid(0, 8)
    elif change == "more partitions":
        kafka.partitions = [0, 1]
    else:
        kafka.error = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
    eventually(lambda: watched.roused)
    assert watched.topic_changed
    assert watched.trouble is None


def test_a_new_partition_that_the_stream_does_not_read_rouses_nobody(kafka: FakeKafka, enter: Enter):
    watched = enter(spec=dataclasses.replace(SPEC, config=Configuration(partitions=(0, 2))))
    kafka.partitions = [0, 1]
    asked = kafka.asked
    eventually(lambda: kafka.asked >= asked + 2)
    assert not watched.roused
    kafka.partitions = [0, 1, 2]
    eventually(lambda: watched.roused)
    assert watched.topic_changed


def test_a_topic_that_comes_to_match_a_pattern_rouses(kafka: FakeKafka):
    spec = dataclasses.replace(SPEC, topic="t,^u.*")
    watched = Watched(spec, Topics({}, frozenset({P0})), {}, lambda: None)
    idle_watcher.enter(watched, SPEC, SETTINGS.topic_interval)
    eventually(lambda: kafka.asked >= 2)
    assert not watched.roused
    kafka.topics.append("users")
    eventually(lambda: watched.roused)
    assert watched.topic_changed
    idle_watcher.leave(watched)


def test_a_question_without_an_answer_is_a_trouble(kafka: FakeKafka, enter: Enter):
    watched = enter()
    kafka.error = KafkaError(KafkaError._TIMED_OUT)
    eventually(lambda: watched.roused)
    assert not watched.topic_changed
    assert watched.trouble is not None


@pytest.mark.parametrize(("known", "told"), [("", ID), (str(ID), Uuid(0, 0))], ids=["to the stream", "to the broker"])
def test_ids_that_are_not_known_are_not_compared(kafka: FakeKafka, enter: Enter, known: str, told: Uuid):
    kafka.topic_id = told
    watched = enter(topic_id=known)
    eventually(lambda: kafka.asked >= 3)
    assert not watched.roused


def test_a_watch_that_cannot_be_made_rouses(kafka: FakeKafka, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(clients, "make", refuse)
    watched = Watched(SPEC, Topics({}, frozenset({P0})), {}, lambda: None)
    idle_watcher.enter(watched, SPEC, 1.0)
    eventually(lambda: watched.roused)
    assert not watched.armed
    idle_watcher.leave(watched)


class Sleeper:
    """A stream that rests, by a clock of its own."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.nudge = threading.Event()
        self.rest = IdleDetector(SPEC, SETTINGS, self.nudge.set, clock=lambda: self.now)

    def ready(self) -> bool:
        return self.rest.ready(frozenset({P0}), Checkpoint(positions={P0: 5}))

    def seconds_to_rest(self) -> int:
        """How long it is idle until it goes to rest."""
        for seconds in range(1000):
            self.ready()
            if self.rest.entered:
                return seconds
            self.now += 1
        raise AssertionError("it never rests")


@pytest.fixture
def sleeper(kafka: FakeKafka) -> Iterator[Sleeper]:
    made = Sleeper()
    yield made
    made.rest.end()


def test_a_stream_rests_when_nothing_came_for_long_enough_and_it_is_waited_for(sleeper: Sleeper):
    assert not sleeper.ready()
    sleeper.now += 9
    sleeper.rest.put_off()
    assert sleeper.seconds_to_rest() == 10
    eventually(sleeper.ready)
    assert not sleeper.rest.over(None)


def test_a_rest_is_over_when_there_is_something(sleeper: Sleeper, kafka: FakeKafka):
    sleeper.seconds_to_rest()
    eventually(sleeper.ready)
    kafka.send(5)
    assert sleeper.nudge.wait(5)
    assert sleeper.rest.over(None)
    assert sleeper.rest.end() is not None
    assert not sleeper.rest.entered


def test_a_rest_is_over_when_partitions_end_elsewhere_than_they_did(sleeper: Sleeper):
    sleeper.seconds_to_rest()
    eventually(sleeper.ready)
    assert not sleeper.rest.over(None)
    assert not sleeper.rest.over({P0: (0, 5)})
    assert not sleeper.rest.over({P0: (3, 5)})
    assert sleeper.rest.over({P0: (3, 6)})


def test_something_that_comes_on_the_way_to_rest_ends_it(sleeper: Sleeper, kafka: FakeKafka):
    sleeper.seconds_to_rest()
    kafka.send(5)
    assert sleeper.nudge.wait(5)
    assert not sleeper.ready()
    assert not sleeper.rest.entered


def test_short_rests_become_rarer_and_a_long_one_mends_that(sleeper: Sleeper):
    waits = []
    for _ in range(6):
        waits.append(sleeper.seconds_to_rest())
        sleeper.now += 1
        sleeper.rest.put_off()
    assert waits == [10, 20, 40, 80, 10 * LONGER, 10 * LONGER]
    sleeper.seconds_to_rest()
    sleeper.now += 10
    sleeper.rest.put_off()
    assert sleeper.seconds_to_rest() == 10
