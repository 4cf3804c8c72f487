"""Brokers that are in doubt are asked; what librdkafka complains of is a trouble only if they do not answer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import IsolationLevel, KafkaError, KafkaException

from sluice.brokers.offset_client import BEGIN, END, OffsetClient
from sluice.brokers.topic_client import TopicClient
from sluice.engine.broker_health import BUSY_INTERVAL, IDLE_INTERVAL, RENEW_AFTER, BrokerHealth, Reading
from sluice.values.model import StreamSpec, Transform
from sluice.values.position import Partition
from tests.unit.partitions import P0, P1

SPEC = StreamSpec("u", "s", "h:1", "t", Transform("/t.py", "", ""))
PARTITIONS = frozenset({P0, P1})
TRANSPORT = KafkaException(KafkaError(KafkaError._TRANSPORT))


class Brokers:
    """Both clients, whose brokers answer at once, not at all, or by an error."""

    def __init__(self) -> None:
        self.highs = {P0: 10, P1: 20}
        self.low = 3
        self.stable: dict[Partition, int] = {}
        self.error = TRANSPORT
        self.leaders = {P0: 1, P1: 1}
        self.answers: str = "well"
        self.asked: list[str] = []

    def ask(
        self, partitions: list[Partition], when: int, timeout: float, isolation: IsolationLevel
    ) -> dict[Partition, Future[int]]:
        committed = isolation is IsolationLevel.READ_COMMITTED
        self.asked.append("stable" if committed else "ends" if when == END else "begins")
        known = dict.fromkeys(self.highs, self.low) if when == BEGIN else self.highs
        if committed:
            known = {**self.highs, **self.stable}
        if self.answers == "out of time":  # librdkafka says so by the offset
            return {partition: told(-1001) for partition in partitions}
        return {partition: self._future(known[partition]) for partition in partitions}

    def describe_topics(self, topics: Any, timeout: float) -> dict[str, Future[Any]]:
        self.asked.append("leaders")
        leaders = [
            SimpleNamespace(id=p.number, leader=SimpleNamespace(id=leader)) for p, leader in self.leaders.items()
        ]
        return {"t": self._future(SimpleNamespace(partitions=leaders))}

    def _future(self, value: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if self.answers == "well":
            future.set_result(value)
        elif self.answers in ("no", "out of time"):
            future.set_exception(self.error)
        return future


def told(offset: int) -> Future[int]:
    future: Future[int] = Future()
    future.set_result(offset)
    return future


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def brokers() -> Brokers:
    return Brokers()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def broker_health(brokers: Brokers, clock: Clock) -> BrokerHealth:
    return BrokerHealth(cast(TopicClient, brokers), cast(OffsetClient, brokers), SPEC, clock)


Pass = Callable[..., None]


@pytest.fixture
def passes(broker_health: BrokerHealth, clock: Clock) -> Pass:
    """Lets time pass, with a look every 0.1 s."""

    def pass_by(
        seconds: float,
        *,
        busy: bool = False,
        positions: dict[Partition, int] | None = None,
        obstacle: str | None = None,
    ) -> None:
        for _ in range(round(seconds * 10)):
            clock.now += 0.1
            reading = Reading(PARTITIONS, positions, obstacle=obstacle)
            broker_health.poll(reading, busy=busy)

    return pass_by


def test_watermarks_are_known_once_all_are(broker_health: BrokerHealth, passes: Pass):
    assert broker_health.watermarks is None
    passes(0.2)
    assert broker_health.watermarks == {P0: (3, 10), P1: (3, 20)}


@pytest.mark.parametrize(("busy", "interval"), [(True, BUSY_INTERVAL), (False, IDLE_INTERVAL)])
def test_ends_are_asked_for_again(
    broker_health: BrokerHealth, brokers: Brokers, passes: Pass, *, busy: bool, interval: float
):
    passes(0.2)
    brokers.highs[P1] = 25
    passes(interval - 0.3, busy=busy)
    assert broker_health.watermarks == {P0: (3, 10), P1: (3, 20)}
    passes(0.4, busy=busy)
    assert broker_health.watermarks == {P0: (3, 10), P1: (3, 25)}
    assert brokers.asked.count("begins") == 1


def test_messages_that_came_tell_of_ends_as_well(broker_health: BrokerHealth, passes: Pass):
    passes(0.2)
    broker_health.poll(Reading(PARTITIONS, ends={P1: 24}), busy=True)
    broker_health.poll(Reading(PARTITIONS, ends={P1: 22}), busy=True)
    assert broker_health.watermarks == {P0: (3, 10), P1: (3, 24)}


def test_a_complaint_is_no_trouble_where_the_brokers_answer(
    broker_health: BrokerHealth, brokers: Brokers, passes: Pass
):
    passes(0.2)
    for _ in range(20):
        broker_health.doubt("one of three is down")
        passes(0.1)
        assert broker_health.trouble is None
    passes(1.0)
    assert not broker_health.suspect
    assert brokers.asked.count("leaders") < 10


@pytest.mark.parametrize("answers", ["silence", "no"])
def test_brokers_that_do_not_answer_are_a_trouble_until_they_do(
    broker_health: BrokerHealth, brokers: Brokers, passes: Pass, answers: str
):
    passes(0.2)
    brokers.answers = answers
    broker_health.doubt("connection refused")
    passes(0.3)
    assert broker_health.trouble is None
    passes(0.3)
    assert broker_health.trouble == "connection refused"
    broker_health.doubt("all brokers are down")
    assert broker_health.trouble == "all brokers are down"
    passes(5)
    assert broker_health.trouble is not None
    assert broker_health.watermarks == {P0: (3, 10), P1: (3, 20)}
    brokers.answers = "well"
    broker_health._ends.drop()  # what librdkafka gives up for want of time
    passes(0.5)
    assert (broker_health.trouble, broker_health.suspect) == (None, False)


@pytest.mark.parametrize(
    ("answers", "why"), [("out of time", "the brokers do not answer"), ("no", "Local: Broker transport failure")]
)
def test_brokers_that_fall_silent_are_a_trouble_though_nobody_complains(
    broker_health: BrokerHealth, brokers: Brokers, passes: Pass, answers: str, why: str
):
    passes(0.2)
    brokers.answers = answers
    passes(4, busy=True)
    assert broker_health.trouble == f"Kafka stream s, topic t at h:1: {why}"
    brokers.answers = "well"
    passes(1)
    assert broker_health.trouble is None


def test_a_partition_without_a_leader_is_a_trouble(broker_health: BrokerHealth, brokers: Brokers, passes: Pass):
    passes(0.2)
    brokers.leaders[P1] = -1
    del brokers.highs[P1]
    brokers.highs = {P0: 10, P1: -1001}
    broker_health.doubt("broker 2 is down")
    passes(1)
    assert broker_health.trouble == "broker 2 is down"
    brokers.leaders[P1] = 3
    passes(0.5)
    assert broker_health.trouble is None


def test_nothing_is_asked_before_partitions_are_known(brokers: Brokers, clock: Clock):
    broker_health = BrokerHealth(cast(TopicClient, brokers), cast(OffsetClient, brokers), SPEC, clock)
    broker_health.doubt("connection refused")
    health = broker_health.poll(Reading(frozenset()), busy=False)
    assert (brokers.asked, health.watermarks, health.trouble) == ([], None, None)


@pytest.mark.parametrize("busy", [True, False])
def test_where_partitions_begin_is_known_within_eight_seconds(
    broker_health: BrokerHealth, brokers: Brokers, passes: Pass, *, busy: bool
):
    passes(0.2)
    brokers.low = 7
    passes(8.2, busy=busy)
    assert broker_health.watermarks == {P0: (7, 10), P1: (7, 20)}


def test_messages_after_an_open_transaction_are_named_until_it_ends(
    broker_health: BrokerHealth, brokers: Brokers, passes: Pass
):
    brokers.stable = {P1: 12}
    at = {P0: 10, P1: 12}
    passes(4, positions=at)
    assert (broker_health.trouble, brokers.asked.count("stable")) == (None, 0)
    passes(4, positions=at)
    assert broker_health.trouble is not None
    assert "partition 1: 8 messages wait after an open transaction, since 2" in broker_health.trouble
    assert "last stable offset 12" in broker_health.trouble
    brokers.stable = {}
    passes(0.1, positions={P0: 10, P1: 20})
    assert broker_health.trouble is None
    assert broker_health.stuck is None


def test_what_lasts_is_a_trouble_though_the_brokers_answer(broker_health: BrokerHealth, passes: Pass):
    passes(2 * RENEW_AFTER, positions={P0: 5, P1: 5}, obstacle="a message is too large")
    assert (broker_health.trouble, broker_health.stuck) == ("a message is too large", None)


@pytest.mark.parametrize("answers", ["silence", "no", "out of time"])
def test_clients_that_never_recover_are_given_up_after_a_minute(
    broker_health: BrokerHealth, brokers: Brokers, passes: Pass, answers: str
):
    passes(0.2)
    brokers.answers = answers
    broker_health.doubt("connection refused")
    passes(RENEW_AFTER - 1)
    assert broker_health.stuck is None
    passes(1.2)
    assert broker_health.stuck == "connection refused; no answer for 60 s: replaces its clients"


def test_brokers_that_say_why_are_waited_for(broker_health: BrokerHealth, brokers: Brokers, passes: Pass):
    passes(0.2)
    brokers.answers, brokers.error = "no", KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    passes(2 * RENEW_AFTER)
    assert "Topic authorization failed" in str(broker_health.trouble)
    assert broker_health.stuck is None


def test_a_consumer_that_no_longer_hears_of_messages_is_given_up_after_a_minute(
    broker_health: BrokerHealth, passes: Pass
):
    passes(RENEW_AFTER + 5, positions={P0: 10, P1: 20}, busy=True)
    passes(RENEW_AFTER - 1, positions={P0: 10, P1: 19})
    assert (broker_health.trouble, broker_health.stuck) == (None, None)
    passes(1.2, positions={P0: 10, P1: 19})
    assert broker_health.stuck == (
        "Kafka stream s, topic t at h:1: messages wait and none has come for 60 s: replaces its clients"
    )
    passes(0.1, positions={P0: 10, P1: 20})
    assert broker_health.stuck is None


def test_a_stream_that_is_busy_hears(broker_health: BrokerHealth, passes: Pass):
    passes(2 * RENEW_AFTER, positions={P0: 10, P1: 19}, busy=True)
    assert broker_health.stuck is None
