"""A stream whose clients of Kafka never recover gets others."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError

from sluice.brokers import clients
from sluice.brokers.complaints import Complaints
from sluice.engine import session
from sluice.engine.broker_health import RENEW_AFTER, BrokerHealth
from sluice.engine.session import StreamSession
from sluice.errors import BrokerUnreachable
from sluice.values.model import Checkpoint, StreamSpec, Transform

SPEC = StreamSpec("u", "people", "localhost:1", "t", Transform("/t.py", "", ""))


class Deaf:
    """An admin client that never answers, whatever has become of its brokers."""

    def list_offsets(self, places: dict[Any, Any], **_: Any) -> dict[Any, Future[Any]]:
        return {place: Future() for place in places}

    def describe_topics(self, *_: Any, **__: Any) -> dict[str, Future[Any]]:
        return {"t": Future()}


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Two sessions over the same admin client, and the time."""
    monkeypatch.setattr(clients, "make", lambda *_, **__: Deaf())
    clock = SimpleNamespace(now=100.0)
    sessions: list[Any] = []
    for _ in range(2):
        made: Any = StreamSession.__new__(StreamSession)
        made._spec, made._watermarks, made._lost, made._next_ends = SPEC, None, False, 0.0
        made._wants_stop = lambda: False
        health = BrokerHealth(
            clients.admin("people", SPEC.uri, SPEC.config), "t", "Kafka stream people", lambda: clock.now
        )
        made._broker_health, made._applier = health, SimpleNamespace(held=Checkpoint({0: 5}))
        made._consumer = SimpleNamespace(complaints=Complaints(SPEC), assigned=frozenset({0}), ends=dict)
        made._listener = SimpleNamespace(pulse=lambda: None, trouble=lambda _: None, failed=lambda *_: None)
        sessions.append(made)
    return SimpleNamespace(clock=clock, sessions=sessions)


def test_clients_that_never_recover_are_replaced_once_for_all_streams(streams: SimpleNamespace):
    shared = clients.admin("people", SPEC.uri, SPEC.config)
    for made in streams.sessions:
        made._consumer.complaints.note(KafkaError(KafkaError._TRANSPORT, "Disconnected"))
        made._look(busy=False)
    for _ in range(round(RENEW_AFTER) - 1):
        streams.clock.now += 1
        for made in streams.sessions:
            made._look(busy=False)
    assert clients.admin("people", SPEC.uri, SPEC.config) is shared
    streams.clock.now += 1.5
    first, second = streams.sessions
    text = "Disconnected; no answer for 60 s: replaces its clients$"
    with pytest.raises(BrokerUnreachable, match=text):
        first._look(busy=False)
    renewed = clients.admin("people", SPEC.uri, SPEC.config)
    assert renewed is not shared
    with pytest.raises(BrokerUnreachable, match=text):
        second._look(busy=False)
    assert clients.admin("people", SPEC.uri, SPEC.config) is renewed


def test_a_stream_that_cannot_begin_gets_other_clients_as_well(streams: SimpleNamespace, monkeypatch):
    made = streams.sessions[0]
    shared = clients.admin("people", SPEC.uri, SPEC.config)
    monkeypatch.setattr(session, "time", SimpleNamespace(monotonic=lambda: streams.clock.now))
    tries = []

    def begin() -> None:
        streams.clock.now += 0.5
        tries.append(streams.clock.now)
        raise BrokerUnreachable("Connection refused")

    made._guard = SimpleNamespace(begin=begin)
    with pytest.raises(BrokerUnreachable, match="Connection refused; replaces its clients"):
        made._begin()
    assert len(tries) == 2 * RENEW_AFTER
    assert clients.admin("people", SPEC.uri, SPEC.config) is not shared
