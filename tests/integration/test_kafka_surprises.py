"""Kafka's own surprises: each has a named, visible outcome, and none is a silent jump."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from tests.eventually import eventually, within
from tests.integration.configured import Configured
from tests.integration.test_kit import OwnHost, Run, numbers, transforms_running
from tests.kafka import KafkaBroker
from tests.logs import LogKeeper

TOMBSTONES = """
def stream(batch):
    return [("CREATE (:LABEL {value: $value})", {"value": "none" if message is None else message.decode()})
            for message in batch]
"""

LENGTHS = """
def stream(batch):
    return [("CREATE (:LABEL {value: $value, size: $size})", {"value": str(len(message)), "size": len(batch)})
            for message in batch]
"""

ALONE_WHEN = """
import os
import time


def stream(batch):
    while len(batch) == 1 and not os.path.exists("FLAG"):
        time.sleep(0.01)
    raise ValueError
"""
"Raises at every message; at one that comes alone not before the file is there."

NewConfigured = Callable[..., Configured]


@pytest.fixture
def new_stream(run: Run, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]) -> NewConfigured:
    return lambda broker=kafka, **where: Configured(run, broker, tmp_path, new_stream_name(), **where)


@pytest.fixture
def stream(new_stream: NewConfigured) -> Configured:
    return new_stream()


@pytest.fixture
def guarded_kafka(tmp_path: Path, log_keeper: LogKeeper) -> Iterator[KafkaBroker]:
    """A broker that knows access rules, and has none yet."""
    settings = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    broker = KafkaBroker(tmp_path / "guarded", settings)
    with log_keeper.watching("guarded", broker):
        broker.start()
        yield broker
        broker.kill()


# Offsets out of range


def test_what_retention_took_from_a_stopped_stream_stops_it_with_the_count(stream: Configured) -> None:
    _read_and_stop(stream, 50, None)
    stream.send(numbers(50, 150))
    stream.kafka.topics.trim(stream.topic, 120)
    stream.start()
    stream.await_status("error")
    assert stream.info["reason"] == (
        f"Kafka stream {stream.name}, topic {stream.topic}, partition 0, offsets 50 to 119, at most 70 "
        f"messages, were removed by retention; to continue from offset 120: ALTER STREAM {stream.name} SET CONFIG "
        f"{{on_gap: 'skip'}} and START STREAM {stream.name}"
    )
    assert stream.values == numbers(0, 50)
    stream.start()
    stream.await_status("error")
    assert stream.info["positions"] == {"0": 50}
    stream.configure({"on_gap": "skip"})
    stream.start()
    stream.await_values([*numbers(0, 50), *numbers(120, 150)])
    (gap,) = stream.errors()
    assert [gap[name] for name in ("action", "partition", "offset", "count")] == ["gap", 0, 50, 70]
    assert (stream.info["failed"], stream.info["reason"]) == (0, None)


def test_a_gap_can_be_passed_by_configuration(stream: Configured) -> None:
    _read_and_stop(stream, 10, {"on_gap": "skip"})
    stream.send(numbers(10, 30))
    stream.kafka.topics.trim(stream.topic, 25)
    stream.start()
    stream.await_values([*numbers(0, 10), *numbers(25, 30)])
    assert [(row["offset"], row["count"]) for row in stream.errors()] == [(10, 15)]


def test_a_new_stream_begins_where_the_topic_begins(stream: Configured) -> None:
    stream.send(numbers(0, 20))
    stream.kafka.topics.trim(stream.topic, 5)
    stream.configured(None)
    stream.start()
    stream.await_values(numbers(5, 20))
    assert stream.errors() == []


# Topics that go and come


def test_a_topic_that_is_deleted_is_waited_for_in_the_open(stream: Configured) -> None:
    _read(stream, 5, None)
    stream.kafka.topics.delete(stream.topic)
    reason = stream.await_reason("does not exist at")
    assert reason.startswith("retrying since 2")
    assert (
        f"topic {stream.topic} does not exist at {stream.kafka.bootstrap}; the stream continues when it exists again"
        in reason
    )
    assert stream.status == "running"
    assert stream.info["positions"] == {"0": 5}


@pytest.mark.parametrize("more", [0, 3, 50], ids=["empty", "shorter", "longer"])
@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_a_topic_that_was_made_anew_is_noticed(stream: Configured, more: int, *, running: bool) -> None:
    (_read if running else _read_and_stop)(stream, 10, None)
    stream.kafka.topics.delete(stream.topic)
    if running:
        stream.await_reason("does not exist at")
    stream.kafka.topics.create(stream.topic)
    stream.send(numbers(100, 100 + more))
    stream.start()
    stream.await_status("error")
    assert "was deleted and recreated: the stream's positions are those of the old topic" in stream.info["reason"]
    assert stream.values == numbers(0, 10)
    stream.configure({"on_gap": "skip"})
    stream.start()
    stream.await_values([*numbers(0, 10), *numbers(100, 100 + more)])
    stream.send(["one more"])
    stream.await_count(10 + more + 1)
    (gap,) = stream.errors()
    assert [gap[name] for name in ("action", "partition", "offset", "count")] == ["gap", 0, 10, 0]


def test_a_topic_that_is_made_anew_at_once_is_noticed(stream: Configured) -> None:
    _read(stream, 10, None)
    stream.kafka.topics.delete(stream.topic)
    stream.kafka.topics.create(stream.topic)
    stream.send(numbers(100, 150))
    stream.await_status("error")
    assert "was deleted and recreated" in stream.info["reason"]


def test_new_partitions_are_read_from_their_beginning(stream: Configured) -> None:
    _read(stream, 5, None)
    stream.kafka.topics.add_partitions(stream.topic, 3)
    stream.send(numbers(5, 10), partition=1)
    stream.send(numbers(10, 15), partition=2)
    stream.await_values(numbers(0, 15), timeout=12)
    assert stream.info["positions"] == {"0": 5, "1": 5, "2": 5}
    stream.stop()
    stream.kafka.topics.add_partitions(stream.topic, 4)
    stream.send(numbers(15, 20), partition=3)
    stream.start()
    stream.await_values(numbers(0, 20))


# Brokers that go and come


def test_a_broker_that_goes_is_named_until_it_is_back(
    new_stream: NewConfigured, own_kafka: Callable[[], KafkaBroker]
) -> None:
    broker = own_kafka()
    stream = new_stream(broker)
    _read(stream, 20, None)
    broker.kill()
    reason = stream.await_reason("broker unreachable at")
    assert reason.startswith("retrying since 2")
    assert stream.status == "running"
    broker.start()
    stream.send(numbers(20, 40))
    stream.await_values(numbers(0, 40))
    stream.await_no_reason()
    broker.restart()
    stream.send(numbers(40, 60))
    stream.await_values(numbers(0, 60))


def test_without_its_broker_a_stream_stops_and_the_host_ends_at_once(
    own_host: OwnHost, own_kafka: Callable[[], KafkaBroker], tmp_path: Path
) -> None:
    broker, host = own_kafka(), own_host()
    stream = Configured(host.run, broker, tmp_path, "alone")
    _read(stream, 20, None)
    broker.kill()
    stream.await_reason("broker unreachable at")
    stream.stop()
    eventually(lambda: transforms_running(host) == 0, timeout=3)
    stream.start()
    stream.await_reason("broker unreachable at")
    began = time.monotonic()
    host.stop()
    assert within(4, began)


def test_a_broker_that_hangs_holds_nobody_up(new_stream: NewConfigured, own_kafka: Callable[[], KafkaBroker]) -> None:
    broker = own_kafka()
    stream = new_stream(broker)
    _read(stream, 20, None)
    stream.send(numbers(20, 3000))
    broker.pause()
    began = time.monotonic()
    stream.answers_quickly()
    assert stream.run("RETURN 1 AS one") == [{"one": 1}]
    assert within(3, began)
    broker.resume()
    stream.await_values(numbers(0, 3000), timeout=40)
    stream.await_no_reason()


@pytest.mark.soak
@pytest.mark.faults
def test_a_topic_that_is_gone_at_boot_is_waited_for_in_the_open(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    host = own_host()
    stream = Configured(host.run, kafka, tmp_path, "orphan")
    _read(stream, 10, None)
    kafka.topics.delete(stream.topic)
    host.kill()
    host.start()
    assert stream.status == "running"
    stream.await_reason("does not exist at")
    kafka.topics.create(stream.topic)
    stream.await_status("error", timeout=30)
    assert "was deleted and recreated" in stream.info["reason"]
    assert stream.values == numbers(0, 10)


def test_a_dead_letter_waits_for_its_broker(
    new_stream: NewConfigured, own_kafka: Callable[[], KafkaBroker], tmp_path: Path
) -> None:
    broker, gone = own_kafka(), tmp_path / "gone"
    stream = new_stream(broker)
    letters = broker.topics.create()
    config = {"on_error": "dead_letter", "dead_letter_topic": letters, "message.timeout.ms": 1000}
    stream.configured(config, ALONE_WHEN.replace("FLAG", str(gone)))
    stream.send(["a", "b"])
    stream.start()
    stream.await_reason("looking for the message")
    broker.kill()
    gone.touch()
    stream.await_reason("not delivered")
    assert (stream.status, stream.info["failed"]) == ("running", 0)
    broker.start()
    eventually(lambda: stream.info["failed"], equals=2, timeout=60)
    # At least once: one whose confirmation was lost is there twice.
    assert {letter.value for letter in broker.topics.read(letters)} == {b"a", b"b"}


def test_a_right_that_is_taken_away_is_named_until_it_is_back(
    new_stream: NewConfigured, guarded_kafka: KafkaBroker
) -> None:
    stream = new_stream(guarded_kafka)
    _read(stream, 10, None)
    admin = AdminClient({"bootstrap.servers": guarded_kafka.bootstrap})
    rule = (ResourceType.TOPIC, stream.topic, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*")
    # With one rule on a topic, what no rule allows is denied.
    allowed = [
        AclBinding(*rule, operation, AclPermissionType.ALLOW)
        for operation in (AclOperation.WRITE, AclOperation.ALTER, AclOperation.DESCRIBE)
    ]
    for made in admin.create_acls(allowed).values():
        made.result(10)
    stream.send(numbers(10, 20))
    stream.await_reason("Topic authorization failed")
    assert stream.status == "running"
    assert stream.run("RETURN 1 AS one") == [{"one": 1}]
    every = AclBindingFilter(*rule[:3], None, None, AclOperation.ANY, AclPermissionType.ANY)
    for gone in admin.delete_acls([every]).values():
        gone.result(10)
    stream.await_values(numbers(0, 20))
    stream.await_no_reason()


@pytest.mark.soak
def test_a_right_to_the_group_that_is_missing_keeps_nobody_from_reading(
    new_stream: NewConfigured, guarded_kafka: KafkaBroker
) -> None:
    stream = new_stream(guarded_kafka)
    admin = AdminClient({"bootstrap.servers": guarded_kafka.bootstrap})
    # With one rule on a group, what no rule allows is denied.
    group = (ResourceType.GROUP, f"sluice.{stream.name}", ResourcePatternType.LITERAL)
    rule = AclBinding(*group, "User:somebody", "*", AclOperation.ALL, AclPermissionType.ALLOW)
    for made in admin.create_acls([rule]).values():
        made.result(10)
    _read(stream, 10, None)
    for first in (10, 20, 30):
        time.sleep(1)  # the reports of two seconds are refused meanwhile
        stream.send(numbers(first, first + 10))
        stream.await_values(numbers(0, first + 10))
    stream.stop()
    assert (stream.status, stream.info["reason"], stream.errors()) == ("stopped", None, [])


# Messages of every kind


def test_a_message_larger_than_the_fetch_settings_comes_through(new_stream: NewConfigured, kafka: KafkaBroker) -> None:
    topic = kafka.topics.create(config={"max.message.bytes": "20000000"})
    stream = new_stream(topic=topic)
    stream.configured(
        {"fetch.message.max.bytes": 1000, "fetch.max.bytes": 1_000_000, "message.max.bytes": 1000}, LENGTHS
    )
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "message.max.bytes": 20_000_000})
    sizes = [10, 8_000_000, 20]
    for size in sizes:
        producer.produce(topic, b"x" * size)
        producer.flush(20)
    stream.start()
    stream.await_values([str(size) for size in sizes])


def test_a_batch_ends_before_it_gets_too_big(own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path) -> None:
    host = own_host(env={"SLUICE_BATCH_MAX_BYTES": "10000"})
    stream = Configured(host.run, kafka, tmp_path, "bytes")
    stream.configured(None, LENGTHS, size=100)
    stream.send(["x" * 3000] * 7 + ["y" * 50_000] + ["z" * 100] * 3)
    stream.start()
    stream.await_count(11)
    sizes = [row["size"] for row in host.run(f"MATCH (n:{stream.label}) WHERE n.value = '3000' RETURN n.size AS size")]
    assert max(sizes) == 3
    (large,) = host.run(f"MATCH (n:{stream.label}) WHERE n.value = '50000' RETURN n.size AS size")
    assert large["size"] == 1


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_messages_are_messages(stream: Configured, codec: str) -> None:
    stream.configured(None)
    producer = Producer({"bootstrap.servers": stream.kafka.bootstrap, "compression.codec": codec, "linger.ms": 50})
    for value in numbers(0, 200):
        producer.produce(stream.topic, value)
    producer.flush(20)
    stream.start()
    stream.await_values(numbers(0, 200))


def test_messages_of_an_aborted_transaction_are_not_seen(stream: Configured) -> None:
    stream.configured(None)
    stream.start()
    producer = Producer({"bootstrap.servers": stream.kafka.bootstrap, "transactional.id": stream.name})
    producer.init_transactions(20)
    for first, commits in ((0, True), (10, False), (20, True), (30, False)):
        producer.begin_transaction()
        for value in numbers(first, first + 10):
            producer.produce(stream.topic, value)
        producer.flush(20)
        if commits:
            producer.commit_transaction(20)
        else:
            producer.abort_transaction(20)
    stream.await_values([*numbers(0, 10), *numbers(20, 30)])
    stream.stop()
    stream.start()
    stream.send(["last"])
    stream.await_count(21)
    assert stream.errors() == []


class Transactions:
    """A producer that uses transactions."""

    def __init__(self, stream: Configured) -> None:
        self._producer = Producer({"bootstrap.servers": stream.kafka.bootstrap, "transactional.id": stream.name})
        self._producer.init_transactions(20)
        self._topic = stream.topic

    def send(self, values: list[str], *, commits: bool = True) -> None:
        self._producer.begin_transaction()
        for value in values:
            self._producer.produce(self._topic, value)
        self._producer.flush(20)
        if commits:
            self._producer.commit_transaction(20)
        else:
            self._producer.abort_transaction(20)


def test_positions_move_past_transaction_markers_and_aborted_records(stream: Configured) -> None:
    stream.configured(None)
    stream.start()
    producer = Transactions(stream)
    producer.send(["0", "1"])  # and a marker at offset 2
    stream.await_position(3)
    producer.send(numbers(2, 7), commits=False)  # and a marker at offset 8
    stream.await_position(9)
    lag = "CALL streams.info($name) YIELD total_lag RETURN total_lag"
    eventually(lambda: stream.run(lag, name=stream.name), equals=[{"total_lag": 0}])
    group = f"sluice.{stream.name}"
    eventually(lambda: stream.kafka.topics.committed(group, stream.topic), equals={0: 9})
    assert (stream.values, stream.info["messages"]) == (["0", "1"], 2)


@pytest.mark.parametrize("limit", [None, 1])
def test_a_tail_of_markers_that_retention_took_is_no_gap(stream: Configured, limit: int | None) -> None:
    stream.configured(None)
    producer = Transactions(stream)
    producer.send(["0", "1"])
    stream.start(limit)
    stream.await_values(["0", "1"])
    if limit is None:
        stream.stop()
    stream.await_status("stopped")
    stream.kafka.topics.trim(stream.topic, 3)
    stream.start()
    producer.send(["2"])
    stream.await_values(["0", "1", "2"])
    assert (stream.errors(), stream.info["reason"]) == ([], None)


def test_a_tombstone_is_none(stream: Configured) -> None:
    stream.configured(None, TOMBSTONES)
    stream.send(["a", None, "", None])
    stream.start()
    stream.await_values(["a", "none", "", "none"])


def _read(stream: Configured, count: int, config: dict[str, Any] | None) -> None:
    """Has the stream read the numbers up to `count`."""
    stream.send(numbers(0, count))
    stream.configured(config)
    stream.start()
    stream.await_values(numbers(0, count))


def _read_and_stop(stream: Configured, count: int, config: dict[str, Any] | None) -> None:
    """The same, and it has stopped for good after the last of them."""
    stream.send(numbers(0, count))
    stream.configured(config, size=count)
    stream.start(limit=1)
    stream.await_status("stopped")
