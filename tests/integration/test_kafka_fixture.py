"""The broker that the other tests stand on: it keeps what it was given, and it would make a topic if asked wrongly."""

from __future__ import annotations

import socket
import struct
import uuid
from collections.abc import Callable
from contextlib import closing

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient

from sandbox.mock_broker import MockBroker, MockBrokerError
from tests.eventually import eventually
from tests.kafka import KafkaBroker, Topics

MakeTopic = Callable[..., str]
StartBroker = Callable[[], KafkaBroker]


def settings(bootstrap: str, **more: object) -> dict[str, object]:
    return {"bootstrap.servers": bootstrap, "group.id": "asks", "enable.auto.commit": False, **more}


def test_a_message_comes_back_as_it_was_sent(topics: Topics, make_topic: MakeTopic) -> None:
    topic = make_topic()
    places = topics.produce(topic, ["1", b"\xff\x00", "", None], key="k")
    assert places == [(0, 0), (0, 1), (0, 2), (0, 3)]
    assert [(message.key, message.value) for message in topics.read(topic)] == [
        (b"k", b"1"),
        (b"k", b"\xff\x00"),
        (b"k", b""),
        (b"k", None),
    ]


def test_a_topic_has_the_partitions_and_the_settings_it_was_given(kafka: KafkaBroker, make_topic: MakeTopic) -> None:
    topic = make_topic(partitions=3, config={"message.timestamp.type": "LogAppendTime"})
    kafka.topics.produce(topic, ["a", "b"], partition=2)
    assert [kafka.topics.watermarks(topic, partition) for partition in range(3)] == [(0, 0), (0, 0), (0, 2)]
    kafka.topics.add_partitions(topic, 4)
    assert kafka.topics.partitions(topic) == [0, 1, 2, 3]


def test_the_broker_has_the_features_that_its_release_has_by_default(kafka: KafkaBroker) -> None:
    request = struct.pack(">hhih", 18, 3, 1, -1) + b"\x00\x02t\x021\x00"  # ApiVersions, version 3, of the client t 1
    host, port = kafka.bootstrap.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection, connection.makefile("rb") as answers:
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = answers.read(struct.unpack(">i", answers.read(4))[0])
    levels = {}
    for name in (b"transaction.version", b"group.version"):
        end = answer.rindex(name) + len(name)  # those that are in force come after those that are supported
        levels[name] = struct.unpack(">hh", answer[end : end + 4])
    assert levels == {b"transaction.version": (2, 2), b"group.version": (1, 1)}


def test_asking_for_an_unknown_topic_makes_it_unless_the_client_says_no(kafka: KafkaBroker) -> None:
    politely, carelessly = f"politely-{uuid.uuid4().hex}", f"carelessly-{uuid.uuid4().hex}"
    with closing(Consumer(settings(kafka.bootstrap, **{"allow.auto.create.topics": False}))) as consumer:
        error = consumer.list_topics(politely, timeout=10).topics[politely].error
        assert error is not None
        assert error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    with closing(Consumer(settings(kafka.bootstrap, **{"allow.auto.create.topics": True}))) as consumer:
        consumer.list_topics(carelessly, timeout=10)
    eventually(lambda: carelessly in kafka.topics.names())
    assert politely not in kafka.topics.names()


def test_committed_offsets_and_groups_are_seen(topics: Topics, make_topic: MakeTopic, kafka: KafkaBroker) -> None:
    topic, group = make_topic(partitions=2), f"group-{uuid.uuid4().hex}"
    assert topics.committed(group, topic) == {}
    assert group not in topics.groups()
    with closing(Consumer(settings(kafka.bootstrap, **{"group.id": group}))) as consumer:
        consumer.commit(offsets=[TopicPartition(topic, 1, 7)], asynchronous=False)
    assert topics.committed(group, topic) == {1: 7}
    assert group in topics.groups()


@pytest.mark.soak  # every test that breaks a broker rests on it and shows it
def test_messages_outlast_a_restart_a_kill_and_a_pause_at_the_same_address(own_kafka: StartBroker) -> None:
    broker = own_kafka()
    topic = broker.topics.create()
    address = broker.bootstrap

    broker.topics.produce(topic, ["before the restart"])
    broker.restart()
    broker.topics.produce(topic, ["before the kill"])
    broker.kill()
    assert not broker.running
    broker.start()
    broker.topics.produce(topic, ["before the pause"])
    broker.pause()
    with pytest.raises(Exception, match="Failed to get metadata"):
        AdminClient({"bootstrap.servers": broker.bootstrap}).list_topics(timeout=0.5)
    broker.resume()

    assert broker.bootstrap == address
    assert [message.value for message in broker.topics.read(topic)] == [
        b"before the restart",
        b"before the kill",
        b"before the pause",
    ]
    assert "Kafka Server started" in broker.log_text()


def test_the_mock_broker_keeps_messages_until_it_stops_and_can_be_away(mock_kafka: MockBroker) -> None:
    topics = Topics(mock_kafka.bootstrap)
    mock_kafka.create_topic("two", partitions=2)
    topics.produce("two", ["a", "b"], partition=1)
    mock_kafka.set_down()
    mock_kafka.set_up()
    assert topics.partitions("two") == [0, 1]
    assert [message.value for message in topics.read("two")] == [b"a", b"b"]
    with pytest.raises(MockBrokerError, match="Topic already exists"):
        mock_kafka.create_topic("two")
