"""What Kafka's client gives as an offset is one, or an error: nothing else becomes a position."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast
from weakref import WeakValueDictionary

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from sluice.brokers import clients, offset_client
from sluice.brokers.complaints import Complaints
from sluice.brokers.offset_client import BEGIN, END, offset_clients
from sluice.brokers.topic import TopicMetadata
from sluice.brokers.topic_offsets import TopicOffsets
from sluice.errors import BrokerError
from sluice.host.settings import Settings
from sluice.procedures.seek import first_positions
from sluice.values.configuration import Configuration, decode
from sluice.values.model import StreamSpec, Transform
from sluice.values.position import Partition
from tests.unit.partitions import P0, P1

NONE_KNOWN = -1001
"What librdkafka gives where it knows no offset."

TRANSFORM = Transform("/t.py", "", "")
SPEC = StreamSpec("s", "people", "localhost:1", "t", TRANSFORM)
SILENT = "Kafka stream people, topic t, partition 1: its offsets are not known: the broker at localhost:1"
SILENT += " did not answer in time"


class Brokers:
    """A consumer whose answers are given, and that knows an earlier leader until it is asked for metadata."""

    def __init__(self) -> None:
        self.ends = {0: (3, 10), 1: (0, 20)}
        self.at_time = {0: 4, 1: -1}
        self.stale: int | None = None
        self.stale_for = 1
        self.described = 0
        self.gone = ""
        "A topic that is not there, for which librdkafka tells of no other that is asked about with it."
        self.alone: KafkaError | None = None
        "What is said of partition 1 only."

    def offsets_for_times(self, places: list[TopicPartition], *, timeout: float) -> list[TopicPartition]:
        assert timeout > 0
        if any(place.topic == self.gone for place in places):
            raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
        if self.stale is not None:
            raise KafkaException(KafkaError(self.stale))
        return [self._answer(place) for place in places]

    def list_topics(self, topic: str, *, timeout: float) -> None:
        assert topic == "t"
        assert timeout > 0
        self.described += 1
        if self.described == self.stale_for:
            self.stale = self.alone = None

    def _answer(self, place: TopicPartition) -> TopicPartition:
        number, when = place.partition, place.offset
        if self.alone is not None and number == 1:
            return cast(TopicPartition, SimpleNamespace(topic="t", partition=1, offset=when, error=self.alone))
        low, high = self.ends[number]
        return TopicPartition("t", number, {BEGIN: low, END: high}.get(when, self.at_time[number]))


@pytest.fixture(autouse=True)
def nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offset_clients, "_known", WeakValueDictionary())


@pytest.fixture
def brokers(monkeypatch: pytest.MonkeyPatch) -> Brokers:
    made = Brokers()
    monkeypatch.setattr(clients, "make", lambda *_, **__: made)
    monkeypatch.setattr(offset_client, "AGAIN", 0.01)
    return made


def asked(patience: float = 5.0) -> TopicOffsets:
    return TopicOffsets(SPEC, [P0, P1], time.monotonic() + patience)


def refusal(ask: Callable[[], object]) -> str:
    """Why there is no answer; without the error, which would keep alive what it was raised in."""
    try:
        ask()
    except BrokerError as error:
        return str(error)
    pytest.fail("there is an answer")


def test_where_partitions_begin_and_end(brokers: Brokers):
    assert asked().bounds() == {P0: (3, 10), P1: (0, 20)}
    assert asked().at_time(1) == {P0: 4, P1: None}


@pytest.mark.parametrize("ends", [(NONE_KNOWN, 20), (0, NONE_KNOWN), (NONE_KNOWN, NONE_KNOWN), (0, -1)])
def test_bounds_that_are_no_offsets_are_no_answer(brokers: Brokers, ends: tuple[int, int]):
    brokers.ends[1] = ends
    assert refusal(asked().bounds) == SILENT


def test_a_time_that_was_not_answered_is_not_the_end(brokers: Brokers):
    brokers.at_time[1] = NONE_KNOWN
    assert refusal(lambda: asked().at_time(1)) == SILENT


@pytest.mark.parametrize("start", ["latest", "2024-11-22"])
@pytest.mark.parametrize("what", ["ends", "at_time"])
def test_no_start_is_before_the_first_offset(brokers: Brokers, start: str, what: str):
    spec = StreamSpec("s", "people", "localhost:1", "t", TRANSFORM, config=decode("s", f'{{"start": "{start}"}}'))
    assert min(first_positions(spec, [P0, P1], Settings()).values()) >= 0
    brokers.ends[1], brokers.at_time[1] = (NONE_KNOWN, NONE_KNOWN), NONE_KNOWN
    with pytest.raises(BrokerError, match="did not answer in time"):
        first_positions(spec, [P0, P1], Settings())


def test_of_a_partition_that_nobody_answered_for_the_time_is_no_offset(brokers: Brokers):
    brokers.at_time[1] = 1_700_000_000_000
    assert refusal(lambda: asked().at_time(1_700_000_000_000)) == SILENT


def test_one_partition_without_an_answer_keeps_no_other_from_one(brokers: Brokers):
    brokers.alone, brokers.stale_for = KafkaError(KafkaError.LEADER_NOT_AVAILABLE), 0
    told = offset_clients.get("people", "localhost:1", Configuration()).ask([P0, P1], END, 0.1)
    assert told[P0].result(5) == 10
    with pytest.raises(KafkaException, match="Leader not available"):
        told[P1].result(5)
    assert brokers.described > 0


def test_a_topic_that_is_gone_keeps_no_other_from_an_answer(brokers: Brokers):
    brokers.gone = "users"
    users = Partition("users", 0)
    told = offset_clients.get("people", "localhost:1", Configuration()).ask([P0, users], END, 5.0)
    assert told[P0].result(5) == 10
    with pytest.raises(KafkaException, match="Unknown topic or partition"):
        told[users].result(5)


def test_whoever_asked_hears_of_a_client_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch):
    def make(*_: object, **__: object) -> None:
        raise BrokerError("Kafka stream people, cannot use the config: no")

    monkeypatch.setattr(clients, "make", make)
    assert refusal(asked().bounds) == "Kafka stream people, cannot use the config: no"
    gc.collect()


def test_its_threads_end_when_nobody_has_the_client_any_more(brokers: Brokers):
    client = offset_clients.get("people", "localhost:1", Configuration())
    assert client.ask([P0], END, 5.0)[P0].result(5) == 10
    assert offset_clients.get("others", "localhost:1", Configuration()) is client
    [thread] = threads = [one for one in threading.enumerate() if one.name.startswith("sluice-offsets")]
    del client
    thread.join(5)
    assert not thread.is_alive(), threads


@pytest.mark.parametrize("code", sorted(offset_client.STALE | {KafkaError._UNKNOWN_PARTITION}))
@pytest.mark.parametrize("ask", [TopicOffsets.bounds, lambda topic: topic.at_time(1)])
def test_a_client_that_knows_an_earlier_leader_is_made_to_ask(
    brokers: Brokers, code: int, ask: Callable[[TopicOffsets], object]
):
    expected = ask(asked())
    brokers.stale, brokers.stale_for = code, 3
    assert ask(asked()) == expected
    assert brokers.described == 3


def test_a_leader_that_stays_unknown_is_an_error_in_time(brokers: Brokers):
    brokers.stale, brokers.stale_for = KafkaError.FENCED_LEADER_EPOCH, 0
    why = "partition 0: its offsets are not known: Broker: Leader epoch is older"
    assert why in refusal(asked(0.2).bounds)


@pytest.mark.parametrize("told", [None, (NONE_KNOWN, NONE_KNOWN), (0, -1)])
def test_watermarks_that_are_no_offsets_are_no_answer(told: tuple[int, int] | None):
    client: Any = SimpleNamespace(get_watermark_offsets=lambda *_, **__: told)
    with pytest.raises(BrokerError, match="topic t, partition 1: the broker at localhost:1 did not answer in time"):
        TopicMetadata(client, SPEC, 1.0, Complaints(SPEC), lambda: None).watermarks(P1)
