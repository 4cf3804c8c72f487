"""What Kafka's own tools see of a stream: the position of its group, and nothing that the stream depends on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from tests.eventually import eventually
from tests.integration.test_kit import Run, Stream, numbers
from tests.kafka import KafkaBroker


@pytest.fixture
def stream(run: Run, kafka: KafkaBroker, tmp_path: Path, stream_name: str) -> Stream:
    return Stream(run, kafka, tmp_path, stream_name, partitions=2)


@pytest.fixture
def committed(stream: Stream) -> Callable[[], dict[int, int]]:
    """The positions of the stream's group on the broker."""
    return lambda: stream.kafka.topics.committed(f"sluice.{stream.name}", stream.topic)


def test_the_group_of_a_stream_shows_its_position(stream: Stream, committed: Callable[[], dict[int, int]]) -> None:
    stream.create()
    stream.start()
    stream.send(numbers(0, 7), partition=0)
    stream.await_count(7)
    eventually(committed, equals={0: 7})
    stream.send(numbers(7, 12), partition=1)
    stream.await_count(12)
    eventually(committed, equals={0: 7, 1: 5})


def test_the_group_shows_the_last_position_after_a_stop_and_after_a_limit(
    stream: Stream, committed: Callable[[], dict[int, int]]
) -> None:
    stream.send(numbers(0, 20), partition=0)
    stream.create(size=5)
    stream.start(limit=2)
    stream.await_status("stopped")
    eventually(committed, equals={0: 10})
    stream.start()
    stream.await_count(20)
    stream.stop()
    eventually(committed, equals={0: 20})


def test_the_group_has_no_members(stream: Stream, committed: Callable[[], dict[int, int]], kafka: KafkaBroker) -> None:
    stream.send(["1"], partition=0)
    stream.create()
    stream.start()
    eventually(committed, equals={0: 1})
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    (answer,) = admin.describe_consumer_groups([f"sluice.{stream.name}"], request_timeout=10).values()
    assert answer.result(10).members == []


def test_a_stream_goes_on_from_the_graph_whatever_its_group_says(
    stream: Stream, committed: Callable[[], dict[int, int]]
) -> None:
    stream.send(numbers(0, 10), partition=0)
    stream.create()
    stream.start()
    stream.await_count(10)
    eventually(committed, equals={0: 10})
    stream.drop()
    stream.label = f"{stream.label}_again"
    stream.create()
    stream.start()
    stream.await_values(numbers(0, 10))
