"""Streams that get no messages give their consumers up, miss nothing, and are as quick to see as others."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.eventually import eventually, within
from tests.hosts import ServerHost
from tests.integration.configured import Configured
from tests.integration.test_kafka_surprises import Transactions
from tests.integration.test_kit import OwnHost, numbers
from tests.kafka import KafkaBroker

SOON = {"SLUICE_REST_AFTER": "0.2", "SLUICE_TOPIC_INTERVAL": "1"}

NewStream = Callable[..., Configured]


@pytest.fixture
def host(own_host: OwnHost) -> ServerHost:
    return own_host(SOON)


@pytest.fixture
def new_stream(host: ServerHost, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]) -> NewStream:
    return lambda broker=kafka, **where: Configured(host.run, broker, tmp_path, new_stream_name(), **where)


def clients(host: ServerHost) -> int:
    """How many clients of librdkafka the server has: each has one main thread."""
    names = [path.read_text().strip() for path in Path(f"/proc/{host.pid}/task").glob("*/comm")]
    return names.count("rdk:main")


def await_rest(host: ServerHost) -> None:
    """All streams rest: what is left is the two clients that they ask by, and the watch."""
    eventually(lambda: clients(host), equals=3, timeout=20)


def test_resting_streams_have_one_consumer_together_and_read_what_comes(
    host: ServerHost, new_stream: NewStream
) -> None:
    topic = new_stream().topic
    streams = [new_stream(topic=topic), new_stream(topic=topic), new_stream()]
    for stream in streams:
        stream.configured(None)
        stream.start()
    for begin in (0, 10, 20):
        for stream in (streams[0], streams[2]):  # two of them read the same
            stream.send(numbers(begin, begin + 10))
        for stream in streams:
            stream.await_values(numbers(0, begin + 10))
            stream.await_no_reason()
        await_rest(host)
    streams[1].stop()
    streams[0].send(numbers(30, 40))
    streams[0].await_values(numbers(0, 40))
    streams[1].start()  # further back than the others by now
    streams[1].await_values(numbers(0, 40))
    await_rest(host)
    for stream in streams:
        stream.stop()
    eventually(lambda: clients(host), equals=0)
    assert [stream.info["messages"] for stream in streams] == [40, 40, 30]


def test_what_becomes_of_a_topic_is_noticed_at_rest(host: ServerHost, new_stream: NewStream) -> None:
    stream = new_stream()
    stream.configured(None)
    stream.send(numbers(0, 5))
    stream.start()
    stream.await_values(numbers(0, 5))
    await_rest(host)
    stream.kafka.topics.add_partitions(stream.topic, 2)
    stream.send(numbers(5, 10), partition=1)
    stream.await_values(numbers(0, 10))
    await_rest(host)
    stream.kafka.topics.delete(stream.topic)
    stream.await_reason("does not exist at")
    stream.kafka.topics.create(stream.topic, partitions=2)
    stream.await_status("error")
    assert "was deleted and recreated" in stream.info["reason"]


def test_a_broker_that_goes_is_seen_at_rest_and_what_comes_later_is_read(
    host: ServerHost, new_stream: NewStream, own_kafka: Callable[[], KafkaBroker]
) -> None:
    stream = new_stream(own_kafka())
    stream.configured(None)
    stream.send(numbers(0, 5))
    stream.start()
    stream.await_values(numbers(0, 5))
    await_rest(host)
    stream.kafka.kill()
    stream.await_reason("broker unreachable at", timeout=3)
    assert stream.status == "running"
    stream.kafka.start()
    stream.await_no_reason(timeout=3)
    stream.send(numbers(5, 10))
    stream.await_values(numbers(0, 10))
    await_rest(host)
    began = time.monotonic()
    stream.stop()
    eventually(lambda: clients(host), equals=0)
    assert within(2, began)


def test_a_stream_of_transactions_rests_and_reads_on(host: ServerHost, new_stream: NewStream) -> None:
    stream = new_stream()
    stream.configured(None)
    stream.start()
    producer = Transactions(stream)
    for count in (1, 2):
        producer.send(numbers(count - 1, count))
        producer.send(["aborted"], commits=False)
        stream.await_count(count)
        await_rest(host)
    assert (stream.info["positions"], stream.values) == ({"0": 8}, numbers(0, 2))
