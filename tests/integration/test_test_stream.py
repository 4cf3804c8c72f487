"""TEST STREAM: shows what a stream would do with the next messages, and leaves no trace."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from sandbox.mock_broker import MockBroker
from tests.integration.test_kit import (
    LONG,
    NewStream,
    OwnHost,
    Run,
    Stream,
    metadata,
    numbers,
    refusal,
    transforms_running,
)
from tests.kafka import KafkaBroker, Topics

TYPES = """
def stream(batch):
    return [("RETURN $none, $yes, $int, $float, $text, $list, $map, $nul", {
        "none": None, "yes": True, "int": -2**63, "float": 0.5, "text": "\\u017d\\n'`", "list": [1, [None, "a"], {}],
        "map": {"a": {"b": [False]}, "\\u00e9 ": ""}, "nul": {"a\\0b": ["c\\0d"]},
    })]
"""

TRANSACTION_CONTROL = (
    "is {}: a batch is one transaction, which only the stream itself begins and ends"  # to be filled in with a word
)


@pytest.fixture
def new_stream(run: Run, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]) -> NewStream:
    return lambda **where: Stream(run, kafka, tmp_path, new_stream_name(), **where)


@pytest.fixture
def stream(new_stream: NewStream) -> Stream:
    return new_stream()


def test_a_test_leaves_no_trace(own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path) -> None:
    host = own_host()
    stream = Stream(host.run, kafka, tmp_path, "traceless")
    stream.send(numbers(0, 15))
    stream.create()
    before = _everything(host.run)
    assert [row["params"]["value"] for row in stream.test(limit=2)] == numbers(0, 15)
    assert _everything(host.run) == before
    assert stream.status == "stopped"
    assert f"sluice.{stream.name}" not in kafka.topics.groups()
    assert transforms_running(host) == 0
    stream.start()
    stream.await_values(numbers(0, 15))


def test_a_test_is_one_batch_by_default_and_as_many_as_its_limit_says(stream: Stream) -> None:
    stream.send(numbers(0, 30))
    stream.create(interval=LONG, size=4)
    assert _values(stream.run("CALL streams.test($name) YIELD query, params", name=stream.name)) == numbers(0, 4)
    assert _values(stream.test(limit=1)) == numbers(0, 4)
    assert _values(stream.test(limit=3)) == numbers(0, 12)
    assert _values(stream.test(limit=1000)) == numbers(0, 30)


def test_a_test_gives_what_there_is_and_does_not_wait_for_a_batch_to_be_full(stream: Stream) -> None:
    stream.send(numbers(0, 3))
    stream.create(interval=LONG, size=1000)
    began = time.monotonic()
    assert _values(stream.test(limit=5)) == numbers(0, 3)
    assert time.monotonic() - began < 5


def test_a_test_reads_every_partition(new_stream: NewStream) -> None:
    stream = new_stream(partitions=3)
    for partition in (0, 2):
        stream.send(numbers(10 * partition, 10 * partition + 5), partition=partition)
    stream.create()
    rows = stream.test(limit=10)
    assert sorted(_values(rows)) == [*numbers(0, 5), *numbers(20, 25)]
    assert {row["query"] for row in rows} == {f"CREATE (:{stream.label} {{value: $value}})"}


def test_a_test_goes_on_from_where_the_stream_is(stream: Stream) -> None:
    stream.send(numbers(0, 10))
    stream.create(size=4)
    stream.start(limit=1)
    stream.await_status("stopped")
    assert _values(stream.test()) == numbers(4, 8)
    assert _values(stream.test(limit=9)) == numbers(4, 10)
    stream.start(limit=1)
    stream.await_status("stopped")
    assert _values(stream.test()) == numbers(8, 10)
    assert stream.values == numbers(0, 8)


def test_an_empty_topic_is_told_at_once(stream: Stream) -> None:
    stream.create()
    began = time.monotonic()
    assert refusal(stream.test) == _nothing_to_read(stream)
    assert time.monotonic() - began < 5


def test_a_topic_that_was_read_to_its_end_has_nothing_to_test(stream: Stream) -> None:
    stream.send(["1"])
    stream.create()
    stream.start()
    stream.await_values(["1"])
    stream.stop()
    assert refusal(stream.test) == _nothing_to_read(stream)


def test_messages_of_a_transaction_that_was_aborted_are_not_shown(stream: Stream, kafka: KafkaBroker) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": stream.name})
    producer.init_transactions(20)
    for value, end in (("aborted", producer.abort_transaction), ("committed", producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce(stream.topic, value)
        producer.flush(20)
        end(20)
    stream.create()
    assert _values(stream.test(limit=10)) == ["committed"]
    stream.start()
    stream.await_values(["committed"])
    stream.stop()
    assert refusal(stream.test) == _nothing_to_read(stream)


def test_an_unreachable_broker_is_told_from_an_empty_topic(stream: Stream, mock_kafka: MockBroker) -> None:
    stream.topic = mock_kafka.create_topic(f"of-{stream.name}")
    stream.create(uri=mock_kafka.bootstrap)
    assert refusal(stream.test) == _nothing_to_read(stream)
    mock_kafka.set_down()
    try:
        began = time.monotonic()
        text = f"Kafka stream {stream.name}, broker unreachable at {mock_kafka.bootstrap}: "
        assert refusal(stream.test).startswith(f"sluice.errors.BrokerUnreachable: {text}")
        assert time.monotonic() - began < 10
    finally:
        mock_kafka.set_up()
    Topics(mock_kafka.bootstrap).produce(stream.topic, ["1"])
    assert _values(stream.test()) == ["1"]


def test_a_topic_that_is_gone_is_told(stream: Stream, kafka: KafkaBroker) -> None:
    stream.create()
    kafka.topics.delete(stream.topic)
    expected = f"sluice.errors.TopicNotFound: Kafka stream {stream.name}, topic not found"
    assert refusal(stream.test) == expected
    assert stream.topic not in kafka.topics.names()


def test_parameters_are_shown_as_they_are(stream: Stream) -> None:
    stream.send(["1"])
    stream.create(TYPES)
    (row,) = stream.test()
    assert row["query"] == "RETURN $none, $yes, $int, $float, $text, $list, $map, $nul"
    assert row["params"] == {
        "none": None,
        "yes": True,
        "int": -(2**63),
        "float": 0.5,
        "text": "\u017d\n'`",
        "list": [1, [None, "a"], {}],
        "map": {"a": {"b": [False]}, "\u00e9 ": ""},
        "nul": {"a\\x00b": ["c\\x00d"]},
    }


def test_a_transform_that_makes_no_query_gives_no_row(stream: Stream) -> None:
    stream.send(["1"])
    stream.create("def stream(batch):\n    return []\n")
    assert stream.test() == []


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        pytest.param("1 / 0", "stream(batch) raised ZeroDivisionError: division by zero (line 2)", id="raises"),
        pytest.param("exit(2)", "stream(batch) raised SystemExit: 2", id="exits"),
        pytest.param(
            "None", "stream(batch) must return a list of (query, parameters), got NoneType None", id="nothing"
        ),
        pytest.param(
            "[5]", "item 0 of what stream(batch) returned must be (query, parameters), got int 5", id="no pair"
        ),
        pytest.param("[('RETURN 1', {}), (b'', {})]", "the query of item 1 must be a str, got bytes b''", id="query"),
        pytest.param("[('RETURN 1', [])]", "the parameters of item 0 must be a dict, got list []", id="parameters"),
        pytest.param("[(' ', {})]", "the query of item 0 is empty", id="empty"),
        pytest.param(
            "[('RETURN $a', {'a': [{'b': {1}}]})]",
            "the parameters of item 0 contain a value that a query cannot take: a[0].b: ",
            id="value",
        ),
        pytest.param(
            "[('RETURN $a', {'a': 2**63})]",
            "the parameters of item 0 contain a value that a query cannot take: a: ",
            id="large",
        ),
        pytest.param("[('COMMIT', {})]", f"the query of item 0 {TRANSACTION_CONTROL.format('COMMIT')}", id="commit"),
        pytest.param(
            "[('/**/ rollback ;', {})]", f"the query of item 0 {TRANSACTION_CONTROL.format('ROLLBACK')}", id="rollback"
        ),
    ],
)
def test_what_a_transform_does_wrong_is_shown(stream: Stream, result: str, expected: str) -> None:
    stream.send(["1"])
    uri = stream.script(f"def stream(batch):\n    return {result}\n")
    stream.create(transform_uri=uri)
    text = refusal(stream.test)
    assert text.startswith(f"sluice.errors.TransformError: transform {uri}: {expected}")


def _values(rows: list[dict[str, Any]]) -> list[str]:
    return [row["params"]["value"] for row in rows]


def _nothing_to_read(stream: Stream) -> str:
    text = f"topic {stream.topic} has no messages after the stream's position"
    return f"sluice.errors.NothingToRead: Kafka stream {stream.name}, {text}"


def _everything(run: Run) -> tuple[dict[str, int], list[dict[str, Any]]]:
    query = "MATCH (n) RETURN labels(n) AS labels, properties(n) AS properties ORDER BY id(n)"
    return metadata(run), run(query)
