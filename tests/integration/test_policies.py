"""What happens to messages that cannot be applied: stop, skip, dead letter; and to those that are only unlucky."""

from __future__ import annotations

import hashlib
import json
import math
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.eventually import eventually, slack
from tests.hosts import Host
from tests.integration.configured import POISON, Configured
from tests.integration.test_kit import OwnHost, Run, numbers, refusal, transforms_running
from tests.kafka import KafkaBroker

KINDS = ("raise", "refused", "missing", "contract", "bytes", "commit", "nan")


@pytest.fixture
def stream(run: Run, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]) -> Configured:
    return Configured(run, kafka, tmp_path, new_stream_name())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [0, 4, 9], ids=["first", "middle", "last"])
def test_a_bad_message_stops_the_stream_with_all_before_it_applied(stream: Configured, place: int, kind: str) -> None:
    values = numbers(0, 50)
    bad = 20 + place
    stream.send([*values[:bad], kind, *values[bad:]])
    stream.configured(None)
    stream.start()
    stream.await_status("error")
    assert stream.values == values[:bad]
    reason = stream.info["reason"]
    assert reason.startswith(f"Kafka stream {stream.name}, topic {stream.topic}, partition 0, offset {bad}: ")
    assert reason.endswith(
        f"START STREAM {stream.name} retries it, on_error 'skip', 'park' or 'dead_letter' continues after it"
    )
    # START comes to the same message again: nothing is skipped, nothing applied twice.
    stream.start()
    stream.await_status("error")
    assert stream.values == values[:bad]
    assert [(row["action"], row["offset"], row["payload"]) for row in stream.errors()] == [("stop", bad, kind)]
    # Told to, it continues after it.
    stream.configure({"on_error": "skip"})
    stream.start()
    stream.await_values(values)
    info = stream.info
    assert (info["status"], info["reason"], info["failed"], info["messages"]) == ("running", None, 1, 50)
    assert [(row["action"], row["offset"]) for row in stream.errors()] == [("skip", bad)]


def test_skip_goes_on_behind_every_bad_message(stream: Configured) -> None:
    stream.configured({"on_error": "skip"}, size=100)
    stream.start()
    values: list[str] = []
    for index, value in enumerate(numbers(0, 500)):
        values.append(value)
        if index % 29 == 0:
            values.append(f"{KINDS[index % len(KINDS)]}{index}")
    stream.send(values)
    stream.await_position(len(values))
    good = numbers(0, 500)
    assert stream.values == good
    info = stream.info
    assert (info["status"], info["messages"], info["failed"]) == ("running", 500, len(values) - 500)
    errors = stream.errors(100)
    assert len(errors) == info["failed"]
    assert [row["offset"] for row in errors] == sorted((row["offset"] for row in errors), reverse=True)
    assert [row["payload"] for row in reversed(errors)] == [value for value in values if value not in set(good)]


UPSERTS = """
import json


def stream(batch):
    return [("MERGE (n:LABEL {id: $id}) SET n.value = $value", json.loads(message)) for message in batch]
"""


def test_nan_that_merge_looks_for_is_an_error_of_its_message_and_doubles_no_other(stream: Configured) -> None:
    chosen = random.Random(23)
    keys: list[float] = [number % 100 for number in range(2969)] + [math.nan] * 31
    chosen.shuffle(keys)
    stream.send([json.dumps({"id": key, "value": math.nan}) for key in keys])
    stream.run(f"CREATE INDEX ON :{stream.label}(id)")
    stream.configured({"on_error": "skip"}, UPSERTS, size=100)
    stream.start()
    stream.await_position(3000)
    counts = stream.run(f"MATCH (n:{stream.label}) RETURN count(n) AS nodes, count(DISTINCT n.id) AS ids")
    assert counts == [{"nodes": 100, "ids": 100}]
    info = stream.info
    assert (info["status"], info["messages"], info["failed"]) == ("running", 2969, 31)
    assert "contain NaN, and MATCH or MERGE looks for it: id. " in stream.errors(1)[0]["error"]


def test_a_failed_message_carries_all_that_is_known(stream: Configured) -> None:
    stream.configured({"on_error": "skip"})
    stream.kafka.topics.produce(stream.topic, ["refused"], key="the key")
    stream.kafka.topics.produce(stream.topic, ["raise" + "x" * 5000])
    stream.start()
    stream.await_position(2)
    raised, refused = stream.errors()
    assert refused["time"].endswith("Z")
    assert [refused[name] for name in ("action", "topic", "partition", "offset", "count")] == [
        "skip",
        stream.topic,
        0,
        0,
        1,
    ]
    assert (refused["key"], refused["payload"], refused["payload_bytes"]) == ("the key", "refused", 7)
    assert refused["query"] == f"CREATE (:{stream.label} {{value: $value, x: 1 / $zero}})"
    assert json.loads(refused["params"]) == {"value": "refused", "zero": 0}
    assert refused["error"]
    assert refused["transform_sha256"] == hashlib.sha256(POISON.replace("LABEL", stream.label).encode()).hexdigest()
    assert raised["payload"] == ("raise" + "x" * 5000)[:1024]
    assert (raised["payload_bytes"], raised["query"], raised["params"]) == (5005, None, None)
    assert "ValueError: raisexxx" in raised["error"]
    assert len(stream.errors(1)) == 1
    assert "must be an integer from 1" in refusal(stream.errors, 0)


def test_a_dead_letter_is_the_message_and_why(stream: Configured) -> None:
    letters = stream.kafka.topics.create()
    stream.configured({"on_error": "dead_letter", "dead_letter_topic": letters})
    stream.send(["a", "refused", "b", "raise", "c"])
    stream.start()
    stream.await_values(["a", "b", "c"])
    stream.await_position(5)
    refused, raised = stream.kafka.topics.read(letters)
    assert (refused.value, raised.value) == (b"refused", b"raise")
    headers = {name: None if value is None else value.decode() for name, value in refused.headers}
    assert headers["sluice.stream"] == stream.name
    assert (headers["sluice.topic"], headers["sluice.partition"], headers["sluice.offset"]) == (stream.topic, "0", "1")
    assert json.loads(headers["sluice.params"] or "") == {"value": "refused", "zero": 0}
    assert headers["sluice.error"] == stream.errors()[1]["error"]
    assert dict(raised.headers)["sluice.query"] is None
    assert [row["action"] for row in stream.errors()] == ["dead_letter"] * 2


def test_the_dead_letter_topic_must_be_there(stream: Configured) -> None:
    config = {"on_error": "dead_letter", "dead_letter_topic": f"missing-{stream.name}"}
    expected = f"Kafka stream {stream.name}, dead_letter_topic missing-{stream.name} not found"
    assert refusal(stream.configured, config) == f"sluice.errors.TopicNotFound: {expected}"
    assert f"missing-{stream.name}" not in stream.kafka.topics.names()
    assert stream.status is None


def test_a_letter_that_is_too_large_for_its_topic_stops_the_stream(stream: Configured) -> None:
    letters = stream.kafka.topics.create(config={"max.message.bytes": "2000"})
    stream.configured({"on_error": "dead_letter", "dead_letter_topic": letters})
    stream.send(["a", "raise" + "x" * 3000, "b"])
    stream.start()
    stream.await_status("error")
    assert f"dead_letter_topic {letters}, not delivered: " in stream.info["reason"]
    assert stream.values == ["a"]
    assert stream.info["failed"] == 0


def test_a_batch_that_depends_on_itself_is_one_unit(stream: Configured) -> None:
    stream.configured({"on_error": "skip", "isolate": "never"}, size=5)
    stream.send([*numbers(0, 7), "raise", *numbers(8, 15)])
    stream.start()
    stream.await_position(15)
    assert stream.values == numbers(0, 5) + numbers(10, 15)
    assert stream.info["failed"] == 5
    assert [row["offset"] for row in stream.errors()] == [9, 8, 7, 6, 5]


@pytest.mark.memgraph_only("constraints are checked at COMMIT there, and made by DDL of its own")
def test_a_violated_constraint_is_an_error_of_data(stream: Configured) -> None:
    constraint = f"CONSTRAINT ON (n:{stream.label}) ASSERT n.value IS UNIQUE"
    stream.run(f"CREATE {constraint}")
    try:
        stream.configured({"on_error": "skip"})
        stream.send(["a", "b", "a", "c", "b"])
        stream.start()
        stream.await_position(5)
        assert stream.values == ["a", "b", "c"]
        second, first = stream.errors()
        assert (first["offset"], second["offset"]) == (2, 4)
        assert "unique constraint violation" in first["error"]
        assert first["query"] == f"CREATE (:{stream.label} {{value: $value}})"
        stream.stop()
    finally:
        stream.run(f"DROP {constraint}")


@pytest.mark.memgraph_only("holding a vertex's lock makes the other transaction fail there, not wait")
def test_a_conflict_is_no_error_of_data(stream: Configured, host: Host) -> None:
    stream.run(f"CREATE (:{stream.label} {{value: 'counter', n: 0}})")
    transform = """
def stream(batch):
    return [("MATCH (n:LABEL) SET n.n = n.n + 1", {}) for message in batch]
"""
    stream.configured({"on_error": "skip"}, transform)
    with host.driver().session() as session, session.begin_transaction() as transaction:
        transaction.run(f"MATCH (n:{stream.label}) SET n.held = true").consume()
        stream.send(numbers(0, 5))
        stream.start()
        reason = stream.await_reason("Cannot resolve conflicting transactions")
        assert reason.startswith("retrying since 2")
        assert stream.status == "running"
        transaction.rollback()
    eventually(lambda: stream.run(f"MATCH (n:{stream.label}) RETURN n.n AS n"), equals=[{"n": 5}])
    stream.await_no_reason()
    assert (stream.info["failed"], stream.errors()) == (0, [])


def test_a_deadline_makes_a_looping_transform_an_error_of_data(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    host = own_host(env={"SLUICE_TRANSFORM_TIMEOUT": "2"})
    stream = Configured(host.run, kafka, tmp_path, "looping")
    transform = POISON.replace(
        "    value = message.decode()", "    value = message.decode()\n    while value == 'loop': pass"
    )
    stream.configured({"on_error": "skip"}, transform, size=4)
    stream.send(["a", "b", "loop", "c", "d", "e"])
    stream.start()
    slowest = 0.0

    def over() -> bool:
        nonlocal slowest
        began = time.monotonic()
        host.run("RETURN 1 AS one")
        slowest = max(slowest, time.monotonic() - began)
        return stream.count >= 5

    eventually(over, timeout=60, interval=0.01)
    assert stream.values == ["a", "b", "c", "d", "e"]
    assert slowest < 2 * slack()
    (entry,) = stream.errors()
    assert "stream(batch) did not end within 2 s" in entry["error"]


def test_configure_needs_a_stopped_stream(stream: Configured) -> None:
    stream.configured({"on_error": "skip", "client.id": "me"})
    stream.start()
    expected = f"Kafka stream {stream.name} is running, and has to be stopped before it can be altered"
    assert refusal(stream.configure, {}) == f"sluice.errors.StreamRunning: {expected}: STOP STREAM {stream.name}"
    stream.stop()
    stream.configure({"client.id": None, "isolate": "never"})
    assert stream.info["config"] == {"on_error": "skip", "isolate": "never"}
    assert "on_error must be one of stop, skip, park, dead_letter" in refusal(stream.configure, {"on_error": "x"})
    assert stream.info["config"] == {"on_error": "skip", "isolate": "never"}


def test_a_config_reaches_librdkafka(stream: Configured) -> None:
    assert "config: there is no key on_eror; did you mean on_error?" in refusal(stream.configured, {"on_eror": "skip"})
    assert "sasl.password refers to the variable NOT_THERE" in refusal(
        stream.configured, {"sasl.password": "env:NOT_THERE"}
    )
    text = refusal(stream.configured, {"sasl.password": "hunter2"})
    assert "give env:NAME or file:PATH" in text
    assert "hunter2" not in text
    stream.configured({"fetch.wait.max.ms": 10, "client.id": "mine"})
    assert stream.info["config"] == {"fetch.wait.max.ms": "10", "client.id": "mine"}
    stream.send(numbers(0, 5))
    stream.start()
    stream.await_values(numbers(0, 5))


def test_info_says_where_a_stream_is(stream: Configured) -> None:
    stream.configured(None)
    info = stream.info
    assert list(info) == [
        "name", "status", "reason", "generation", "positions", "batches", "messages", "failed", "transform_sha256",
        "config",
    ]  # fmt: skip
    assert (info["status"], info["reason"], info["generation"], info["positions"]) == ("stopped", None, 0, {})
    stream.send(numbers(0, 25))
    stream.start()
    stream.await_position(25)
    info = stream.info
    assert (info["status"], info["reason"], info["generation"]) == ("running", None, 1)
    assert (info["messages"], info["failed"], info["config"]) == (25, 0, {})
    assert "stream not found" in refusal(stream.run, "CALL streams.info('nowhere') YIELD status RETURN status")


def test_a_stop_ends_the_search_for_a_bad_message(own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path) -> None:
    host = own_host(env={"SLUICE_TRANSFORM_TIMEOUT": "5"})
    stream = Configured(host.run, kafka, tmp_path, "looping")
    stream.configured({"on_error": "skip"}, "def stream(batch):\n    while True: pass\n", size=8)
    stream.send(numbers(0, 8))
    stream.start()
    stream.await_reason("looking for the message")
    stream.stop()
    eventually(lambda: transforms_running(host) == 0, timeout=4)
    assert stream.info["status"] == "stopped"


def test_a_reason_is_one_line(stream: Configured) -> None:
    stream.send(["raise\nsecond line"])
    stream.configured(None)
    stream.start()
    stream.await_status("error")
    assert "\n" not in stream.info["reason"]
