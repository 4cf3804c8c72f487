"""Where two rare things meet: a limit and a violated constraint, a retry and a graph that is deleted, and the like."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer

from sluice.persistence import nodes
from tests.eventually import eventually
from tests.hosts import Host
from tests.integration.configured import POISON, Configured
from tests.integration.test_kit import OwnHost, Run, metadata, numbers, refusal, transforms_running
from tests.kafka import KafkaBroker

REQUIRED = """
def stream(batch):
    return [("CREATE (:LABEL {value: $value, key: $key})", {"value": value, "key": value.strip("=") or None})
            for value in (message.decode() for message in batch)]
"""
"What is `=` has no key."

FAILS_AT_A_LOCK = pytest.mark.memgraph_only("a write lock makes the other transaction fail there, and not wait")

LENGTHS = """
def stream(batch):
    return [("CREATE (:LABEL {value: $value})", {"value": str(len(message))}) for message in batch]
"""


@pytest.fixture
def stream(run: Run, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]) -> Configured:
    return Configured(run, kafka, tmp_path, new_stream_name())


@pytest.mark.memgraph_only("the sandbox has no constraints")
@pytest.mark.parametrize("policy", ["stop", "skip"])
def test_a_limit_counts_batches_though_a_constraint_refuses_one_at_its_commit(stream: Configured, policy: str) -> None:
    stream.run(f"CREATE CONSTRAINT ON (n:{stream.label}) ASSERT EXISTS (n.key)")
    values = numbers(0, 60)
    stream.send([*values[:14], "=", *values[14:]])
    stream.configured({"on_error": policy}, REQUIRED)
    stream.start(limit=3)
    if policy == "stop":
        stream.await_status("error")
        assert "existence constraint violation" in stream.info["reason"]
        assert "partition 0, offset 14" in stream.info["reason"]
        assert stream.values == values[:14]
        stream.start(limit=3)
        eventually(lambda: stream.info["generation"] == 2 and stream.status == "error", timeout=20)
        assert stream.values == values[:14]
        stream.configure({"on_error": "skip"})
        stream.start(limit=1)
        stream.await_status("stopped")
        assert stream.info["positions"] == {"0": 24}
        assert stream.values == values[:23]
    else:
        stream.await_status("stopped")
        assert stream.info["positions"] == {"0": 30}
        assert stream.values == values[:29]
        assert (stream.info["batches"], stream.info["failed"]) == (3, 1)
    stream.start()
    stream.await_values(values)


@pytest.mark.memgraph_only("a vertex whose labels change gets another id in the sandbox")
def test_a_uniqueness_constraint_that_is_made_while_a_stream_runs_takes_the_label_off_its_checkpoint(
    stream: Configured,
) -> None:
    def labels() -> object:
        (row,) = stream.run(
            f"MATCH (s:{nodes.STREAM} {{name: $name}})-[:{nodes.HAS_CHECKPOINT}]->(k) RETURN labels(k) AS labels",
            name=stream.name,
        )
        return row["labels"]

    constraint = f"CONSTRAINT ON (n:{stream.label}) ASSERT n.value IS UNIQUE"
    stream.configured(None)
    stream.start()
    stream.send(numbers(0, 100))
    stream.await_values(numbers(0, 100))
    assert labels() == [nodes.CHECKPOINT]
    stream.run(f"CREATE {constraint}")
    try:
        eventually(lambda: labels() == [], timeout=30)
        stream.send(numbers(100, 200))
        stream.await_values(numbers(0, 200))
        assert (stream.status, stream.info["messages"]) == ("running", 200)
        stream.stop()
    finally:
        stream.run(f"DROP {constraint}")


@pytest.mark.memgraph_only("the sandbox has no such fault")
def test_a_violated_uniqueness_constraint_does_not_end_the_server(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    host = own_host()
    stream = Configured(host.run, kafka, tmp_path, "unique")
    host.run(f"CREATE CONSTRAINT ON (n:{stream.label}) ASSERT n.value IS UNIQUE")
    values = [f"{number // 2 if number % 20 == 0 else number}" for number in range(10_000)]
    stream.send(values)
    stream.configured({"on_error": "skip"}, size=100)
    stream.start()

    def is_done() -> bool:
        host.run("FREE MEMORY")
        return bool(stream.info["positions"] == {"0": len(values)})

    eventually(is_done, timeout=60)
    assert sorted(stream.values) == sorted(set(values))
    assert stream.info["failed"] == len(values) - len(set(values))
    assert host.run(f"MATCH (s:{nodes.STREAM})-->(k) RETURN labels(k) AS labels") == [{"labels": []}]


def test_start_after_an_error_runs_the_pinned_script_whatever_became_of_its_file(
    stream: Configured, tmp_path: Path
) -> None:
    stream.send(["a", "raise", "b"])
    uri = stream.script(POISON)
    stream.create(transform_uri=uri)
    stream.start()
    stream.await_status("error")
    Path(uri).write_text(POISON.replace("LABEL", stream.label).replace('"raise"', '"never"'), encoding="utf-8")
    stream.start()
    stream.await_status("error")
    assert stream.values == ["a"]
    Path(uri).unlink()
    stream.start()
    stream.await_status("error")
    Path(uri).write_text(POISON.replace("LABEL", stream.label).replace('"raise"', '"never"'), encoding="utf-8")
    stream.run("CALL streams.reload_transform($name) YIELD tried RETURN tried", name=stream.name)
    stream.start()
    stream.await_values(["a", "b", "raise"])


def test_the_largest_message_that_the_topic_takes_comes_through(stream: Configured) -> None:
    producer = Producer({"bootstrap.servers": stream.kafka.bootstrap, "message.max.bytes": 2_000_000, "acks": "all"})

    def fits(size: int) -> bool:
        refused: list[bool] = []
        producer.produce(stream.topic, b"x" * size, on_delivery=lambda error, _: refused.append(error is not None))
        assert producer.flush(20) == 0
        return refused == [False]

    # The default of message.max.bytes is 1,048,588: a batch of one record with 12 bytes of headers before it.
    size = next(size for size in range(1_048_588, 1_048_388, -1) if fits(size))
    stream.configured(None, LENGTHS)
    stream.start()
    stream.await_values([str(size)])


@pytest.mark.soak
@pytest.mark.faults
def test_with_its_broker_down_a_stream_is_not_created_and_with_the_broker_back_it_is(
    run: Run, own_kafka: Callable[[], KafkaBroker], tmp_path: Path, new_stream_name: Callable[[], str]
) -> None:
    broker = own_kafka()
    stream = Configured(run, broker, tmp_path, new_stream_name())
    stream.send(numbers(0, 5))
    broker.stop()
    assert "BrokerUnreachable" in refusal(stream.configured, None)
    assert stream.status is None
    broker.start()
    stream.configured(None)
    broker.stop()
    stream.start()
    stream.await_reason("broker unreachable")
    broker.start()
    stream.await_values(numbers(0, 5))
    stream.await_no_reason()


def test_streams_of_one_topic_are_dropped_and_made_anew_in_one_transaction(
    run: Run, host: Host, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]
) -> None:
    topic = kafka.topics.create(partitions=2)
    pair = [Configured(run, kafka, tmp_path, new_stream_name(), topic=topic) for _ in range(2)]
    for stream in pair:
        stream.configured(None)
        stream.start()
    pair[0].send(numbers(0, 100))
    again = [stream.another(tmp_path) for stream in pair]
    with host.driver().session() as session, session.begin_transaction() as transaction:
        for stream in again:
            inside = stream.within(transaction)
            inside.label = stream.label
            inside.drop()
            inside.create()
            inside.start()
        transaction.commit()
    again[0].send(numbers(100, 200))
    for stream in again:
        stream.await_values(numbers(0, 200))
        assert stream.status == "running"


@pytest.mark.soak
@pytest.mark.parametrize("pending", [pytest.param("conflict", marks=FAILS_AT_A_LOCK), "retry"])
def test_a_graph_that_is_deleted_while_something_is_tried_again_stays_deleted(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path, pending: str
) -> None:
    host = own_host()
    stream = Configured(host.run, kafka, tmp_path, "deleted")
    stream.configured({"on_error": "park"})
    stream.start()
    stream.send(["a", *(f"raise{number}" for number in range(20))])
    stream.await_position(21)
    if pending == "conflict":
        with host.driver().session() as session, session.begin_transaction() as transaction:
            transaction.run(f"MATCH (k:{nodes.CHECKPOINT}) SET k.held = true").consume()
            stream.send(numbers(0, 10))
            stream.await_reason("retrying since")
            transaction.run("MATCH (n) DETACH DELETE n").consume()
            transaction.commit()
    else:
        with host.driver().session() as session, session.begin_transaction() as transaction:
            transaction.run("CALL streams.retry('deleted') YIELD messages RETURN messages").consume()
            transaction.run("MATCH (n) DETACH DELETE n").consume()
            transaction.commit()
    eventually(lambda: transforms_running(host), equals=0, timeout=20)
    empty = {nodes.CATALOG: 0, nodes.STREAM: 0, nodes.CHECKPOINT: 0}
    eventually(lambda: metadata(host.run), equals=empty, timeout=20)
    again = stream.another(tmp_path)
    again.configured({"on_error": "park"})
    again.start()
    eventually(lambda: again.info["failed"], equals=20, timeout=20)
    assert host.run("MATCH (n) WHERE n.value IS NOT NULL AND NOT n:Again_deleted RETURN n") == []


@FAILS_AT_A_LOCK
def test_what_retention_takes_from_a_running_stream_that_is_held_up_is_counted_to_the_last_message(
    stream: Configured, host: Host
) -> None:
    payload = "x" * 2000
    stream.configured({"on_gap": "skip"}, size=100)
    stream.start()
    stream.send(["first"])
    stream.await_count(1)
    with host.driver().session() as session, session.begin_transaction() as transaction:
        transaction.run(
            f"MATCH (s:{nodes.STREAM} {{name: $name}})-->(k:{nodes.CHECKPOINT}) SET k.held = true", name=stream.name
        ).consume()
        stream.send(f"{value}{payload}" for value in numbers(0, 20_000))
        stream.await_reason("retrying since")
        stream.kafka.topics.trim(stream.topic, 19_000)
    total = 20_001
    eventually(lambda: stream.info["positions"], equals={"0": total}, timeout=60)
    gaps = sum(row["count"] for row in stream.errors(25))
    assert stream.count + gaps == total
    assert stream.count >= 1001


@pytest.mark.soak
@pytest.mark.memgraph_only("the sandbox's memory is that of several processes")
def test_the_memory_of_a_stream_that_is_held_up_before_a_long_topic_is_bounded_by_its_settings(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    host = own_host(env={"SLUICE_FETCH_BUFFER_KB": "2048", "SLUICE_BATCH_MAX_BYTES": "1000000"})
    stream = Configured(host.run, kafka, tmp_path, "bounded")
    stream.configured(None, LENGTHS, size=1000)
    count, payload = 20_000, "x" * 10_000
    stream.send([payload])
    stream.start()
    stream.await_count(1)
    before = resident(host.pid)
    with host.driver().session() as session, session.begin_transaction() as transaction:
        transaction.run(f"MATCH (k:{nodes.CHECKPOINT}) SET k.held = true").consume()
        stream.send([payload] * count)
        stream.await_reason("retrying since")
        assert resident(host.pid) - before < 60_000_000
    stream.await_position(count + 1, timeout=60)
    assert resident(host.pid) - before < 100_000_000


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    pages = Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
