"""The fixtures for brokers and topics. Without Java or Maven they fail: a skipped broker would prove nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sandbox.mock_broker import MockBroker
from tests.kafka.broker import NEVER_KILLED, KafkaBroker
from tests.kafka.topics import Topics
from tests.logs import LogKeeper


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory, log_keeper: LogKeeper) -> Iterator[KafkaBroker]:
    """The Apache Kafka that all tests share; it makes topics that it is asked for, unless the client says no."""
    folder = tmp_path_factory.mktemp("kafka")
    broker = KafkaBroker(folder, NEVER_KILLED)
    with log_keeper.watching("kafka", broker):
        broker.start()
        yield broker
        broker.kill()
    shutil.rmtree(folder / "data", ignore_errors=True)


@pytest.fixture
def own_kafka(tmp_path: Path, log_keeper: LogKeeper) -> Iterator[Callable[[], KafkaBroker]]:
    """Starts an Apache Kafka for this test alone, which may kill it; about three seconds each."""
    with ExitStack() as cleaning:
        count = 0

        def start() -> KafkaBroker:
            nonlocal count
            count += 1
            folder = tmp_path / f"kafka-{count}"
            broker = KafkaBroker(folder)
            cleaning.enter_context(log_keeper.watching(folder.name, broker))
            cleaning.callback(shutil.rmtree, folder / "data", ignore_errors=True)
            cleaning.callback(broker.kill)
            broker.start()
            return broker

        yield start


@pytest.fixture(scope="session")
def mock_kafka() -> Iterator[MockBroker]:
    """librdkafka's own broker: there at once, and enough for whatever needs no real one."""
    with MockBroker() as broker:
        yield broker


@pytest.fixture
def make_topic(kafka: KafkaBroker) -> Callable[..., str]:
    """`make_topic(partitions=1, config=None)` creates a fresh topic on the shared broker and returns its name."""

    def create(partitions: int = 1, config: dict[str, str] | None = None) -> str:
        return kafka.topics.create(partitions=partitions, config=config)

    return create


@pytest.fixture
def produce(kafka: KafkaBroker) -> Callable[..., list[tuple[int, int]]]:
    """`Topics.produce` of the shared broker."""
    return kafka.topics.produce


@pytest.fixture
def watermarks(kafka: KafkaBroker) -> Callable[..., tuple[int, int]]:
    """`Topics.watermarks` of the shared broker."""
    return kafka.topics.watermarks


@pytest.fixture
def topics(kafka: KafkaBroker) -> Topics:
    """The topics of the shared broker."""
    return kafka.topics
