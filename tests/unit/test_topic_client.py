"""A client that is asked for topics, and how it ends."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaException, TopicCollection

from sluice.brokers import topic_client
from sluice.brokers.topic_client import TopicClient
from tests.eventually import eventually


class Slow:
    """An admin client that answers when it is told to."""

    made: list[weakref.ref[Slow]]
    asked: list[Future[Any]]
    ended_in: list[str]

    def __init__(self, _settings: dict[str, Any]) -> None:
        self.made.append(weakref.ref(self))

    def __del__(self) -> None:
        self.ended_in.append(threading.current_thread().name)

    def describe_topics(self, topics: TopicCollection, *, request_timeout: float) -> dict[str, Future[Any]]:
        assert request_timeout == 2.0
        self.asked.append(Future())
        return {"t": self.asked[-1]}


@pytest.fixture(autouse=True)
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Slow]]:
    Slow.made, Slow.asked, Slow.ended_in = [], [], []
    monkeypatch.setattr(topic_client, "AdminClient", Slow)
    yield Slow
    eventually(lambda: Slow.made[0]() is None)
    assert "MainThread" not in Slow.ended_in


def test_a_client_with_open_questions_ends_when_the_last_is_answered(slow: type[Slow]) -> None:
    client = TopicClient({})
    told = [client.describe_topics({"t"}, 2.0)["t"] for _ in range(3)]
    slow.asked[1].set_result("found")
    assert told[1].result() == "found"
    del client
    slow.asked[0].set_result("found")
    assert not _ends(slow)
    slow.asked[2].set_exception(KafkaException("out of time"))
    assert _ends(slow)


def test_a_client_without_open_questions_ends_with_the_last_stream(slow: type[Slow]) -> None:
    client = TopicClient({})
    client.describe_topics({"t"}, 2.0)
    slow.asked[0].set_result("found")
    assert not _ends(slow)
    del client
    assert _ends(slow)


def _ends(slow: type[Slow]) -> bool:
    """Whether the client's thread, which is all that keeps it, ends within a moment."""
    for thread in threading.enumerate():
        if thread.name == "sluice-topics":
            thread.join(0.2 if slow.made[0]() is not None else 10)
    return slow.made[0]() is None
