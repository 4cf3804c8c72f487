"""A stream whose clients of Kafka never recover gets others."""

from __future__ import annotations

import weakref
from concurrent.futures import Future
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from sluice.brokers import clients
from sluice.brokers.offset_client import OffsetClient, offset_clients
from sluice.brokers.topic_client import TopicClient, topic_clients
from sluice.engine import loop
from sluice.engine.broker_health import RENEW_AFTER, BrokerHealth, Reading
from sluice.engine.topic_guard import TopicIdentity
from sluice.errors import BrokerUnreachable
from sluice.values.configuration import Configuration
from sluice.values.position import Partition
from tests.unit.engine.fakes import FakeRun, Server, Topic, good
from tests.unit.engine.test_loop import Stream
from tests.unit.partitions import P0

SPEC = FakeRun().run.spec


class Deaf:
    """A client that never answers, whatever has become of its brokers."""

    def ask(self, partitions: list[Partition], *_: object) -> dict[Partition, Future[int]]:
        return {partition: Future() for partition in partitions}

    def describe_topics(self, *_: Any, **__: Any) -> dict[str, Future[Any]]:
        return {"t": Future()}


@pytest.fixture(autouse=True)
def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "make", lambda *_, **__: Deaf())
    monkeypatch.setattr(offset_clients, "_new", lambda *_: Deaf())


@pytest.fixture
def clock() -> SimpleNamespace:
    return SimpleNamespace(now=100.0)


BROKERS = ("people", "localhost:1", Configuration())


def admin() -> TopicClient:
    return topic_clients.get(*BROKERS)


def offsets() -> OffsetClient:
    return offset_clients.get(*BROKERS)


def stream_at(clock: SimpleNamespace, topic: Topic) -> Stream:
    """A stream with the admin client that there is now."""
    health = BrokerHealth(admin(), offsets(), SPEC, lambda: clock.now)
    return Stream(topic, Server(), health=health)


def test_clients_that_never_recover_are_replaced_once_for_all_streams(clock: SimpleNamespace) -> None:
    shared, asked = admin(), offsets()
    first, second = streams = [stream_at(clock, Topic(p0=good(3))) for _ in range(2)]

    def pass_by() -> None:
        assert admin() is shared, "not before its time"
        clock.now += 1

    first.then(lambda: first.source.complaints.note("Disconnected"), *[pass_by] * (round(RENEW_AFTER) + 1))
    second.then(lambda: second.source.complaints.note("Disconnected"), lambda: vars(clock).update(now=clock.now + 61))
    renewed = None
    for stream in streams:
        with pytest.raises(BrokerUnreachable, match="^Disconnected; no answer for 60 s: replaces its clients$"):
            stream.go()
        assert stream.server.applied == good(3)
        renewed = renewed or admin()
        assert renewed is not shared
        assert offsets() is not asked
        assert admin() is renewed


def test_a_stream_that_cannot_begin_gets_other_clients_as_well(
    clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: clock.now))
    shared, topic, tries = admin(), Topic(p0=good(3)), []

    def partitions(**_: object) -> frozenset[Partition]:
        clock.now += 0.5
        tries.append(clock.now)
        raise BrokerUnreachable("Connection refused")

    topic.partitions = partitions  # type: ignore[method-assign]
    with pytest.raises(BrokerUnreachable, match="^Connection refused; replaces its clients$"):
        stream_at(clock, topic).go()
    assert len(tries) == 2 * RENEW_AFTER
    assert admin() is not shared


def test_what_is_closed_lets_go_of_the_client_that_it_asked() -> None:
    stream, client = Stream(Topic(p0=good(3)), Server()), admin()
    health = BrokerHealth(client, offsets(), SPEC)
    identity = TopicIdentity(replace(stream.run.spec, uri="localhost:1"), timeout=1)
    identity.ask(["t"])
    health.poll(Reading(frozenset({P0})), busy=False)
    gone = weakref.ref(client)
    del client
    health.close()
    assert gone() is not None
    identity.close()
    assert gone() is None


def test_what_holds_a_stream_up_though_brokers_answer_is_its_trouble_until_it_is_over() -> None:
    stream = Stream(Topic(p0=good(3)), Server())

    def meet(obstacle: str | None) -> None:
        stream.source.complaints.obstacle = obstacle

    stream.then(lambda: meet("too large"), lambda: meet(None), lambda: None).go()
    assert "too large" in stream.status.troubles
    assert stream.status.troubles[-1] is None
