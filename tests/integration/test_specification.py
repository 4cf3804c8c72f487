"""The specification, sentence by sentence, by CALL statements."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.eventually import eventually, slack
from tests.hosts import Host, ScriptServer
from tests.integration.test_kit import BATCHES, EXAMPLE, LONG, SHOW, NewStream, Run, Stream, numbers, refusal
from tests.kafka import KafkaBroker

VERTEX = "CREATE (:Node {id: $id})"
EDGE = "MATCH (n:Node {id: $from_id}), (m:Node {id: $to_id}) CREATE (n)-[:Edge]->(m)"
VERTICES = "MATCH (n:Node) RETURN n.id AS id ORDER BY id"
EDGES = "MATCH (n:Node)-[:Edge]->(m:Node) RETURN n.id AS origin, m.id AS destination"


@pytest.fixture
def new_stream(run: Run, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]) -> NewStream:
    return lambda **where: Stream(run, kafka, tmp_path, new_stream_name(), **where)


@pytest.fixture
def stream(new_stream: NewStream) -> Stream:
    return new_stream()


def test_the_example_runs_as_it_is_written(empty_host: Host, kafka: KafkaBroker, script_server: ScriptServer) -> None:
    run, uri, topic = empty_host.run, kafka.bootstrap, kafka.topics.create()
    transform = script_server.serve("/transform.py", EXAMPLE)
    mystream = {"name": "mystream", "uri": uri, "topic": topic, "transform": transform}

    assert run(SHOW) == []
    assert not any(run(f"CALL streams.create('mystream', '{uri}', '{topic}', '{transform}')"))
    assert run(SHOW) == [{**mystream, "status": "stopped"}]
    assert list(run(SHOW)[0]) == ["name", "uri", "topic", "transform", "status"]

    kafka.topics.produce(topic, ["1", "1 2"])
    assert run("CALL streams.test('mystream') YIELD query, params") == [
        {"query": VERTEX, "params": {"id": "1"}},
        {"query": EDGE, "params": {"from_id": "1", "to_id": "2"}},
    ]
    assert run(VERTICES) == []

    assert not any(run("CALL streams.start('mystream')"))
    assert run(SHOW) == [{**mystream, "status": "running"}]
    eventually(lambda: run(VERTICES), equals=[{"id": "1"}])
    kafka.topics.produce(topic, ["2", "1 2"])
    eventually(lambda: run(EDGES), equals=[{"origin": "1", "destination": "2"}])
    assert run(VERTICES) == [{"id": "1"}, {"id": "2"}]

    assert not any(run("CALL streams.`stop`('mystream')"))
    assert run(SHOW) == [{**mystream, "status": "stopped"}]
    assert not any(run("CALL streams.drop('mystream')"))
    assert run(SHOW) == []
    assert script_server.count("/transform.py") == 1


def test_a_missing_script_gives_the_error_of_the_specification(stream: Stream, script_server: ScriptServer) -> None:
    missing = script_server.url("/transform.py")
    expected = f"sluice.errors.ScriptError: Couldn't get the transform script from {missing}"
    assert refusal(stream.create, transform_uri=missing) == expected


def test_a_missing_topic_gives_the_error_of_the_specification(stream: Stream) -> None:
    stream.topic = "no_such_topic"
    expected = f"sluice.errors.TopicNotFound: Kafka stream {stream.name}, topic not found"
    assert refusal(stream.create) == expected


def test_a_batch_has_ten_messages_by_default(stream: Stream) -> None:
    stream.send(numbers(0, 25))
    _create_with_defaults(stream)
    assert len(stream.run("CALL streams.test($name) YIELD query", name=stream.name)) == 10
    stream.run("CALL streams.start($name)", name=stream.name)
    stream.await_values(numbers(0, 25))
    assert _batch_sizes(stream) == {10: 20, 5: 5}


def test_a_batch_is_imported_after_100_ms_by_default(stream: Stream) -> None:
    _create_with_defaults(stream)
    stream.start()
    seconds = min(_seconds_until_seen(stream, value) for value in "012345")
    assert 0.1 <= seconds < 0.6 * slack()


def test_a_full_batch_is_imported_without_waiting_for_the_interval(stream: Stream) -> None:
    stream.create(interval=LONG, size=5)
    stream.start()
    stream.send(numbers(0, 12))
    stream.await_values(numbers(0, 10))
    stream.send(numbers(12, 15))
    stream.await_values(numbers(0, 15))


def test_a_batch_that_is_not_full_is_imported_after_the_interval_and_not_before(stream: Stream) -> None:
    stream.create(BATCHES, interval=1500, size=1000)
    stream.start()
    assert 1.5 <= _seconds_until_seen(stream, "a", "b", "c") < 6
    assert _batch_sizes(stream) == {3: 3}


def test_with_a_limit_the_stream_stops_by_itself_and_goes_on_when_it_is_started_again(stream: Stream) -> None:
    stream.send(numbers(0, 20))
    stream.create(interval=LONG, size=4)
    stream.start(limit=3)
    stream.await_status("stopped")
    assert stream.values == numbers(0, 12)
    stream.start(limit=1)
    stream.await_status("stopped")
    assert stream.values == numbers(0, 16)
    stream.start()
    stream.await_values(numbers(0, 20))
    assert stream.status == "running"


def test_starting_a_running_stream_does_not_affect_it(stream: Stream) -> None:
    stream.create()
    stream.start()
    stream.start()
    stream.start(limit=1)
    stream.send(numbers(0, 30))
    stream.await_values(numbers(0, 30))
    assert stream.status == "running"


def test_stopping_a_stopped_stream_does_not_affect_it(stream: Stream) -> None:
    stream.send(numbers(0, 20))
    stream.create()
    stream.stop()
    assert stream.status == "stopped"
    stream.start(limit=1)
    stream.await_status("stopped")
    stream.stop()
    stream.start(limit=1)
    stream.await_status("stopped")
    assert stream.values == numbers(0, 20)


def test_start_all_and_stop_all_are_for_every_stream_whatever_it_does(run: Run, new_stream: NewStream) -> None:
    streams = [new_stream() for _ in range(3)]
    for stream in streams:
        stream.create()
        stream.send(numbers(0, 5))
    streams[1].start()
    run("CALL streams.start_all()")
    assert [stream.status for stream in streams] == ["running"] * 3
    for stream in streams:
        stream.await_values(numbers(0, 5))
    streams[0].stop()
    run("CALL streams.stop_all()")
    assert [stream.status for stream in streams] == ["stopped"] * 3


def test_show_gives_the_streams_ordered_by_name(run: Run, new_stream: NewStream) -> None:
    first = new_stream()
    names = [first.name]
    first.create()
    for _ in range(3):
        stream = new_stream(topic=first.topic)
        stream.create()
        names.append(stream.name)
    assert [row["name"] for row in run(SHOW) if row["name"] in names] == sorted(names)


def test_a_dropped_stream_imports_nothing_any_more_and_its_name_is_free(stream: Stream) -> None:
    stream.create()
    stream.start()
    stream.send(numbers(0, 5))
    stream.await_values(numbers(0, 5))
    stream.drop()
    assert stream.status is None
    old, stream.label = stream.label, f"{stream.label}_again"
    stream.create()
    stream.start()
    stream.send(numbers(5, 9))
    stream.await_values(numbers(0, 9))
    stream.label = old
    assert stream.values == numbers(0, 5)


def _create_with_defaults(stream: Stream) -> None:
    stream.run(
        "CALL streams.create($name, $uri, $topic, $transform)",
        name=stream.name,
        uri=stream.kafka.bootstrap,
        topic=stream.topic,
        transform=stream.script(BATCHES),
    )


def _batch_sizes(stream: Stream) -> Counter[int]:
    """Size of the batch -> how many messages came in batches of that size."""
    return Counter(row["size"] for row in stream.run(f"MATCH (n:{stream.label}) RETURN n.size AS size"))


def _seconds_until_seen(stream: Stream, *values: str) -> float:
    """From before the messages are sent until the transform, BATCHES, has the first."""
    before = time.time()
    stream.send(values)
    query = f"MATCH (n:{stream.label}) WHERE n.value = $value RETURN n.seen AS seen"
    (row,) = eventually(lambda: stream.run(query, value=values[0]))
    return float(row["seen"]) - before
