"""The clients that streams share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import confluent_kafka
import pytest
from confluent_kafka import IsolationLevel

from sluice.brokers import offset_client
from sluice.brokers.idle_watcher import IdleWatcher
from sluice.brokers.topic_client import topic_clients
from sluice.values.configuration import Configuration, decode
from sluice.values.model import StreamSpec, Transform


def test_streams_share_a_topic_client_until_one_gives_it_up():
    shared = topic_clients.get("a", "localhost:1", Configuration())
    assert topic_clients.get("b", "localhost:1", Configuration()) is shared
    assert topic_clients.get("b", "localhost:2", Configuration()) is not shared
    topic_clients.forget(shared)
    new = topic_clients.get("a", "localhost:1", Configuration())
    assert new is not shared
    topic_clients.forget(shared)  # another stream gives it up a moment later
    assert topic_clients.get("b", "localhost:1", Configuration()) is new


def consumers(config: Configuration) -> Iterator[confluent_kafka.Consumer]:
    spec = StreamSpec("u", "s", "localhost:1", "t", Transform("/t.py", "", ""), config=config)
    yield IdleWatcher((spec.uri, spec.config.kafka), spec, 1.0)._client()
    for isolation in IsolationLevel:
        yield offset_client._offset_client(spec.name, spec.uri, config)._consumer(isolation)


@pytest.mark.parametrize(
    "properties",
    [
        "{}",
        '{"receive.message.max.bytes": 1100000}',
        '{"message.max.bytes": 4000000}',
        '{"message.max.bytes": 4000000, "receive.message.max.bytes": 5000000}',
        '{"fetch.max.bytes": 2000000, "receive.message.max.bytes": 2100000}',
    ],
)
def test_what_a_stream_may_read_with_its_watch_and_its_questions_may_have_too(properties: str):
    for consumer in consumers(decode("s", properties)):
        with closing(consumer):
            assert consumer.assignment() == []
