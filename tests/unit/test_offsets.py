"""What Kafka's client gives as an offset is one, or an error: nothing else becomes a position."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import OffsetSpec

from sluice.brokers import clients, offsets
from sluice.brokers.complaints import Complaints
from sluice.brokers.offsets import TopicOffsets
from sluice.brokers.topic import TopicMetadata
from sluice.errors import BrokerError
from sluice.host.settings import Settings
from sluice.procedures.seek import first_positions
from sluice.values.configuration import decode
from sluice.values.model import StreamSpec, Transform
from tests.unit.partitions import P0, P1

NONE_KNOWN = -1001
"What librdkafka gives where it knows no offset."

TRANSFORM = Transform("/t.py", "", "")
SPEC = StreamSpec("s", "people", "localhost:1", "t", TRANSFORM)
SILENT = "Kafka stream people, topic t, partition 1: its offsets are not known: the broker at localhost:1"
SILENT += " did not answer in time"


class Brokers:
    """An admin client whose answers are given, and that knows an earlier leader until it is asked for metadata."""

    def __init__(self) -> None:
        self.ends = {0: (3, 10), 1: (0, 20)}
        self.at_time = {0: 4, 1: -1}
        self.stale: int | None = None
        self.stale_for = 1
        self.described = 0

    def list_offsets(self, places: dict[TopicPartition, OffsetSpec], **_: Any) -> dict[TopicPartition, Future[Any]]:
        return {place: self._answer(place.partition, spec) for place, spec in places.items()}

    def describe_topics(self, topics: TopicCollection, **_: Any) -> dict[str, Future[Any]]:
        self.described += 1
        if self.described == self.stale_for:
            self.stale = None
        future: Future[Any] = Future()
        future.set_result(None)
        return {"t": future}

    def _answer(self, partition: int, spec: OffsetSpec) -> Future[Any]:
        future: Future[Any] = Future()
        if self.stale is not None:
            future.set_exception(KafkaException(KafkaError(self.stale)))
            return future
        low, high = self.ends[partition]
        named = {OffsetSpec.earliest()._value: low, OffsetSpec.latest()._value: high}
        future.set_result(SimpleNamespace(offset=named.get(spec._value, self.at_time[partition])))
        return future


@pytest.fixture
def brokers(monkeypatch: pytest.MonkeyPatch) -> Brokers:
    made = Brokers()
    monkeypatch.setattr(clients, "admin", lambda *_: made)
    monkeypatch.setattr(offsets, "AGAIN", 0.01)
    return made


def asked(patience: float = 5.0) -> TopicOffsets:
    return TopicOffsets(SPEC, [P0, P1], time.monotonic() + patience)


def test_where_partitions_begin_and_end(brokers: Brokers):
    assert asked().bounds() == {P0: (3, 10), P1: (0, 20)}
    assert asked().at_time(1) == {P0: 4, P1: None}


@pytest.mark.parametrize("ends", [(NONE_KNOWN, 20), (0, NONE_KNOWN), (NONE_KNOWN, NONE_KNOWN), (0, -1)])
def test_bounds_that_are_no_offsets_are_no_answer(brokers: Brokers, ends: tuple[int, int]):
    brokers.ends[1] = ends
    with pytest.raises(BrokerError) as caught:
        asked().bounds()
    assert str(caught.value) == SILENT


def test_a_time_that_was_not_answered_is_not_the_end(brokers: Brokers):
    brokers.at_time[1] = NONE_KNOWN
    with pytest.raises(BrokerError) as caught:
        asked().at_time(1)
    assert str(caught.value) == SILENT


@pytest.mark.parametrize("start", ["latest", "2024-11-22"])
@pytest.mark.parametrize("what", ["ends", "at_time"])
def test_no_start_is_before_the_first_offset(brokers: Brokers, start: str, what: str):
    spec = StreamSpec("s", "people", "localhost:1", "t", TRANSFORM, config=decode("s", f'{{"start": "{start}"}}'))
    assert min(first_positions(spec, [P0, P1], Settings()).values()) >= 0
    brokers.ends[1], brokers.at_time[1] = (NONE_KNOWN, NONE_KNOWN), NONE_KNOWN
    with pytest.raises(BrokerError, match="did not answer in time"):
        first_positions(spec, [P0, P1], Settings())


@pytest.mark.parametrize("code", sorted(offsets.STALE))
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
    with pytest.raises(BrokerError, match="partition 0: its offsets are not known: Broker: Leader epoch is older"):
        asked(0.2).bounds()


@pytest.mark.parametrize("told", [None, (NONE_KNOWN, NONE_KNOWN), (0, -1)])
def test_watermarks_that_are_no_offsets_are_no_answer(told: tuple[int, int] | None):
    client: Any = SimpleNamespace(get_watermark_offsets=lambda *_, **__: told)
    with pytest.raises(BrokerError, match="topic t, partition 1: the broker at localhost:1 did not answer in time"):
        TopicMetadata(client, SPEC, 1.0, Complaints(SPEC), lambda: None).watermarks(P1)
