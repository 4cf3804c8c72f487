"""Partitions whose leader changes: nobody notices but the brokers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sandbox.mock_broker import MockBroker
from tests.eventually import eventually
from tests.integration.configured import Configured, started
from tests.integration.test_kit import VALUES, Run, numbers
from tests.kafka import KafkaBroker, KafkaCluster, Topics
from tests.logs import LogKeeper

TURNS = 6


@pytest.fixture
def mock_cluster() -> Iterator[MockBroker]:
    """Three of librdkafka's own brokers."""
    with MockBroker(brokers=3) as brokers:
        yield brokers


@pytest.fixture
def cluster(tmp_path: Path, log_keeper: LogKeeper) -> Iterator[KafkaCluster]:
    """Three nodes of Apache Kafka."""
    cluster = KafkaCluster(tmp_path / "cluster")
    with ExitStack() as cleaning:
        for node in cluster.nodes:
            cleaning.enter_context(log_keeper.watching(f"node-{node.node_id}", node))
        cleaning.callback(cluster.kill)
        cluster.start()
        yield cluster


def test_a_stream_follows_the_leader_from_broker_to_broker(
    run: Run, mock_cluster: MockBroker, tmp_path: Path, new_stream_name: Callable[[], str]
) -> None:
    name = new_stream_name()
    topic = mock_cluster.create_topic(f"of-{name}", partitions=1)
    # A broker like any other, but that its topics are made in another way.
    brokers: Any = SimpleNamespace(bootstrap=mock_cluster.bootstrap, topics=Topics(mock_cluster.bootstrap))
    stream = started(Configured(run, brokers, tmp_path, name, topic=topic))
    for turn in range(TURNS):
        count = 10 + 500 * turn
        feeding = threading.Thread(target=stream.send, args=(numbers(count, count + 500),))
        feeding.start()
        mock_cluster.move_leader(topic, 0, 1 + turn % 3)
        feeding.join()
    stream.await_values(numbers(0, 10 + 500 * TURNS), timeout=40)
    stream.await_no_reason()
    assert stream.status == "running"


@pytest.mark.soak
@pytest.mark.faults
def test_a_stream_outlasts_every_leader_that_is_killed(
    run: Run, cluster: KafkaCluster, tmp_path: Path, new_stream_name: Callable[[], str]
) -> None:
    topic = cluster.topics.create(replicas=3)
    brokers: Any = cluster
    stream = started(Configured(run, brokers, tmp_path, new_stream_name(), topic=topic))
    count = 10
    for _ in range(3):
        feeding = threading.Thread(target=stream.send, args=(numbers(count, count + 2000),))
        feeding.start()
        leader = cluster.leader(topic)
        leader.kill()
        feeding.join()
        count += 2000
        stream.await_values(numbers(0, count), timeout=60)
        eventually(partial(_has_another_leader, cluster, topic, leader), timeout=20)
        assert stream.status == "running"
        leader.start()
    assert stream.errors() == []


@pytest.mark.soak
@pytest.mark.faults
@pytest.mark.parametrize("messages", [10, 0], ids=["read", "empty"])
def test_a_topic_that_is_recreated_with_a_lower_leader_epoch_is_read(
    run: Run, cluster: KafkaCluster, tmp_path: Path, new_stream_name: Callable[[], str], messages: int
) -> None:
    topic = cluster.topics.create(replicas=3)
    for _ in range(3):  # its leader epoch gets higher each time
        leader = cluster.leader(topic)
        leader.kill()
        eventually(partial(_has_another_leader, cluster, topic, leader), timeout=20)
        leader.start()
    brokers: Any = cluster
    stream = Configured(run, brokers, tmp_path, new_stream_name(), topic=topic)
    stream.configured({"on_gap": "skip"}, VALUES)
    if messages:
        stream.send(numbers(0, messages))
    stream.start()
    stream.await_values(numbers(0, messages))
    eventually(lambda: sum(stream.info["positions"].values()), equals=messages)
    before = cluster.leader(topic)
    others = [node.node_id for node in cluster.nodes if node is not before]
    cluster.topics.delete(topic)
    eventually(lambda: topic not in cluster.topics.names(), timeout=20)
    cluster.topics.create(topic, nodes=[*others, before.node_id])
    stream.send(numbers(100, 150))
    stream.await_values([*numbers(0, messages), *numbers(100, 150)], timeout=60)
    stream.await_no_reason()


def _has_another_leader(cluster: KafkaCluster, topic: str, leader: KafkaBroker) -> bool:
    return cluster.leader(topic) is not leader
