"""What holds a stream up is named: not only that it is held up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from neo4j.exceptions import Neo4jError

from tests.eventually import eventually
from tests.integration.configured import Configured
from tests.integration.test_kit import VALUES, Run, numbers
from tests.kafka import KafkaBroker
from tests.logs import LogKeeper
from tests.ports import free_ports

LENGTHS = """
def stream(batch):
    return [("CREATE (:LABEL {value: $value})", {"value": str(len(message))}) for message in batch]
"""


@pytest.fixture
def stream(run: Run, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]) -> Configured:
    return Configured(run, kafka, tmp_path, new_stream_name())


@pytest.fixture
def moved_kafka(tmp_path: Path, log_keeper: LogKeeper) -> Iterator[KafkaBroker]:
    """A broker whose second listener can be made to give another address than its own."""
    broker = KafkaBroker(tmp_path / "moved", listeners={"OUTER": "PLAINTEXT"})
    with log_keeper.watching("moved", broker):
        broker.start()
        yield broker
        broker.kill()


def test_a_message_that_the_client_does_not_take_is_named_with_the_setting(
    run: Run, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]
) -> None:
    topic = kafka.topics.create(config={"max.message.bytes": "4000000"})
    stream = Configured(run, kafka, tmp_path, new_stream_name(), topic=topic)
    stream.configured({"receive.message.max.bytes": 1_100_000}, LENGTHS)
    stream.start()
    producer = Producer({"bootstrap.servers": stream.kafka.bootstrap, "message.max.bytes": 4_000_000})
    producer.produce(stream.topic, b"x" * 3_000_000)
    assert producer.flush(20) == 0
    reason = stream.await_reason("receive.message.max.bytes", timeout=10)
    assert f"holds up all that comes from it: STOP STREAM {stream.name}, ALTER STREAM " in reason
    assert stream.status == "running"
    stream.stop()
    with pytest.raises(Neo4jError, match=r"more than receive\.message\.max\.bytes \(1100000\) allows"):
        stream.test()
    stream.configure({"receive.message.max.bytes": 10_000_000})
    stream.start()
    stream.await_values(["3000000"])
    stream.await_no_reason()


def test_messages_that_wait_after_an_open_transaction_are_counted(stream: Configured) -> None:
    stream.configured(None, VALUES)
    stream.start()
    stream.send(numbers(0, 5))
    stream.await_values(numbers(0, 5))
    settings: dict[str, Any] = {"bootstrap.servers": stream.kafka.bootstrap, "transactional.id": stream.name}
    producer = Producer(settings)
    producer.init_transactions(20)
    producer.begin_transaction()
    for value in numbers(5, 10):
        producer.produce(stream.topic, value)
    assert producer.flush(20) == 0
    stream.send(numbers(10, 15))
    reason = stream.await_reason("wait after an open transaction")
    assert f"topic {stream.topic}" in reason
    assert "partition 0: 10 messages wait after an open transaction, since 2" in reason
    assert "last stable offset 5:" in reason
    assert stream.values == numbers(0, 5)
    producer.abort_transaction(20)
    stream.await_values([*numbers(0, 5), *numbers(10, 15)])
    stream.await_no_reason()


def test_an_address_that_nobody_reaches_is_named_by_create_test_and_start(
    run: Run, moved_kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]
) -> None:
    outer = moved_kafka.addresses["OUTER"]
    stream = Configured(run, moved_kafka, tmp_path, new_stream_name())
    stream.configured(None, VALUES, uri=outer)
    [port] = free_ports(1)
    nowhere = f"127.0.0.1:{port}"
    moved_kafka.kill()
    moved_kafka.advertised = {"OUTER": nowhere}
    moved_kafka.start()
    stream.send(["one"])
    expected = f"brokers at {outer} give {nowhere} as their address (advertised.listeners)"
    stream.start()
    stream.await_reason(expected, timeout=10)
    stream.stop()
    another = Configured(run, moved_kafka, tmp_path, new_stream_name(), topic=stream.topic)
    for attempt in (stream.test, lambda: another.configured(None, VALUES, uri=outer)):
        with pytest.raises(Neo4jError) as caught:
            attempt()
        assert expected in str(caught.value)
    moved_kafka.kill()
    moved_kafka.advertised = {}
    moved_kafka.start()
    stream.start()
    stream.await_values(["one"])
    eventually(lambda: stream.info["reason"] is None)
