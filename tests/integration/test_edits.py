"""What people do to the metadata nodes by hand; each has a named outcome."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sluice.persistence import nodes
from tests.eventually import eventually
from tests.hosts import Host
from tests.integration.configured import Configured, started
from tests.integration.test_kit import OwnHost, Run, metadata, numbers, transforms_running
from tests.kafka import KafkaBroker

# label -> (property, what it is edited into, what the reason says)
IMPOSSIBLE: dict[str, list[tuple[str, Any, str]]] = {
    nodes.STREAM: [
        ("uid", 5, "the property uid of its node must be a text, got 5"),
        ("uri", "", "the Kafka URI must be printable text and not empty, got ''"),
        ("uri", 5, "the Kafka URI must be printable text and not empty, got 5"),
        ("topic", [1], "the topic must be printable text and not empty, got [1]"),
        ("transform", 5, "the transform URI must be printable text"),
        ("transform_source", "def stream(batch): return []", "the script in its node is not the one with the SHA-256"),
        ("transform_sha256", "x", "the script in its node is not the one with the SHA-256 beside it"),
        ("batch_interval", "x", "BATCH_INTERVAL must be an integer from 1 to 2147483647, got 'x'"),
        ("batch_size", -1, "BATCH_SIZE must be an integer from 1 to 2147483647, got -1"),
        ("config", "[]", "config: the stream's node must hold it as a JSON object"),
        ("config", '{"made.up":"1"}', "config: there is no key made.up; Sluice's own keys are "),
        ("config", '{"made_up_cb":"x"}', "config: made_up_cb cannot be set: it is not a text"),
        (
            "config",
            '{"batch.size":"9"}',
            "config: batch.size has to be allowed by the administrator, with SLUICE_KAFKA_ALLOW=",
        ),
        ("config", '{"queued.max.messages.kbytes":"99999"}', "from 1 to 16384 (SLUICE_FETCH_BUFFER_KB), got '99999'"),
        ("config", '{"client.id":"file:/etc/passwd"}', "config: client.id takes neither env: nor file:"),
        (
            "config",
            '{"sasl.password":"hunter2"}',
            "config: sasl.password is a secret, and would be stored in the graph",
        ),
        ("config", '{"sasl.password":"env:HOME"}', "refers to the variable HOME, which is not allowed for "),
        ("config", '{"sasl.password":"env:SLUICE_X"}', "refers to the variable SLUICE_X, which is never allowed"),
        (
            "config",
            '{"sasl.username":"file:/proc/self/environ"}',
            "refers to /proc/self/environ, which is never allowed",
        ),
        ("config", '{"ssl.key.location":"/etc/shadow"}', "refers to /etc/shadow, which is not allowed for "),
        ("config", 5, "the property config of its node must be a text, got 5"),
    ],
    nodes.CHECKPOINT: [
        ("positions", "x", "positions of a checkpoint must be like"),
        ("positions", 5, "positions of a checkpoint must be like"),
        ("topic_id", 5, "the property topic_id of its node must be a text, got 5"),
        ("batches", "x", "the property batches of its node must be an integer, 0 or more, got 'x'"),
        ("messages", -1, "the property messages of its node must be an integer, 0 or more, got -1"),
        ("failed", 0.5, "the property failed of its node must be an integer, 0 or more, got 0.5"),
        ("parked", "x", "the property parked of its node must be an integer, 0 or more, got 'x'"),
        ("retry_completed", "x", "the property retry_completed of its node must be an integer, 0 or more, got 'x'"),
        ("generation", "x", "the property generation of its node must be an integer, 0 or more, got 'x'"),
        ("generation_batches", "x", "the property generation_batches of its node must be an integer"),
        ("ended_generation", "x", "the property ended_generation of its node must be an integer"),
        ("ended_status", "x", "the property ended_status of its node must be stopped or error, got 'x'"),
    ],
}


@pytest.fixture
def stream(run: Run, kafka: KafkaBroker, tmp_path: Path, stream_name: str) -> Configured:
    """A stream on the shared host that runs, and has imported ten messages."""
    return started(Configured(run, kafka, tmp_path, stream_name))


@pytest.mark.parametrize("label", IMPOSSIBLE)
def test_a_property_that_is_edited_into_the_impossible_is_the_reason_why_the_stream_does_not_run(
    stream: Configured, label: str
) -> None:
    stream.stop()
    for name, value, reason in IMPOSSIBLE[label]:
        right = edited(stream, label, name, value)
        stream.start()
        stream.await_status("error")
        assert reason in stream.info["reason"], name
        assert stream.info["reason"].startswith(f"Kafka stream {stream.name}, "), name
        assert edited(stream, label, name, right) == value
    stream.start()
    stream.send(numbers(10, 20))
    stream.await_values(numbers(0, 20))
    assert (stream.status, stream.info["reason"]) == ("running", None)


def test_a_generation_that_was_edited_is_made_right_by_start(stream: Configured) -> None:
    edited(stream, nodes.STREAM, "generation", "x")
    stream.await_status("error")
    assert "the property generation of its node must be an integer" in stream.info["reason"]
    stream.start()
    stream.send(numbers(10, 20))
    stream.await_values(numbers(0, 20))
    stream.start(limit=1)  # it runs, and is left alone
    edited(stream, nodes.STREAM, "generation", 0)  # as if it had never been started
    stream.await_status("stopped")
    stream.start()
    stream.send(numbers(20, 30))
    stream.await_values(numbers(0, 30))


def test_positions_that_are_edited_are_where_the_next_run_begins(stream: Configured) -> None:
    stream.stop()
    edited(stream, nodes.CHECKPOINT, "positions", '{"7": 3, "0": 5}')  # other blanks and order than ours
    stream.start()
    stream.await_count(15)
    assert stream.values == sorted(numbers(0, 10) + numbers(5, 10))
    assert stream.info["positions"] == {"0": 10, "7": 3}
    # Should there be such a partition one day, it is read from there.
    stream.kafka.topics.add_partitions(stream.topic, 8)
    stream.send(numbers(100, 105), partition=7)
    stream.await_position(5, partition=7)
    assert stream.values == sorted([*numbers(0, 10), *numbers(5, 10), *numbers(103, 105)])
    stream.stop()
    edited(stream, nodes.CHECKPOINT, "positions", None)
    stream.start()
    stream.await_count(32)
    # There is no message at such a position, and nothing is skipped silently.
    stream.stop()
    edited(stream, nodes.CHECKPOINT, "positions", '{"0":1000}')
    stream.start()
    stream.await_status("error")
    assert "partition 0 ends at offset 10, before the stream's position 1000" in stream.info["reason"]


def test_positions_that_are_edited_while_it_runs_are_followed(stream: Configured) -> None:
    edited(stream, nodes.CHECKPOINT, "positions", '{"0": 5}')
    stream.send(numbers(10, 20))
    stream.await_count(25)
    assert stream.values == sorted(numbers(0, 20) + numbers(5, 10))
    stream.await_no_reason()


def test_a_stream_that_is_renamed_by_hand_goes_on_under_its_new_name(stream: Configured) -> None:
    old, stream.name = stream.name, f"{stream.name}_renamed"
    stream.insist(f"MATCH (s:{nodes.STREAM} {{name: $old}}) SET s.name = $name", old=old)
    stream.send(numbers(10, 20))
    stream.await_values(numbers(0, 20))
    assert stream.status == "running"
    stream.drop()


def test_of_two_streams_that_are_given_one_name_by_hand_the_newer_gets_another(
    stream: Configured, run: Run, tmp_path: Path
) -> None:
    other = stream.another(tmp_path)
    other.name = f"{stream.name}_other"
    other.create()
    rename = f"MATCH (s:{nodes.STREAM}) WHERE s.name = $name SET s.name = $to RETURN id(s) AS id"
    [row] = eventually(lambda: run(rename, name=other.name, to=stream.name), timeout=20)
    other.name = f"{stream.name}_2"
    shown = [row["name"] for row in run("CALL streams.show() YIELD name")]
    assert (shown.count(stream.name), shown.count(other.name)) == (1, 1)
    other.insist("CALL streams.start($name)")  # the supervisor renames it at the same time
    other.await_values(numbers(0, 10))
    name = f"MATCH (s:{nodes.STREAM}) WHERE id(s) = $id RETURN s.name AS name"
    eventually(lambda: run(name, id=row["id"]), equals=[{"name": other.name}])
    assert stream.status == "running"
    other.insist("CALL streams.drop($name)")


def test_a_stream_whose_node_is_deleted_by_hand_is_gone_as_if_dropped(stream: Configured, tmp_path: Path) -> None:
    stream.insist(f"MATCH (s:{nodes.STREAM} {{name: $name}}) DETACH DELETE s")
    assert stream.status is None
    stream.send(numbers(10, 20))
    again = stream.another(tmp_path)
    again.create()
    again.start()
    again.await_values(numbers(0, 20))
    assert again.status == "running"
    assert stream.values in (numbers(0, 10), numbers(0, 20))  # it may have imported them before its end


def test_streams_of_a_graph_that_is_deleted_are_gone_and_others_can_be_made(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    host = own_host()
    running = started(Configured(host.run, kafka, tmp_path, "deleted"))
    other = Configured(host.run, kafka, tmp_path, "other", topic=running.topic)
    other.create()
    running.insist("MATCH (n) DETACH DELETE n")
    eventually(lambda: transforms_running(host), equals=0, timeout=20)
    assert "stream deleted: its node is no longer in the graph" in host.log_text()
    assert (running.status, other.status) == (None, None)
    running.send(numbers(10, 20))
    again = running.another(tmp_path)
    again.create()
    again.start()
    again.await_values(numbers(0, 20))
    assert (again.status, other.status) == ("running", None)
    assert running.count == 0
    assert metadata(host.run) == {nodes.CATALOG: 1, nodes.STREAM: 1, nodes.CHECKPOINT: 1}


def test_a_stream_whose_checkpoint_is_deleted_by_hand_imports_nothing_until_it_is_made_anew(
    stream: Configured, tmp_path: Path
) -> None:
    stream.insist(f"MATCH (:{nodes.STREAM} {{name: $name}})-->(k:{nodes.CHECKPOINT}) DETACH DELETE k")
    eventually(lambda: stream.status != "running", timeout=20)  # nothing can run, and SHOW says so
    stream.send(numbers(10, 20))
    stream.drop()
    assert stream.status is None
    again = stream.another(tmp_path)
    again.create()
    again.start()
    again.await_values(numbers(0, 20))
    assert stream.values == numbers(0, 10)


def test_settings_that_are_edited_by_hand_while_a_stream_runs_are_followed(stream: Configured) -> None:
    stream.insist(f"MATCH (s:{nodes.STREAM} {{name: $name}}) SET s.batch_size = 3")
    counts = iter(range(10, 1000, 9))

    def in_threes() -> bool:
        """Whether nine more messages are three batches at least."""
        count, before = next(counts), stream.info["batches"]
        stream.send(numbers(count, count + 9))
        stream.await_values(numbers(0, count + 9))
        return bool(stream.info["batches"] >= before + 3)

    eventually(in_threes, timeout=20)
    assert stream.status == "running"


def test_drop_and_create_of_a_running_name_in_one_transaction_is_another_stream(
    stream: Configured, host: Host, tmp_path: Path
) -> None:
    again = stream.another(tmp_path)
    with host.driver().session() as session, session.begin_transaction() as transaction:
        inside = again.within(transaction)
        inside.label = again.label
        inside.drop()
        inside.create()
        inside.start()
        transaction.commit()
    again.await_values(numbers(0, 10))
    again.send(numbers(10, 20))
    again.await_values(numbers(0, 20))
    assert again.status == "running"
    assert stream.values in (numbers(0, 10), numbers(0, 20))  # the old one may have imported them before its end


def edited(stream: Configured, label: str, name: str, value: Any) -> Any:
    """Writes a property of the stream's node or its checkpoint; what it was before."""
    match = f"MATCH (s:{nodes.STREAM} {{name: $name}})-[:{nodes.HAS_CHECKPOINT}]->(k)"
    node = "s" if label == nodes.STREAM else "k"
    (row,) = stream.insist(
        f"{match} WITH {node} AS n, {node}.{name} AS old SET n.{name} = $value RETURN old", value=value
    )
    return row["old"]
